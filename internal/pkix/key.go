package pkix

import (
	"crypto"
	//lint:ignore SA1019 verified only, for hierarchies that are history
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// UnsupportedKey stands for a public key of a kind or form that is not supported. No signature verifies with it.
type UnsupportedKey struct {
	Algorithm string // object identifier of the key's algorithm, or of its curve
}

const (
	keyRSA     = "1.2.840.113549.1.1.1"
	keyPSS     = "1.2.840.113549.1.1.10"
	keyEC      = "1.2.840.10045.2.1"
	keyDSA     = "1.2.840.10040.4.1"
	keyEd25519 = "1.3.101.112"
)

var curves = map[string]elliptic.Curve{
	"1.3.132.0.33":        elliptic.P224(),
	"1.2.840.10045.3.1.7": elliptic.P256(),
	"1.3.132.0.34":        elliptic.P384(),
	"1.3.132.0.35":        elliptic.P521(),
}

// KeyBits returns a key's size as policies count it: the modulus of RSA and DSA, the order of a curve; 0 when unsupported.
func KeyBits(key crypto.PublicKey) int {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen()
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize
	case *dsa.PublicKey:
		if k.P == nil {
			return 0
		}
		return k.P.BitLen()
	case ed25519.PublicKey:
		return 256
	}
	return 0
}

// publicKey reads a SubjectPublicKeyInfo. It fails on its frame only: a key that makes no sense is an UnsupportedKey.
func publicKey(spki []byte) (key crypto.PublicKey, bits []byte, ok bool) {
	s, ok := sequence(spki)
	if !ok {
		return nil, nil, false
	}
	var algorithm cryptobyte.String
	if !s.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) {
		return nil, nil, false
	}
	a, ok := algorithmOf(algorithm)
	if !ok {
		return nil, nil, false
	}
	if bits, ok = readBits(&s, cbasn1.BIT_STRING); !ok || !s.Empty() {
		return nil, nil, false
	}
	switch a.OID {
	case keyRSA, keyPSS:
		if k := rsaKey(bits); k != nil {
			return k, bits, true
		}
	case keyEC:
		parameters := cryptobyte.String(a.Parameters)
		oid, named := readOID(&parameters)
		if !named {
			break // explicit curve parameters are never believed
		}
		curve := curves[oid]
		if curve == nil {
			return UnsupportedKey{oid}, bits, true
		}
		if k, err := ecdsa.ParseUncompressedPublicKey(curve, bits); err == nil {
			return k, bits, true
		}
	case keyDSA:
		if k := dsaKey(a.Parameters, bits); k != nil {
			return k, bits, true
		}
	case keyEd25519:
		if len(bits) == ed25519.PublicKeySize && len(a.Parameters) == 0 {
			return ed25519.PublicKey(bits), bits, true
		}
	}
	return UnsupportedKey{a.OID}, bits, true
}

func rsaKey(bits []byte) *rsa.PublicKey {
	s, ok := sequence(bits)
	if !ok {
		return nil
	}
	_, modulus, ok := readInteger(&s)
	if !ok {
		return nil
	}
	exponent, _, ok := readInteger(&s)
	if !ok || !s.Empty() || !exponent.IsInt64() || exponent.Int64() < 3 || exponent.Int64() > 1<<31-1 || exponent.Bit(0) == 0 {
		return nil
	}
	n := new(big.Int).SetBytes(modulus) // a modulus without its sign octet is meant to be positive all the same
	if n.BitLen() > 16384 || n.Bit(0) == 0 {
		return nil
	}
	return &rsa.PublicKey{N: n, E: int(exponent.Int64())}
}

// dsaKey reads a DSA key; one without parameters inherits its issuer's (RFC 3279, 2.3.2).
func dsaKey(parameters, bits []byte) *dsa.PublicKey {
	s := cryptobyte.String(bits)
	y, _, ok := readInteger(&s)
	if !ok || !s.Empty() || y.Sign() <= 0 || y.BitLen() > 4096 {
		return nil
	}
	key := &dsa.PublicKey{Y: y}
	p, ok := sequence(parameters)
	if !ok {
		return key
	}
	for _, to := range []**big.Int{&key.P, &key.Q, &key.G} {
		if *to, _, ok = readInteger(&p); !ok || (*to).Sign() <= 0 || (*to).BitLen() > 4096 {
			return nil
		}
	}
	return key
}
