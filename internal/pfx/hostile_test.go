package pfx

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"certsign/internal/problem"
)

// rsaKey is RSAPrivateKey (RFC 8017, A.1.2), with whatever numbers.
type rsaKey struct {
	Version               int
	N                     *big.Int
	E                     int
	D, P, Q, Dp, Dq, Qinv *big.Int
}

func (k rsaKey) der(t *testing.T) []byte {
	t.Helper()
	der, err := asn1.Marshal(k)
	require.NoError(t, err)
	return der
}

// keyOf is the key of two primes.
func keyOf(t *testing.T, p, q *big.Int) rsaKey {
	t.Helper()
	one := big.NewInt(1)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	d := new(big.Int).ModInverse(big.NewInt(65537), new(big.Int).Mul(p1, q1))
	require.NotNil(t, d)
	return rsaKey{0, new(big.Int).Mul(p, q), 65537, d, p, q, new(big.Int).Mod(d, p1), new(big.Int).Mod(d, q1), new(big.Int).ModInverse(q, p)}
}

func prime(t *testing.T, bits int) *big.Int {
	t.Helper()
	for {
		p, err := rand.Prime(rand.Reader, bits)
		require.NoError(t, err)
		if new(big.Int).Mod(p, big.NewInt(65537)).Int64() != 1 { // then the exponent has an inverse
			return p
		}
	}
}

// odd is an odd number of so many bits.
func odd(bits int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(3), uint(bits)-2)
	return n.Add(n, big.NewInt(12345))
}

// thirds is a key whose numbers fit each other as far as they can be checked without long work, of a modulus of about so
// many bits: with exponent 3, primes that are none and lie side by side.
func thirds(bits int) rsaKey {
	one, two, three := big.NewInt(1), big.NewInt(2), big.NewInt(3)
	p := odd(bits / 2)
	for new(big.Int).Mod(p, three).Int64() != 2 {
		p.Sub(p, two)
	}
	q := new(big.Int).Sub(p, two)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	d := new(big.Int).Mul(p1, q1)
	d.Div(d.Add(d, one), three)
	dp := new(big.Int).Mul(two, p1)
	dp.Div(dp.Add(dp, one), three)
	return rsaKey{0, new(big.Int).Mul(p, q), 3, d, p, q, dp, new(big.Int).Div(q, three), new(big.Int).Div(p1, two)}
}

func TestAKeyOfAbsurdLengthCostsNoTime(t *testing.T) {
	long := thirds(260_000)
	short := keyOf(t, prime(t, 1024), prime(t, 1024))
	short.P = odd(1_000_000)
	wrapped, err := asn1.Marshal(struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}{0, pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue}, long.der(t)})
	require.NoError(t, err)
	for name, file := range map[string][]byte{
		"PKCS #1": long.der(t), "PKCS #8": wrapped, "a long prime of a short modulus": short.der(t), "16384 bits": thirds(16384).der(t),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := Read(file, never(t))
			assert.Less(t, time.Since(start), time.Second)
			assert.Equal(t, problem.KeyWeak, problem.CodeOf(err), "%v", err)
		})
	}
	t.Run("the longest that is of use is read", func(t *testing.T) {
		key, err := rsa.GenerateKey(rand.Reader, 4096)
		require.NoError(t, err)
		found, err := Read(x509.MarshalPKCS1PrivateKey(key), never(t))
		require.NoError(t, err)
		assert.Len(t, found.Keys, 1)
		assert.Less(t, len(thirds(maxRSA).der(t)), maxRSAKey)
	})
}

// forged is a certificate with that key in it, signed by no matter whom.
func forged(t *testing.T, public crypto.PublicKey) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, newKey(t))
	require.NoError(t, err)
	return der
}

// Whether one certificate issued another is found out by verifying signatures: 8 s for a key of a million bits.
func TestACertificateWithAKeyOfAbsurdLengthIsRefused(t *testing.T) {
	_, err := Read(forged(t, &rsa.PublicKey{N: odd(1 << 20), E: 1<<31 - 1}), never(t))
	assert.Equal(t, problem.TooLarge, problem.CodeOf(err), "%v", err)
	found, err := Read(forged(t, &rsa.PublicKey{N: odd(16384), E: 65537}), never(t))
	require.NoError(t, err)
	assert.Len(t, found.Certificates, 1)
}

