package csp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"io"

	"certsign/agent"
	"certsign/internal/problem"
)

// privateKey is an open private key of a provider.
type privateKey interface {
	// offers says whether the key signs digests of that hash in that way.
	offers(hash crypto.Hash, padding padding) bool
	// sign signs a digest, for ECDSA in ASN.1. It may show the provider's dialog.
	sign(public crypto.PublicKey, hash crypto.Hash, digest []byte, padding padding) ([]byte, error)
	close()
}

// session is an open key.
type session struct {
	key     privateKey // nil after Close
	public  crypto.PublicKey
	consent *agent.Consent
	spendAs string
}

var errClosed = errors.New("the session is closed")

// Public implements crypto.Signer.
func (s *session) Public() crypto.PublicKey { return s.public }

// Sign implements crypto.Signer. A signature that does not verify is not returned.
func (s *session) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.key == nil {
		return nil, errClosed
	}
	padding := pkcs1
	hash, err := agent.CheckDigest(digest, opts)
	if options, ok := opts.(*rsa.PSSOptions); ok {
		padding = pss
		hash, err = agent.CheckPSS(s.public, digest, options)
	}
	if err != nil {
		return nil, err
	}
	if !s.key.offers(hash, padding) {
		if padding == pss {
			return nil, problem.New(problem.Unsupported, "the key's provider knows no RSA-PSS")
		}
		return nil, problem.New(problem.Unsupported, "the key's provider knows no %s", hash)
	}
	if err := s.consent.Spend(Name, s.spendAs); err != nil {
		return nil, err
	}
	signature, err := s.key.sign(s.public, hash, digest, padding)
	if err != nil {
		return nil, translate(err)
	}
	if !valid(s.public, hash, digest, signature, padding) {
		return nil, problem.New(problem.DriverFailed, "the provider's signature does not fit the key")
	}
	return signature, nil
}

// Close releases the key.
func (s *session) Close() error {
	if s.key != nil {
		s.key.close()
		s.key = nil
	}
	return nil
}

// valid says whether the signature is one over the digest with that key.
func valid(public crypto.PublicKey, hash crypto.Hash, digest, signature []byte, padding padding) bool {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if padding == pss {
			return rsa.VerifyPSS(public, hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(public, hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(public, digest, signature)
	}
	return false
}

// padding is how an RSA key signs.
type padding bool

const (
	pkcs1 padding = false
	pss   padding = true
)
