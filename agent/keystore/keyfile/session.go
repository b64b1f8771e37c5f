package keyfile

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"

	"certsign/agent"
)

// session is an opened key file. It holds the private key until Close.
type session struct {
	private crypto.Signer
	consent *agent.Consent
	spendAs string
}

var errClosed = errors.New("the session is closed")

// Public implements crypto.Signer.
func (s *session) Public() crypto.PublicKey {
	if s.private == nil {
		return nil
	}
	return s.private.Public()
}

// Sign implements crypto.Signer: for RSA PKCS#1 v1.5, or PSS with a salt as long as the digest; ASN.1 DER for ECDSA. It reads
// no random numbers but the system's.
func (s *session) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.private == nil {
		return nil, errClosed
	}
	how, err := s.check(digest, opts)
	if err != nil {
		return nil, err
	}
	if err := s.consent.Spend(Name, s.spendAs); err != nil {
		return nil, err
	}
	signature, err := s.private.Sign(rand.Reader, digest, how)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return signature, nil
}

func (s *session) check(digest []byte, opts crypto.SignerOpts) (crypto.SignerOpts, error) {
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		hash, err := agent.CheckPSS(s.private.Public(), digest, pss)
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}, err
	}
	return agent.CheckDigest(digest, opts)
}

// Close forgets the key.
func (s *session) Close() error {
	s.private = nil
	return nil
}
