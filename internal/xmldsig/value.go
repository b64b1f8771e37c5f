package xmldsig

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"certsign/internal/problem"
)

// MethodFor returns the method that signatures with a key are made with: RSA PKCS #1 v1.5 with SHA-256, or ECDSA with the
// hash of its curve's strength. A key shorter than 2048 bits is the problem key_weak, another kind of key or curve
// unsupported.
func MethodFor(public crypto.PublicKey) (Method, error) {
	uri := ""
	switch k := public.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return Method{}, problem.New(problem.KeyWeak, "an RSA key of %d bits, fewer than 2048", k.N.BitLen())
		}
		uri = more + "rsa-sha256"
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			uri = more + "ecdsa-sha256"
		case elliptic.P384():
			uri = more + "ecdsa-sha384"
		case elliptic.P521():
			uri = more + "ecdsa-sha512"
		default:
			return Method{}, problem.New(problem.Unsupported, "an elliptic curve other than P-256, P-384 and P-521")
		}
	default:
		return Method{}, problem.New(problem.Unsupported, "a key that is neither RSA nor ECDSA")
	}
	m := methods[uri]
	m.URI = uri
	return m, nil
}

// DigestURI returns the DigestMethod of the method's own hash, for the references of a signature made with it.
func (m Method) DigestURI() string { return digestURI(m.Hash) }

// Sign makes the signature value over canonical SignedInfo. It calls key.Sign once and checks the result with the public
// key, so that a store's fault leaves no broken signature behind. Errors of the key are wrapped.
func (m Method) Sign(key crypto.Signer, signedInfo []byte) ([]byte, error) {
	if m.Key == "" || m.PSS || !m.Hash.Available() {
		return nil, problem.New(problem.Unsupported, "a signature method that is read only")
	}
	value, err := key.Sign(rand.Reader, digest(m.Hash, signedInfo), m.Hash)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if k, ok := key.Public().(*ecdsa.PublicKey); ok {
		if value, err = fixedLength(value, orderLength(k.Curve)); err != nil {
			return nil, err
		}
	}
	if err := m.Check(key.Public(), signedInfo, value); err != nil {
		return nil, fmt.Errorf("check the value that the key made: %w", err)
	}
	return value, nil
}

// Check tells whether value is the key's signature over signed; nil means it is.
func (m Method) Check(public crypto.PublicKey, signed, value []byte) error {
	if m.Key == "" || !m.Hash.Available() {
		return errors.New("a signature method that is not supported")
	}
	sum := digest(m.Hash, signed)
	switch k := public.(type) {
	case *rsa.PublicKey:
		switch {
		case m.Key != RSA:
			return errors.New("an RSA key with a method for another kind")
		case m.PSS:
			return rsa.VerifyPSS(k, m.Hash, sum, value, &rsa.PSSOptions{SaltLength: m.Salt, Hash: m.Hash})
		}
		return rsa.VerifyPKCS1v15(k, m.Hash, sum, value)
	case *ecdsa.PublicKey:
		if m.Key != ECDSA {
			return errors.New("an ECDSA key with a method for another kind")
		}
		// XML Signature 1.1, 6.4.3: r and s, each as long as the order of the base point.
		n := orderLength(k.Curve)
		if len(value) != 2*n {
			return fmt.Errorf("an ECDSA value of %d octets, not %d", len(value), 2*n)
		}
		var b cryptobyte.Builder
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1BigInt(new(big.Int).SetBytes(value[:n]))
			b.AddASN1BigInt(new(big.Int).SetBytes(value[n:]))
		})
		der, err := b.Bytes()
		if err != nil || !ecdsa.VerifyASN1(k, sum, der) {
			return errors.New("an ECDSA value that does not fit")
		}
		return nil
	}
	return errors.New("a key that is neither RSA nor ECDSA")
}

func orderLength(c elliptic.Curve) int { return (c.Params().N.BitLen() + 7) / 8 }

// fixedLength turns the DER that a crypto.Signer returns into r and s of n octets each: XML Signature 1.1, 6.4.3.
func fixedLength(der []byte, n int) ([]byte, error) {
	var r, s big.Int
	input := cryptobyte.String(der)
	var body cryptobyte.String
	if !input.ReadASN1(&body, asn1.SEQUENCE) || !input.Empty() ||
		!body.ReadASN1Integer(&r) || !body.ReadASN1Integer(&s) || !body.Empty() ||
		r.Sign() <= 0 || s.Sign() <= 0 || r.BitLen() > 8*n || s.BitLen() > 8*n {
		return nil, errors.New("the key returned something other than an ECDSA value in DER")
	}
	value := make([]byte, 2*n)
	r.FillBytes(value[:n])
	s.FillBytes(value[n:])
	return value, nil
}

func digest(h crypto.Hash, octets []byte) []byte {
	d := h.New()
	d.Write(octets)
	return d.Sum(nil)
}
