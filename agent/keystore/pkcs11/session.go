package pkcs11

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"

	"certsign/agent"
	"certsign/agent/keystore/pkcs11/wire"
	"certsign/internal/problem"
)

// session is an open key, with the process that holds the log-in.
type session struct {
	store   *Store
	process *process // nil after Close
	place   string
	public  crypto.PublicKey
	consent *agent.Consent
	spendAs string
	pad     bool // a key that asks each time asks on the reader
	pss     bool // the token signs with RSA-PSS
}

func (s *Store) session(t *token, public crypto.PublicKey, consent *agent.Consent, spendAs string) *session {
	opened := &session{
		store: s, process: t.process, place: t.place.ID, public: public, consent: consent, spendAs: spendAs, pad: logIn(t.Flags) == wire.LogInPad,
	}
	if public, ok := public.(*rsa.PublicKey); ok {
		opened.pss = can(t.Token, ckmRSAPKCSPSS, flagSign, uint64(public.N.BitLen()))
	}
	return opened
}

var errClosed = errors.New("the session is closed")

// Public implements crypto.Signer.
func (s *session) Public() crypto.PublicKey { return s.public }

// Sign implements crypto.Signer: PKCS#1 v1.5 and PSS for RSA, ASN.1 DER for ECDSA. A signature that does not verify is not
// returned.
func (s *session) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.process == nil {
		return nil, errClosed
	}
	hash, params, err := s.params(digest, opts)
	if err != nil {
		return nil, err
	}
	if err := s.consent.Spend(Name, s.spendAs); err != nil {
		return nil, err
	}
	limit := s.store.config.Timeout
	if s.pad {
		limit *= longTimes
	}
	var result wire.SignResult
	if err := s.process.call(context.Background(), limit, wire.OpSign, params, nil, &result); err != nil {
		return nil, s.store.absent(s.place, err)
	}
	return finish(s.public, hash, params.PSS != "", digest, result.Signature)
}

// hashes are the hashes that sign, as the language of the module process names them.
var hashes = map[crypto.Hash]wire.Hash{crypto.SHA256: wire.SHA256, crypto.SHA384: wire.SHA384, crypto.SHA512: wire.SHA512}

// params is what the token is asked to sign.
func (s *session) params(digest []byte, opts crypto.SignerOpts) (crypto.Hash, wire.SignParams, error) {
	if opts, ok := opts.(*rsa.PSSOptions); ok {
		hash, err := agent.CheckPSS(s.public, digest, opts)
		if err == nil && !s.pss {
			err = problem.New(problem.Unsupported, "the token makes no RSA-PSS signatures through this driver")
		}
		return hash, wire.SignParams{Data: digest, PSS: hashes[hash]}, err
	}
	hash, err := agent.CheckDigest(digest, opts)
	if err != nil {
		return 0, wire.SignParams{}, err
	}
	data, err := input(s.public, hash, digest)
	return hash, wire.SignParams{Data: data}, err
}

// Close ends the process, and with it the log-in and the PIN.
func (s *session) Close() error {
	if s.process != nil {
		s.process.end()
		s.process = nil
	}
	return nil
}

// leave ends the process of a token after an operation, and returns what became of that.
func (s *Store) leave(t *token, err error) error {
	t.process.end()
	return s.absent(t.place.ID, err)
}

// absent looks whether the token is still there after a failure that could mean anything.
func (s *Store) absent(place string, err error) error {
	var f *wire.Failure
	if !errors.As(err, &f) || f.Cause != wire.CauseCKR || !vague[f.CKR] {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Timeout)
	defer cancel()
	t, missing := s.reach(ctx, place)
	if missing == nil {
		t.process.end()
		return err
	}
	if problem.CodeOf(missing) == problem.TokenAbsent {
		return problem.Wrap(problem.TokenAbsent, err, "the token was taken away")
	}
	return err
}

// finish turns what the token gave into the signature that Go's callers expect, and verifies it.
func finish(public crypto.PublicKey, hash crypto.Hash, pss bool, digest, signature []byte) ([]byte, error) {
	valid := false
	switch public := public.(type) {
	case *rsa.PublicKey:
		if pss {
			valid = rsa.VerifyPSS(public, hash, digest, signature, &rsa.PSSOptions{Hash: hash, SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		} else {
			valid = rsa.VerifyPKCS1v15(public, hash, digest, signature) == nil
		}
	case *ecdsa.PublicKey:
		var err error
		if signature, err = derSignature(public, signature); err != nil {
			return nil, problem.Wrap(problem.DriverFailed, err, "the driver's signature makes no sense")
		}
		valid = ecdsa.VerifyASN1(public, digest, signature)
	}
	if !valid {
		return nil, problem.New(problem.DriverFailed, "the driver's signature does not fit the key")
	}
	return signature, nil
}

// derSignature makes ECDSA-Sig-Value (RFC 3279, 2.2.3) of r and s side by side (PKCS#11 3.1, 6.3.1).
func derSignature(public *ecdsa.PublicKey, raw []byte) ([]byte, error) {
	size := (public.Curve.Params().BitSize + 7) / 8
	if len(raw) != 2*size {
		return nil, fmt.Errorf("a signature of %d octets", len(raw))
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:size]), new(big.Int).SetBytes(raw[size:])})
}

// The hashes' names (RFC 8017, appendix B.1).
var hashOIDs = map[crypto.Hash]asn1.ObjectIdentifier{
	crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
	crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
	crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
}

// input is what the token signs. Not every token cuts a digest that is longer than the curve's order (FIPS 186-5, 6.4.1),
// so it gets the part that counts.
func input(public crypto.PublicKey, hash crypto.Hash, digest []byte) ([]byte, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return digestInfo(hash, digest)
	case *ecdsa.PublicKey:
		return digest[:min(len(digest), (public.Curve.Params().BitSize+7)/8)], nil
	}
	return nil, problem.New(problem.Unsupported, "a key of type %T", public)
}

// digestInfo is what CKM_RSA_PKCS pads (RFC 8017, 9.2): DigestInfo with the parameters NULL.
func digestInfo(hash crypto.Hash, digest []byte) ([]byte, error) {
	return asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}{pkix.AlgorithmIdentifier{Algorithm: hashOIDs[hash], Parameters: asn1.NullRawValue}, digest})
}
