package keyorigin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var stated = []Statement{
	{Store: "keyfile", Local: "yes", NeverExtractable: "no"},
	{Store: "pkcs11", Hardware: true, By: "Zakład Kart EP-2", Local: "yes", NeverExtractable: "yes"},
	{Store: "csp", By: "Microsoft Enhanced RSA and AES Cryptographic Provider"},
}

// withAttributes signs a request that has those attributes, one after the other.
func withAttributes(t testing.TB, attributes ...[]byte) *x509.CertificateRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(casn1.SEQUENCE, func(*cryptobyte.Builder) {})
		b.AddBytes(spki)
		b.AddASN1(casn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			for _, a := range attributes {
				b.AddBytes(a)
			}
		})
	})
	info, err := b.Bytes()
	require.NoError(t, err)
	return &x509.CertificateRequest{RawTBSCertificateRequest: info}
}

func attribute(t testing.TB, s Statement) []byte {
	t.Helper()
	a, err := s.Attribute()
	require.NoError(t, err)
	return a
}

// around puts values into an attribute of our type.
func around(t testing.TB, values []byte) []byte {
	t.Helper()
	id, err := oid()
	require.NoError(t, err)
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(id) })
		b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(values) })
	})
	out, err := b.Bytes()
	require.NoError(t, err)
	return out
}

func TestWhatIsStatedIsRead(t *testing.T) {
	other := []byte{0x30, 0x0c, 6, 1, 0x2a, 0x31, 7, 0x0c, 5, 'h', 'e', 'l', 'l', 'o'}
	for _, s := range stated {
		assert.Equal(t, &s, In(withAttributes(t, attribute(t, s))))
		assert.Equal(t, &s, In(withAttributes(t, other, attribute(t, s))), "among other attributes")
	}
}

func TestWhatCannotBeReadIsNotStated(t *testing.T) {
	good := attribute(t, stated[0])
	value := func(hexadecimal string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(hexadecimal, " ", ""))
		require.NoError(t, err)
		return around(t, b)
	}
	long := Statement{Store: "keyfile", By: strings.Repeat("x", maxBy)}
	for name, attributes := range map[string][][]byte{
		"no attribute":            nil,
		"two statements":          {good, good},
		"an empty set":            {value("")},
		"another version":         {value("30 0d 020102 0c05 6b65796373 0101ff")},
		"a store with a markup":   {value("30 0c 020101 0c04 3c62723e 0101ff")},
		"no store":                {value("30 08 020101 0c00 0101ff")},
		"TRUE that is not DER":    {value("30 0e 020101 0c03 637370 010100 810101")},
		"a boolean of two octets": {value("30 0f 020101 0c03 637370 010100 8102ffff")},
		"by in the wrong place":   {value("30 11 020101 0c03 637370 010100 8101ff 8001 41")},
		"by with a control":       {value("30 0f 020101 0c03 637370 010100 8002 410a")},
		"by that is no UTF-8":     {value("30 0e 020101 0c03 637370 010100 8001 ff")},
		"an empty by":             {value("30 0d 020101 0c03 637370 010100 8000")},
		"something after the end": {value("30 0d 020101 0c03 637370 010100 0500")},
		"rubbish":                 {around(t, []byte{0x30, 0x7f, 1})},
		"too long":                {around(t, append([]byte{0x30, 0x82, 2, 0}, make([]byte, 512)...))},
		"attributes cut short":    {good[:len(good)-1]},
	} {
		t.Run(name, func(t *testing.T) { assert.Nil(t, In(withAttributes(t, attributes...))) })
	}
	assert.NotNil(t, In(withAttributes(t, attribute(t, long))))
	assert.Nil(t, In(&x509.CertificateRequest{}))
	assert.NotNil(t, In(withAttributes(t, value("30 0b 020101 0c03 637370 0101ff"))), "the table's shape is right but for what its names say")
}

func TestWhatCannotBeStatedIsNotWritten(t *testing.T) {
	for name, s := range map[string]Statement{
		"no store": {}, "a store in capitals": {Store: "CSP"}, "a word that is neither yes nor no": {Store: "csp", Local: "maybe"},
		"a driver's words as they came": {Store: "csp", By: " a\n"}, "too many of them": {Store: "csp", By: strings.Repeat("x", maxBy+1)},
	} {
		_, err := s.Attribute()
		assert.Error(t, err, name)
	}
	assert.Equal(t, "Zakład 2", Clean(" Zakład\x00  2\u202e\n\xff"))
	assert.Len(t, Clean(strings.Repeat("x", 1000)), maxBy)
}

func FuzzIn(f *testing.F) {
	for _, s := range stated {
		f.Add(withAttributes(f, attribute(f, s)).RawTBSCertificateRequest)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := In(&x509.CertificateRequest{RawTBSCertificateRequest: b})
		if s == nil {
			return
		}
		require.LessOrEqual(t, len([]rune(s.By)), maxBy)
		again := In(withAttributes(t, attribute(t, *s)))
		require.Equal(t, s, again, "what was read can be written and read again")
	})
}
