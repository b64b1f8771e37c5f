package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"

	"certsign/internal/problem"
)

// checkKey returns key_weak unless a public key may be certified: RSA with 2048 to 4096 bits and no known weakness, or
// ECDSA on P-256 or P-384.
func checkKey(public any) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return checkRSA(k)
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return problem.New(problem.KeyWeak, "the curve is %s; P-256 and P-384 are accepted", k.Curve.Params().Name)
		}
		if _, err := k.ECDH(); err != nil { // not on the curve, or the point at infinity
			return problem.New(problem.KeyWeak, "the point is not on the curve")
		}
		return nil
	default:
		return problem.New(problem.KeyWeak, "the key is neither RSA nor ECDSA")
	}
}

func checkRSA(k *rsa.PublicKey) error {
	n := k.N
	switch bits := n.BitLen(); {
	case bits < 2048:
		return problem.New(problem.KeyWeak, "the RSA key has %d bits; 2048 to 4096 are accepted", bits)
	case bits > 4096:
		return problem.New(problem.KeyWeak, "the RSA key has %d bits; 2048 to 4096 are accepted", bits)
	}
	// FIPS 186-5, A.1.1: an odd exponent above 2^16. Small ones fall to Coppersmith's and Håstad's attacks.
	if k.E < 65537 || k.E&1 == 0 {
		return problem.New(problem.KeyWeak, "the RSA exponent is %d; an odd one from 65537 on is accepted", k.E)
	}
	for _, p := range smallPrimes {
		if new(big.Int).Mod(n, big.NewInt(p)).Sign() == 0 {
			return problem.New(problem.KeyWeak, "the RSA modulus is divisible by %d", p)
		}
	}
	if roca(n) {
		return problem.New(problem.KeyWeak, "the RSA key was made by a faulty chip library (ROCA, CVE-2017-15361)")
	}
	if closePrimes(n) {
		return problem.New(problem.KeyWeak, "the RSA key's primes are too close (CVE-2022-26320)")
	}
	return nil
}

// smallPrimes are the odd primes up to 167; a proper modulus has none of them as a factor.
var smallPrimes = []int64{3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
	101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167}

// roca tells whether a modulus has the structure of Nemec et al., "The Return of Coppersmith's Attack" (CCS 2017): modulo
// each small prime it is a power of 65537. A sound modulus has it with a chance below 2^-27.
func roca(n *big.Int) bool {
	for _, p := range smallPrimes {
		rest := new(big.Int).Mod(n, big.NewInt(p)).Int64()
		power, found := int64(1), false
		for range p {
			if power == rest {
				found = true
				break
			}
			power = power * 65537 % p
		}
		if !found {
			return false
		}
	}
	return true
}

// closePrimes runs a hundred steps of Fermat's factorisation.
func closePrimes(n *big.Int) bool {
	a := new(big.Int).Sqrt(n)
	if new(big.Int).Mul(a, a).Cmp(n) == 0 {
		return true
	}
	one, b2, b := big.NewInt(1), new(big.Int), new(big.Int)
	for range 100 {
		a.Add(a, one)
		b2.Mul(a, a).Sub(b2, n)
		b.Sqrt(b2)
		if new(big.Int).Mul(b, b).Cmp(b2) == 0 {
			return true
		}
	}
	return false
}
