package agent

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"

	"certsign/internal/problem"
)

// CheckDigest is what a store's session checks before it spends a consent: the digest is SHA-256, SHA-384 or SHA-512, has
// that hash's length, and PSS is not asked for. It returns the hash, or unsupported.
func CheckDigest(digest []byte, opts crypto.SignerOpts) (crypto.Hash, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss {
		return 0, problem.New(problem.Unsupported, "RSA-PSS")
	}
	if opts == nil {
		return 0, problem.New(problem.Unsupported, "no hash named")
	}
	hash := opts.HashFunc()
	switch hash {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512:
	default:
		return 0, problem.New(problem.Unsupported, "hash %d", uint(hash))
	}
	if len(digest) != hash.Size() {
		return 0, problem.New(problem.Unsupported, "a %s digest of %d octets", hash, len(digest))
	}
	return hash, nil
}

// CheckPSS is CheckDigest for a store that offers RSA-PSS: for an RSA key, and with a salt as long as the digest, which is
// the only one that signature formats use (RFC 4055, 3.1; RFC 6931, 2.3.10).
func CheckPSS(public crypto.PublicKey, digest []byte, opts *rsa.PSSOptions) (crypto.Hash, error) {
	if _, ok := public.(*rsa.PublicKey); !ok {
		return 0, problem.New(problem.Unsupported, "RSA-PSS with a key of type %T", public)
	}
	hash, err := CheckDigest(digest, opts.Hash)
	if err != nil {
		return 0, err
	}
	if opts.SaltLength != rsa.PSSSaltLengthEqualsHash && opts.SaltLength != hash.Size() {
		return 0, problem.New(problem.Unsupported, "RSA-PSS with a salt of length %d", opts.SaltLength)
	}
	return hash, nil
}

// AlgorithmOf returns the name of a public key's algorithm, or "" when it is none of ours.
func AlgorithmOf(public crypto.PublicKey) KeyAlgorithm {
	switch public := public.(type) {
	case *rsa.PublicKey:
		switch public.N.BitLen() {
		case 2048:
			return RSA2048
		case 3072:
			return RSA3072
		}
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			return P256
		case elliptic.P384():
			return P384
		}
	}
	return ""
}
