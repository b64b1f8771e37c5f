package wire

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// The curves' names, as CKA_EC_PARAMS has them (PKCS#11 3.1, 6.3: namedCurve).
var (
	OIDP256 = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	OIDP384 = []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22}
)

const maxModulus = 8192 // bits

// PublicKey reads a public key out of an object's attributes, or says ErrNoKey.
func (o *Object) PublicKey() (crypto.PublicKey, error) {
	switch o.KeyType {
	case KeyRSA:
		return o.rsa()
	case KeyEC:
		return o.ec()
	}
	return nil, ErrNoKey
}

func (o *Object) rsa() (crypto.PublicKey, error) {
	n, e := new(big.Int).SetBytes(o.Modulus), new(big.Int).SetBytes(o.Exponent)
	if n.BitLen() < 512 || n.BitLen() > maxModulus || n.Bit(0) == 0 {
		return nil, fmt.Errorf("%w: a modulus of %d bits", ErrNoKey, n.BitLen())
	}
	if e.BitLen() < 2 || e.BitLen() > 31 || e.Bit(0) == 0 {
		return nil, fmt.Errorf("%w: a public exponent of %d bits", ErrNoKey, e.BitLen())
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

func (o *Object) ec() (crypto.PublicKey, error) {
	var curve elliptic.Curve
	switch {
	case bytes.Equal(o.ECParams, OIDP256):
		curve = elliptic.P256()
	case bytes.Equal(o.ECParams, OIDP384):
		curve = elliptic.P384()
	default:
		return nil, fmt.Errorf("%w: an unknown curve", ErrNoKey)
	}
	// PKCS#11 3.1, 6.3.3: CKA_EC_POINT is the DER encoding of an OCTET STRING. Some tokens leave the wrapping out, and an
	// uncompressed point starts with the octet that is also the tag.
	point := o.ECPoint
	if len(point) != 1+2*((curve.Params().BitSize+7)/8) {
		var inner []byte
		if rest, err := asn1.Unmarshal(point, &inner); err != nil || len(rest) > 0 {
			return nil, fmt.Errorf("%w: an unreadable point", ErrNoKey)
		}
		point = inner
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoKey, err)
	}
	return public, nil
}

// KeyID returns the CKA_ID for a key and its certificate: SHA-1 of the subjectPublicKey's octets, which is also the
// certificate's key identifier as most CAs make it (RFC 5280, 4.2.1.2, method 1). It is a name, and no security hangs on it.
func KeyID(public crypto.PublicKey) ([]byte, error) {
	var octets []byte
	var err error
	switch public := public.(type) {
	case *rsa.PublicKey:
		octets, err = asn1.Marshal(struct {
			N *big.Int
			E int
		}{public.N, public.E})
	case *ecdsa.PublicKey:
		octets, err = public.Bytes()
	default:
		return nil, ErrNoKey
	}
	if err != nil {
		return nil, err
	}
	sum := sha1.Sum(octets)
	return sum[:], nil
}

// Same says whether two public keys are known and the same.
func Same(a, b crypto.PublicKey) bool {
	equal, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && equal.Equal(b)
}

// NewPublic returns the object that a public key would be, or ErrNoKey.
func NewPublic(public crypto.PublicKey) (Object, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return Object{
			Class: ClassPublic, KeyType: KeyRSA, Modulus: public.N.Bytes(), Exponent: big.NewInt(int64(public.E)).Bytes(),
		}, nil
	case *ecdsa.PublicKey:
		o := Object{Class: ClassPublic, KeyType: KeyEC}
		switch public.Curve {
		case elliptic.P256():
			o.ECParams = OIDP256
		case elliptic.P384():
			o.ECParams = OIDP384
		default:
			return Object{}, ErrNoKey
		}
		var err error
		o.ECPoint, err = public.Bytes()
		return o, err
	}
	return Object{}, ErrNoKey
}
