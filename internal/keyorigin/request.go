package keyorigin

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"certsign/internal/problem"
)

// NewRequest makes a CertificationRequest (RFC 2986, 4) without a name and with a statement of how the key came to be. It
// takes one signature. The standard library's own does not serve: its attributes have no room for the long arc.
func NewRequest(key crypto.Signer, origin Statement) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	hash, algorithm, err := requestAlgorithm(key.Public())
	if err != nil {
		return nil, err
	}
	attribute, err := origin.Attribute()
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(casn1.SEQUENCE, func(*cryptobyte.Builder) {}) // no name
		b.AddBytes(spki)
		b.AddASN1(casn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(attribute) })
	})
	info, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode certificate request: %w", err)
	}
	h := hash.New()
	h.Write(info)
	signature, err := key.Sign(rand.Reader, h.Sum(nil), hash)
	if err != nil {
		return nil, fmt.Errorf("sign certificate request: %w", err)
	}
	b = cryptobyte.Builder{}
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(info)
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(algorithm)
			if _, isRSA := key.Public().(*rsa.PublicKey); isRSA {
				b.AddASN1NULL() // RFC 4055, 5; RFC 5758, 3.2: for ECDSA there are no parameters
			}
		})
		b.AddASN1BitString(signature)
	})
	return b.Bytes()
}

var (
	oidSHA256WithRSA   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidECDSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidECDSAWithSHA384 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}
)

func requestAlgorithm(public crypto.PublicKey) (crypto.Hash, asn1.ObjectIdentifier, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return crypto.SHA256, oidSHA256WithRSA, nil
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P384() {
			return crypto.SHA384, oidECDSAWithSHA384, nil
		}
		return crypto.SHA256, oidECDSAWithSHA256, nil
	}
	return 0, nil, problem.New(problem.Unsupported, "a key of type %T", public)
}
