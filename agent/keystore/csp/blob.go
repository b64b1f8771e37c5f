package csp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"unicode/utf16"
)

// Constants of wincrypt.h and bcrypt.h.
const (
	publicKeyBlob  = 0x06
	privateKeyBlob = 0x07
	blobVersion    = 0x02

	algRSASign = 0x2400
	algSHA256  = 0x800C
	algSHA384  = 0x800D
	algSHA512  = 0x800E

	magicRSA1 = 0x31415352 // "RSA1": a public key in CryptoAPI
	magicRSA2 = 0x32415352 // "RSA2": a private key in CryptoAPI
	magicECS1 = 0x31534345 // "ECS1": a public key for ECDSA on P-256
	magicECS3 = 0x33534345 // "ECS3": on P-384
)

// The limits of what providers say.
const (
	maxBlob = 4 << 10
	maxRSA  = 8192 // bits
)

var errBlob = errors.New("the provider's blob makes no sense")

// parsePublicKeyBlob reads CryptoAPI's PUBLICKEYBLOB of an RSA key: BLOBHEADER, RSAPUBKEY, the modulus, little-endian.
func parsePublicKeyBlob(b []byte) (*rsa.PublicKey, error) {
	if len(b) < 20 || len(b) > maxBlob || b[0] != publicKeyBlob || b[1] != blobVersion || binary.LittleEndian.Uint32(b[8:]) != magicRSA1 {
		return nil, errBlob
	}
	bits, modulus := binary.LittleEndian.Uint32(b[12:]), slices.Clone(b[20:])
	if bits > maxRSA || len(modulus) != int(bits+7)/8 {
		return nil, errBlob
	}
	slices.Reverse(modulus)
	n, exponent := new(big.Int).SetBytes(modulus), binary.LittleEndian.Uint32(b[16:])
	if n.BitLen() < 1024 || n.BitLen() > maxRSA || n.Bit(0) == 0 || exponent < 3 || exponent > 1<<31-1 || exponent&1 == 0 {
		return nil, errBlob
	}
	return &rsa.PublicKey{N: n, E: int(exponent)}, nil
}

// parseECCBlob reads CNG's BCRYPT_ECCPUBLIC_BLOB: BCRYPT_ECCKEY_BLOB, X, Y, big-endian.
func parseECCBlob(b []byte) (*ecdsa.PublicKey, error) {
	if len(b) < 8 {
		return nil, errBlob
	}
	var curve elliptic.Curve
	switch binary.LittleEndian.Uint32(b) {
	case magicECS1:
		curve = elliptic.P256()
	case magicECS3:
		curve = elliptic.P384()
	default:
		return nil, errBlob
	}
	size := (curve.Params().BitSize + 7) / 8
	if binary.LittleEndian.Uint32(b[4:]) != uint32(size) || len(b) != 8+2*size {
		return nil, errBlob
	}
	// SEC 1, 2.3.3: 04, X, Y; the point must be on the curve.
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, b[8:]))
	if err != nil {
		return nil, errBlob
	}
	return public, nil
}

// privateBlob writes CryptoAPI's PRIVATEKEYBLOB of an RSA key. The caller clears it.
func privateBlob(key *rsa.PrivateKey) ([]byte, error) {
	if err := key.Validate(); err != nil || len(key.Primes) != 2 || key.N.BitLen()%16 != 0 || key.N.BitLen() > maxRSA {
		return nil, errors.New("not an RSA key of two primes")
	}
	key.Precompute()
	size := key.N.BitLen() / 8
	b := make([]byte, 0, 20+size*9/2)
	b = append(b, privateKeyBlob, blobVersion, 0, 0)
	for _, v := range []uint32{algRSASign, magicRSA2, uint32(key.N.BitLen()), uint32(key.E)} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	p := &key.Precomputed
	for _, part := range []struct {
		n    *big.Int
		size int
	}{
		{key.N, size}, {key.Primes[0], size / 2}, {key.Primes[1], size / 2}, {p.Dp, size / 2}, {p.Dq, size / 2}, {p.Qinv, size / 2}, {key.D, size},
	} {
		if part.n.BitLen() > 8*part.size {
			clear(b)
			return nil, errors.New("primes of unequal length")
		}
		at := len(b)
		b = b[:at+part.size] // within the capacity, so that no copy is left behind
		part.n.FillBytes(b[at:])
		slices.Reverse(b[at:])
	}
	return b, nil
}

// derSignature makes ECDSA-Sig-Value (RFC 3279, 2.2.3) of r and s side by side, as CNG gives them.
func derSignature(public *ecdsa.PublicKey, raw []byte) ([]byte, error) {
	size := (public.Curve.Params().BitSize + 7) / 8
	if len(raw) != 2*size {
		return nil, fmt.Errorf("a signature of %d octets", len(raw))
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:size]), new(big.Int).SetBytes(raw[size:])})
}

// text reads a UTF-16 string that starts at that offset of a little-endian buffer and ends with a zero inside it.
func text(b []byte, offset uint64) (string, bool) {
	var units []uint16
	for ; offset < uint64(len(b)) && uint64(len(b))-offset >= 2; offset += 2 {
		unit := binary.LittleEndian.Uint16(b[offset:])
		if unit == 0 {
			return string(utf16.Decode(units)), true
		}
		units = append(units, unit)
	}
	return "", false
}
