package csp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/problem"
	"certsign/internal/testpki"
	"certsign/internal/testtool"
)

func TestAContainersNameSaysWhoseItIs(t *testing.T) {
	for _, label := range []string{"Zgłoszenia celne", "x", strings.Repeat("ż", 500), " \t\n ", "a\x00b\u202e", "\xff\xfe"} {
		for _, imported := range []bool{false, true} {
			c := newContainer(label, imported)
			name := c.name()
			assert.LessOrEqual(t, len(name), 250, "MAX_PATH")
			assert.Equal(t, strings.ToLower(name), name)
			assert.NotContains(t, name, `\`)
			got, ours := parseContainer(name)
			assert.True(t, ours, name)
			assert.Equal(t, c, got)
			assert.LessOrEqual(t, len(got.label), maxLabel)
		}
	}
	assert.NotEqual(t, newContainer("x", false).name(), newContainer("x", false).name())
}

func TestOtherProgramsContainersAreNotOurs(t *testing.T) {
	good := newContainer("klucz", false).name()
	for name, text := range map[string]string{
		"nothing":                 "",
		"another's":               "{9C1B3E2A-6A3E-4A0E-8D5B-1D2B6C0F7A11}",
		"only the prefix":         prefix,
		"no origin":               prefix + "0123456789abcdef-pnwhk2dv",
		"no label":                prefix + madeHere + "0123456789abcdef",
		"an empty label":          prefix + madeHere + "0123456789abcdef-",
		"a short ID":              prefix + madeHere + "0123-pnwhk2dv",
		"an ID that is no hex":    prefix + madeHere + "0123456789abcdeg-pnwhk2dv",
		"upper case":              strings.ToUpper(good),
		"something after it":      good + "!",
		"a label that steers":     prefix + madeHere + "0123456789abcdef-" + labelEncoding.EncodeToString([]byte("a\u202eb")),
		"a label that is long":    prefix + madeHere + "0123456789abcdef-" + labelEncoding.EncodeToString([]byte(strings.Repeat("a", maxLabel+1))),
		"a label that is no text": prefix + madeHere + "0123456789abcdef-" + labelEncoding.EncodeToString([]byte("\xff\xfe")),
	} {
		_, ours := parseContainer(text)
		assert.False(t, ours, name)
	}
}

// publicBlob writes what parsePublicKeyBlob reads.
func publicBlob(bits uint32, exponent uint32, modulus []byte) []byte {
	b := []byte{publicKeyBlob, blobVersion, 0, 0}
	for _, v := range []uint32{algRSASign, magicRSA1, bits, exponent} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	modulus = slices.Clone(modulus)
	slices.Reverse(modulus)
	return append(b, modulus...)
}

// eccBlob writes what parseECCBlob reads.
func eccBlob(magic uint32, size uint32, point []byte) []byte {
	return slices.Concat(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, magic), size), point)
}

func point(t *testing.T, public *ecdsa.PublicKey) []byte {
	t.Helper()
	b, err := public.Bytes()
	require.NoError(t, err)
	return b[1:]
}

func TestPublicKeysAreReadFromBothKindsOfBlob(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	public, err := parsePublicKeyBlob(publicBlob(2048, 65537, key.N.Bytes()))
	require.NoError(t, err)
	assert.True(t, key.PublicKey.Equal(public))
	for magic, curve := range map[uint32]elliptic.Curve{magicECS1: elliptic.P256(), magicECS3: elliptic.P384()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		require.NoError(t, err)
		public, err := parseECCBlob(eccBlob(magic, uint32(curve.Params().BitSize/8), point(t, &key.PublicKey)))
		require.NoError(t, err)
		assert.True(t, key.PublicKey.Equal(public))
	}
}

func TestBlobsThatMakeNoSenseAreRefused(t *testing.T) {
	n := append([]byte{0xC0}, make([]byte, 255)...)
	n[255] = 1
	even := slices.Clone(n)
	even[255] = 2
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	xy := point(t, &key.PublicKey)
	off := slices.Clone(xy)
	off[63] ^= 1
	for name, b := range map[string][]byte{
		"nothing":                  nil,
		"a head alone":             publicBlob(2048, 65537, nil),
		"a short modulus":          publicBlob(2048, 65537, n[1:]),
		"octets after it":          append(publicBlob(2048, 65537, n), 0),
		"an even modulus":          publicBlob(2048, 65537, even),
		"a modulus of nothing":     publicBlob(0, 65537, nil),
		"a modulus of zeros":       publicBlob(2048, 65537, make([]byte, 256)),
		"a key of 512 bits":        publicBlob(512, 65537, append([]byte{0x80}, append(make([]byte, 62), 1)...)),
		"a length beyond all":      publicBlob(0xFFFFFFFF, 65537, n),
		"the exponent 1":           publicBlob(2048, 1, n),
		"an even exponent":         publicBlob(2048, 65536, n),
		"a private key":            append([]byte{privateKeyBlob}, publicBlob(2048, 65537, n)[1:]...),
		"EC: off the curve":        eccBlob(magicECS1, 32, off),
		"EC: another curve's size": eccBlob(magicECS3, 32, xy),
		"EC: a wrong size":         eccBlob(magicECS1, 31, xy),
		"EC: an unknown curve":     eccBlob(0x35534345, 32, xy),
		"EC: half a point":         eccBlob(magicECS1, 32, xy[:32]),
		"EC: nowhere":              eccBlob(magicECS1, 32, make([]byte, 64)),
	} {
		_, err := parsePublicKeyBlob(b)
		assert.Error(t, err, name)
		_, err = parseECCBlob(b)
		assert.Error(t, err, name)
	}
}

func TestAPrivateKeyIsWrittenAsCryptoAPIReadsIt(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	b, err := privateBlob(key)
	require.NoError(t, err)
	require.Len(t, b, 20+256*9/2)
	assert.Equal(t, []byte{privateKeyBlob, blobVersion, 0, 0, 0, 0x24, 0, 0, 'R', 'S', 'A', '2'}, b[:12])
	part := func(from, to int) []byte {
		p := slices.Clone(b[from:to])
		slices.Reverse(p)
		return p
	}
	assert.Equal(t, key.N.Bytes(), part(20, 276))
	assert.Equal(t, key.Primes[0].FillBytes(make([]byte, 128)), part(276, 404))
	assert.Equal(t, key.Primes[1].FillBytes(make([]byte, 128)), part(404, 532))
	assert.Equal(t, key.D.FillBytes(make([]byte, 256)), part(20+256+5*128, len(b)))

	broken := *key
	broken.D = key.Primes[0]
	_, err = privateBlob(&broken)
	assert.Error(t, err)
}

func TestASignatureInHalvesBecomesASN1(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	digest := make([]byte, 48)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	require.NoError(t, err)
	raw := slices.Concat(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48)))
	der, err := derSignature(&key.PublicKey, raw)
	require.NoError(t, err)
	assert.True(t, ecdsa.VerifyASN1(&key.PublicKey, digest, der))
	_, err = derSignature(&key.PublicKey, raw[1:])
	assert.Error(t, err)
}

func chainOf(t *testing.T) (leaf *testpki.Leaf, issuing, root *testpki.Authority) {
	t.Helper()
	root = testpki.Root(t, testpki.At(time.Now()))
	issuing = root.Intermediate()
	return issuing.Leaf(), issuing, root
}

func TestIssuersAreKeptBesideACertificateAndNeverTrusted(t *testing.T) {
	leaf, issuing, root := chainOf(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	strange := root.Intermediate(testpki.WithKey(key))
	d := issuers(filepath.Join(testtool.TempDir(t), "csp"))
	above, attached := d.read(leaf.DER)
	assert.Empty(t, above)
	assert.False(t, attached)
	require.NoError(t, d.remove(leaf.DER))

	require.NoError(t, d.write(leaf.DER, [][]byte{issuing.DER, root.DER}))
	above, attached = d.read(leaf.DER)
	assert.True(t, attached)
	own, err := x509.ParseCertificate(leaf.DER)
	require.NoError(t, err)
	assert.Equal(t, [][]byte{leaf.DER, issuing.DER, root.DER}, buildChain(own, above))

	require.NoError(t, d.write(leaf.DER, [][]byte{strange.DER, root.DER}))
	above, _ = d.read(leaf.DER)
	assert.Equal(t, [][]byte{leaf.DER}, buildChain(own, above), "another CA's certificate of the same name issued nothing here")

	path := d.path(leaf.DER)
	for name, b := range map[string][]byte{
		"nothing": {}, "no list": []byte("<xml/>"), "no certificates": {0x30, 3, 0x02, 1, 1},
		"octets after it":                append(mustEncode(t, issuing.DER), 0),
		"a certificate that is too long": mustEncode(t, append([]byte{0x30, 0x83, 1, 0, 0}, make([]byte, 1<<16)...)),
		"too many":                       mustEncode(t, slices.Repeat([][]byte{issuing.DER}, maxChain)...),
		"more than can be":               make([]byte, maxIssuers+1),
	} {
		require.NoError(t, os.WriteFile(path, b, 0o600))
		above, attached := d.read(leaf.DER)
		assert.Empty(t, above, name)
		assert.True(t, attached, name)
	}
	require.NoError(t, d.remove(leaf.DER))
	left, err := os.ReadDir(string(d))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func mustEncode(t *testing.T, certificates ...[]byte) []byte {
	t.Helper()
	b, err := encodeIssuers(certificates)
	require.NoError(t, err)
	return b
}

func TestAChainThatIsAttachedHasLimits(t *testing.T) {
	leaf, issuing, _ := chainOf(t)
	for name, chain := range map[string][][]byte{
		"nothing": nil, "no certificate": {[]byte("x")}, "too many": slices.Repeat([][]byte{leaf.DER}, maxChain+1),
		"one too long": {leaf.DER, make([]byte, maxCertificate+1)}, "an empty one": {leaf.DER, nil},
	} {
		_, err := parseChain(chain)
		assert.Error(t, err, name)
	}
	all, err := parseChain([][]byte{leaf.DER, issuing.DER})
	require.NoError(t, err)
	assert.Len(t, all, 2)
}

func TestWindowsCodesAreTranslatedByValue(t *testing.T) {
	for code, want := range map[uint32]problem.Code{
		0x80090016: problem.KeyAbsent, 0x8010000C: problem.TokenAbsent, 0x80100069: problem.TokenAbsent, 0x8010006E: problem.UserCancelled,
		0x8010006B: problem.PINIncorrect, 0x8010006C: problem.PINLocked, 0x80090023: problem.TokenFull, 0x80090022: problem.PromptUnavailable,
		0x80090008: problem.Unsupported, 0x8009001E: problem.StoreUnavailable, 0x80090020: problem.DriverFailed, 0xFFFFFFFF: problem.DriverFailed,
	} {
		err := translate(errors.Join(errors.New("other"), &failure{call: "CryptSignHashW", code: code}))
		assert.Equal(t, want, problem.CodeOf(err), "%08X", code)
		assert.Contains(t, problem.DetailOf(err), "CryptSignHashW")
	}
	known := problem.New(problem.Unsupported, "known")
	assert.Equal(t, problem.Unsupported, problem.CodeOf(translate(errors.Join(known, &failure{call: "CryptAcquireContext", code: 0x80090016}))))
	plain := errors.New("plain")
	assert.Equal(t, plain, translate(plain))
	assert.NoError(t, translate(nil))
	for code, meant := range meaning {
		assert.NotEmpty(t, problem.Describe(meant, problem.Polish).Message, "%08X", code)
	}
}

func FuzzContainerName(f *testing.F) {
	f.Add(newContainer("Zgłoszenia celne", true).name())
	f.Add(prefix + madeHere + "0123456789abcdef-")
	f.Fuzz(func(t *testing.T, name string) {
		if c, ours := parseContainer(name); ours {
			assert.Equal(t, name, c.name())
			assert.True(t, utf8.ValidString(c.label) && len(c.label) <= maxLabel && c.label != "")
		}
	})
}

func FuzzBlob(f *testing.F) {
	n := append([]byte{0xC0}, make([]byte, 255)...)
	n[255] = 1
	f.Add(publicBlob(2048, 65537, n), uint64(0))
	f.Add(eccBlob(magicECS1, 32, make([]byte, 64)), uint64(1<<63))
	f.Fuzz(func(t *testing.T, b []byte, offset uint64) {
		if public, err := parsePublicKeyBlob(b); err == nil {
			assert.Equal(t, b[20:], publicBlob(0, 0, public.N.FillBytes(make([]byte, len(b)-20)))[20:])
		}
		if public, err := parseECCBlob(b); err == nil {
			_, err := public.Bytes()
			assert.NoError(t, err)
		}
		if s, ok := text(b, offset); ok {
			assert.LessOrEqual(t, len(s), 3*len(b))
		}
	})
}

func FuzzIssuers(f *testing.F) {
	f.Add([]byte{0x30, 0})
	f.Add([]byte{0x30, 3, 0x02, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		all := decodeIssuers(b)
		assert.Less(t, len(all), maxChain)
		var raw [][]byte
		for _, c := range all {
			raw = append(raw, c.Raw)
		}
		if len(raw) > 0 {
			again, err := encodeIssuers(raw)
			assert.NoError(t, err)
			assert.Equal(t, b, again)
		}
	})
}
