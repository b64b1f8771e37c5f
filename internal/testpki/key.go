package testpki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"sync"
)

// KeyKind is a kind and size of key.
type KeyKind string

// The kinds of key.
const (
	RSA1024 KeyKind = "RSA-1024" // too short on purpose
	RSA2048 KeyKind = "RSA-2048"
	RSA3072 KeyKind = "RSA-3072"
	P224    KeyKind = "P-224" // too short on purpose
	P256    KeyKind = "P-256"
	P384    KeyKind = "P-384"
	P521    KeyKind = "P-521"
)

var keys sync.Map // string to func() crypto.Signer

// Key returns the private key that belongs to a name: always the same one, so it protects nothing.
func Key(name string, kind KeyKind) crypto.Signer {
	once, _ := keys.LoadOrStore(string(kind)+" "+name, sync.OnceValue(func() crypto.Signer {
		stream := &stream{seed: "certsign test key, protects nothing: " + string(kind) + " " + name}
		switch kind {
		case RSA1024:
			return rsaKey(stream, 1024)
		case RSA2048:
			return rsaKey(stream, 2048)
		case RSA3072:
			return rsaKey(stream, 3072)
		case P224:
			return ecdsaKey(stream, elliptic.P224())
		case P256:
			return ecdsaKey(stream, elliptic.P256())
		case P384:
			return ecdsaKey(stream, elliptic.P384())
		case P521:
			return ecdsaKey(stream, elliptic.P521())
		}
		panic("testpki: no such kind of key: " + string(kind))
	}))
	return once.(func() crypto.Signer)()
}

// stream is the bytes SHA-256(seed, 0), SHA-256(seed, 1) …
type stream struct {
	seed    string
	counter uint64
	rest    []byte
}

func (s *stream) bytes(n int) []byte {
	for len(s.rest) < n {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(s.seed), s.counter))
		s.counter++
		s.rest = append(s.rest, sum[:]...)
	}
	out := s.rest[:n:n]
	s.rest = s.rest[n:]
	return out
}

func ecdsaKey(s *stream, curve elliptic.Curve) *ecdsa.PrivateKey {
	size := (curve.Params().BitSize + 7) / 8
	for {
		scalar := s.bytes(size)
		if spare := size*8 - curve.Params().BitSize; spare > 0 {
			scalar[0] &= 0xff >> spare
		}
		if key, err := ecdsa.ParseRawPrivateKey(curve, scalar); err == nil {
			return key
		}
	}
}

func rsaKey(s *stream, bits int) *rsa.PrivateKey {
	one, e := big.NewInt(1), big.NewInt(65537)
	for {
		p, q := prime(s, bits/2), prime(s, bits/2)
		if p.Cmp(q) == 0 {
			continue
		}
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(e, phi)
		if d == nil {
			continue
		}
		key := &rsa.PrivateKey{
			PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e.Int64())},
			D:         d,
			Primes:    []*big.Int{p, q},
		}
		key.Precompute()
		if bits >= 1024 {
			if err := key.Validate(); err != nil {
				panic(fmt.Sprintf("testpki: %d-bit key: %v", bits, err))
			}
		}
		return key
	}
}

// prime returns a prime of exactly that many bits with its two top bits set, so that two of them make a full modulus.
func prime(s *stream, bits int) *big.Int {
	raw := s.bytes(bits / 8)
	raw[0] |= 0xc0
	raw[len(raw)-1] |= 1
	p := new(big.Int).SetBytes(raw)
	for two := big.NewInt(2); !p.ProbablyPrime(20); {
		p.Add(p, two)
	}
	return p
}
