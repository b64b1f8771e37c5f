package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/problem"
)

func TestWeakRSAKeysAreFoundOut(t *testing.T) {
	sound, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	require.NoError(t, checkKey(&sound.PublicKey))

	// A modulus that is a power of 65537 modulo each small prime, as the faulty library made them.
	product := big.NewInt(1)
	for _, p := range smallPrimes {
		product.Mul(product, big.NewInt(p))
	}
	vulnerable := new(big.Int).Exp(big.NewInt(65537), big.NewInt(12345), product)
	vulnerable.Add(vulnerable, new(big.Int).Lsh(product, uint(2048-product.BitLen())))

	// Two neighbouring primes.
	p, err := rand.Prime(rand.Reader, 1024)
	require.NoError(t, err)
	q := new(big.Int).Add(p, big.NewInt(2))
	for !q.ProbablyPrime(20) {
		q.Add(q, big.NewInt(2))
	}
	divisible := new(big.Int).Sub(sound.N, new(big.Int).Mod(sound.N, big.NewInt(167)))
	if divisible.Bit(0) == 0 {
		divisible.Sub(divisible, big.NewInt(167))
	}
	for name, c := range map[string]struct {
		key  rsa.PublicKey
		want string
	}{
		"1024 bits":                   {rsa.PublicKey{N: new(big.Int).Rsh(sound.N, 1024), E: 65537}, "bits"},
		"8192 bits":                   {rsa.PublicKey{N: new(big.Int).Lsh(sound.N, 6144), E: 65537}, "bits"},
		"exponent 3":                  {rsa.PublicKey{N: sound.N, E: 3}, "exponent"},
		"an even exponent":            {rsa.PublicKey{N: sound.N, E: 65538}, "exponent"},
		"a small factor":              {rsa.PublicKey{N: divisible, E: 65537}, "divisible"},
		"primes that are neighbours":  {rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, ""},
		"the structure of the faulty": {rsa.PublicKey{N: vulnerable, E: 65537}, "ROCA"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkKey(&c.key)
			require.Equal(t, problem.KeyWeak, problem.CodeOf(err), "%v", err)
			assert.Contains(t, problem.DetailOf(err), c.want)
		})
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	assert.Equal(t, problem.KeyWeak, problem.CodeOf(checkKey(&p224.PublicKey)))
	assert.Equal(t, problem.KeyWeak, problem.CodeOf(checkKey("no key")))
}

func TestVerificationCodesSurvivePeople(t *testing.T) {
	book, err := newCodebook(make([]byte, 32))
	require.NoError(t, err)
	seen := map[string]bool{}
	for range 200 {
		code := newVerificationCode()
		assert.Regexp(t, `^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-Z*~$=]$`, code)
		assert.False(t, seen[code])
		seen[code] = true
		sealed := book.seal("01", code)
		assert.NotContains(t, string(sealed), code)
		for _, typed := range []string{
			code, strings.ToLower(code), strings.ReplaceAll(code, "-", ""), " " + strings.ReplaceAll(code, "-", " ") + " ",
			strings.ReplaceAll(strings.ReplaceAll(code, "0", "o"), "1", "l"), code[:14],
		} {
			symbols, ok := readVerificationCode(typed)
			require.True(t, ok, typed)
			right, err := book.matches("01", sealed, symbols)
			require.NoError(t, err)
			assert.True(t, right, typed)
		}
		_, err := book.matches("02", sealed, code)
		assert.Error(t, err, "a sealed code is for one certificate")
	}
	for _, typed := range []string{"", "A", "AAAA-AAAA-AAAA-AA", "AAAA-AAAA-AAA!", strings.Repeat("A", 1000), "AAAA-AAAA-AAAA-0"} {
		_, ok := readVerificationCode(typed)
		assert.False(t, ok, typed)
	}
}

func TestOneWrongOrSwappedSymbolIsNoticed(t *testing.T) {
	code := newVerificationCode()
	plain := strings.ReplaceAll(code, "-", "")
	for i := range codeSymbols {
		for _, other := range crockford {
			if byte(other) == plain[i] {
				continue
			}
			_, ok := readVerificationCode(plain[:i] + string(other) + plain[i+1:])
			assert.False(t, ok)
		}
		if i+1 < codeSymbols && plain[i] != plain[i+1] {
			_, ok := readVerificationCode(plain[:i] + plain[i+1:i+2] + plain[i:i+1] + plain[i+2:])
			assert.False(t, ok)
		}
	}
}

func TestAStoredPasswordHashIsNotTrustedBlindly(t *testing.T) {
	p := newPasswords()
	for name, hash := range map[string]string{
		"no hash":           "x",
		"another algorithm": "$2a$10$abcdefghijklmnopqrstuv",
		"too much memory":   "$argon2id$v=19$m=99999999,t=3,p=4$AAAA$AAAA",
		"no time":           "$argon2id$v=19$m=64,t=0,p=4$AAAA$AAAA",
		"no tag":            "$argon2id$v=19$m=64,t=1,p=1$AAAA$",
	} {
		t.Run(name, func(t *testing.T) {
			ok, err := p.check(t.Context(), hash, "x")
			assert.Error(t, err)
			assert.False(t, ok)
		})
	}
	ok, err := p.check(t.Context(), "", "anything")
	require.NoError(t, err)
	assert.False(t, ok)
}

func FuzzCheckCSR(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(f, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	require.NoError(f, err)
	f.Add(der)
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		csr, err := CheckCSR(b)
		if err != nil {
			assert.NotEqual(t, problem.Internal, problem.CodeOf(err), "a bad request is a problem: %v", err)
			return
		}
		assert.NoError(t, csr.CheckSignature())
		assert.NoError(t, checkKey(csr.PublicKey))
	})
}

func FuzzReadVerificationCode(f *testing.F) {
	f.Add(newVerificationCode())
	f.Add("oo-il U*")
	f.Fuzz(func(t *testing.T, typed string) {
		if symbols, ok := readVerificationCode(typed); ok {
			again, ok := readVerificationCode(symbols + string(checkSymbol(symbols)))
			assert.True(t, ok)
			assert.Equal(t, symbols, again)
		}
	})
}

func FuzzDisplayName(f *testing.F) {
	f.Add(`..\..\zgłoszenie.xml`)
	f.Fuzz(func(t *testing.T, name string) {
		shown := displayName(name)
		assert.NotEmpty(t, shown)
		assert.LessOrEqual(t, len(shown), 200)
		assert.NotContains(t, shown, "/")
		assert.NotContains(t, shown, "\\")
		assert.NotContains(t, shown, "\n")
	})
}