func TestAnRSAKeyThatIsEasilyFactoredIsWeak(t *testing.T) {
	for small, want := range map[int]problem.Code{17: problem.KeyWeak, 512: problem.KeyWeak, 1020: ""} {
		t.Run(fmt.Sprintf("a prime of %d bits of 2048", small), func(t *testing.T) {
			_, err := Read(keyOf(t, prime(t, small), prime(t, 2048-small)).der(t), never(t))
			assert.Equal(t, want, problem.CodeOf(err), "%v", err)
		})
	}
	t.Run("numbers that make no key", func(t *testing.T) {
		good := keyOf(t, prime(t, 1024), prime(t, 1024))
		for name, change := range map[string]func(k *rsaKey){
			"exponent 1":     func(k *rsaKey) { k.E, k.D, k.Dp, k.Dq = 1, big.NewInt(1), big.NewInt(1), big.NewInt(1) },
			"even exponent":  func(k *rsaKey) { k.E = 65536 },
			"even modulus":   func(k *rsaKey) { k.N = new(big.Int).Add(k.N, big.NewInt(1)) },
			"another d":      func(k *rsaKey) { k.D = new(big.Int).Add(k.D, big.NewInt(2)) },
			"another dP":     func(k *rsaKey) { k.Dp = new(big.Int).Add(k.Dp, big.NewInt(2)) },
			"another qInv":   func(k *rsaKey) { k.Qinv = new(big.Int).Add(k.Qinv, big.NewInt(2)) },
			"1 as a prime":   func(k *rsaKey) { k.P, k.Q = big.NewInt(1), k.N },
			"the same twice": func(k *rsaKey) { k.Q, k.N = k.P, new(big.Int).Mul(k.P, k.P) },
		} {
			k := good
			change(&k)
			_, err := Read(k.der(t), never(t))
			assert.Error(t, err, name)
		}
		for name, scalar := range map[string][]byte{"zero": make([]byte, 32), "the order": elliptic.P256().Params().N.Bytes()} {
			der, err := asn1.Marshal(struct {
				Version int
				Private []byte
				Curve   asn1.ObjectIdentifier `asn1:"explicit,tag:0"`
			}{1, scalar, namedCurves[1]})
			require.NoError(t, err)
			_, err = Read(der, never(t))
			assert.Error(t, err, name)
		}
	})
}

// Without a MAC only what was decrypted says whether the password was right, and one of 256 paddings is right by chance.
func TestAWrongPasswordIsNoDamageWithoutAMACEither(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // the same file each time
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(2e9, 0)}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	sealed, err := pkcs12.LegacyDES.WithIterations(1).WithRand(zeros{}).Encode(key, c, nil, password)
	require.NoError(t, err)
	file := withoutMAC(t, sealed)
	found, err := Read(file, with(password))
	require.NoError(t, err)
	require.Len(t, found.Keys, 1)
	for n := range 3000 {
		_, err := Read(file, with(fmt.Sprint(n)))
		require.Equal(t, problem.PINIncorrect, problem.CodeOf(err), "password %d: %v", n, err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func withoutMAC(t *testing.T, file []byte) []byte {
	t.Helper()
	var pfx struct {
		Version  int
		AuthSafe asn1.RawValue
		MAC      asn1.RawValue
	}
	_, err := asn1.Unmarshal(file, &pfx)
	require.NoError(t, err)
	der, err := asn1.Marshal(struct {
		Version  int
		AuthSafe asn1.RawValue
	}{pfx.Version, pfx.AuthSafe})
	require.NoError(t, err)
	return der
}

func TestALongKeyIsDerivedInSeveralRoundsAndEachCounts(t *testing.T) {
	sha1 := pkix.AlgorithmIdentifier{Algorithm: digests[0].hmac, Parameters: asn1.NullRawValue}
	kdf, err := asn1.Marshal(struct {
		Salt               []byte
		Iterations, Length int
	}{make([]byte, 8), 100, 64})
	require.NoError(t, err)
	parameters, err := asn1.Marshal(struct{ KDF, MAC pkix.AlgorithmIdentifier }{
		pkix.AlgorithmIdentifier{Algorithm: oidPBKDF2, Parameters: asn1.RawValue{FullBytes: kdf}}, sha1})
	require.NoError(t, err)
	for work, want := range map[int]problem.Code{399: problem.TooLarge, 400: problem.PINIncorrect} {
		r := &reader{work: work}
		err := r.checkPBMAC1(parameters, make([]byte, 20), nil, []byte(password))
		assert.Equal(t, want, problem.CodeOf(err), "64 octets are four rounds of SHA-1, with %d left: %v", work, err)
	}
}
