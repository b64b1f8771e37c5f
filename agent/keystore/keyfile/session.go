package keyfile

import (
	"crypto"
	"crypto/rand"
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

// Sign implements crypto.Signer: PKCS#1 v1.5 for RSA, ASN.1 DER for ECDSA. It reads no random numbers but the system's.
func (s *session) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.private == nil {
		return nil, errClosed
	}
	hash, err := agent.CheckDigest(digest, opts)
	if err != nil {
		return nil, err
	}
	if err := s.consent.Spend(Name, s.spendAs); err != nil {
		return nil, err
	}
	signature, err := s.private.Sign(rand.Reader, digest, hash)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return signature, nil
}

// Close forgets the key.
func (s *session) Close() error {
	s.private = nil
	return nil
}
