package pkix_test

import (
	"bytes"
	"crypto/x509"
	gopkix "crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/pkix"
	"certsign/internal/testpki"
)

func parse(t testing.TB, der []byte) *pkix.Certificate {
	t.Helper()
	c, err := pkix.ParseCertificate(der)
	require.NoError(t, err)
	return c
}

func TestWhatACertificateSaysIsRead(t *testing.T) {
	root := testpki.Root(t)
	for _, kind := range []testpki.KeyKind{testpki.RSA2048, testpki.P256, testpki.P384, testpki.P521} {
		t.Run(string(kind), func(t *testing.T) {
			leaf := root.Leaf(testpki.WithKind(kind), testpki.CRLAt("http://a.test/1.crl", "ldap://b.test/"), testpki.OCSPAt("http://o.test/"),
				testpki.IssuerAt("http://i.test/ca.cer"), testpki.Policies("2.25.329800735698586629295641978511506172918"),
				testpki.Subject(gopkix.Name{Country: []string{"PL"}, SerialNumber: "PNOPL-44051401359", CommonName: "Zażółć, \"Gęślą\" Jaźń"}))
			c, std := parse(t, leaf.DER), leaf.Certificate
			assert.Equal(t, std.PublicKey, c.PublicKey)
			assert.Equal(t, std.SerialNumber, c.Serial)
			assert.Equal(t, std.NotBefore, c.NotBefore)
			assert.Equal(t, std.NotAfter, c.NotAfter)
			assert.Equal(t, std.RawSubject, c.Subject.Raw)
			assert.Equal(t, std.RawTBSCertificate, c.RawTBS)
			assert.Equal(t, []string{"http://a.test/1.crl", "ldap://b.test/"}, c.CRLURLs())
			assert.Equal(t, []string{"http://o.test/"}, c.OCSPURLs())
			assert.Equal(t, []string{"http://i.test/ca.cer"}, c.IssuerURLs())
			assert.Equal(t, []string{"2.25.329800735698586629295641978511506172918"}, c.Policies())
			assert.Equal(t, "PNOPL-44051401359", c.PersonID())
			assert.Equal(t, `serialNumber=PNOPL-44051401359,CN=Zażółć\, \"Gęślą\" Jaźń,C=PL`, c.Subject.String())
			assert.True(t, c.HasUsage(pkix.UsageNonRepudiation))
			assert.False(t, c.HasUsage(pkix.UsageCertSign))
			assert.False(t, c.IsCA())
			require.NoError(t, pkix.CheckSignature(c.SignatureAlgorithm, root.Certificate.PublicKey, c.RawTBS, c.Signature))
			require.ErrorIs(t, pkix.CheckSignature(c.SignatureAlgorithm, c.PublicKey, c.RawTBS, c.Signature), pkix.ErrSignature)
		})
	}
}

func TestNamesThatCouldDeceiveAreEscaped(t *testing.T) {
	c := parse(t, testpki.Root(t, testpki.Named(" #Jan\u202eNowak\n")).DER)
	assert.Equal(t, "CN=\\ #Jan\\e2\\80\\aeNowak\\0a,O=TEST,C=PL", c.Subject.String())
}

func TestOddCertificatesAreReadAllTheSame(t *testing.T) {
	leaf := testpki.Root(t).Leaf(testpki.WithKind(testpki.RSA2048), testpki.Serial(big.NewInt(0x11223344)))
	t.Run("a negative serial number", func(t *testing.T) {
		der := replace(t, leaf.DER, "020411223344", "0204f1223344")
		_, err := x509.ParseCertificate(der)
		require.Error(t, err)
		assert.Equal(t, int64(-0x0eddccbc), parse(t, der).Serial.Int64())
	})
	t.Run("a modulus that reads as a negative number", func(t *testing.T) {
		n := leaf.Certificate.PublicKey.(interface{ Size() int }).Size()
		require.Equal(t, 256, n)
		// The sign octet before the modulus becomes a part of it, and the first octet's top bit its sign.
		der := replace(t, leaf.DER, "0282010100", "02820101ff")
		assert.Positive(t, pkix.KeyBits(parse(t, der).PublicKey))
	})
	t.Run("RSA without NULL parameters", func(t *testing.T) {
		with, _ := hex.DecodeString("300d06092a864886f70d0101010500")
		at := bytes.Index(leaf.DER, with)
		der := slices.Concat(leaf.DER[:at], []byte{0x30, 0x0b}, with[2:13], leaf.DER[at+15:])
		for _, header := range []int{0, 4, at - 4} { // certificate, tbsCertificate and subjectPublicKeyInfo are two octets shorter
			binary.BigEndian.PutUint16(der[header+2:], binary.BigEndian.Uint16(der[header+2:])-2)
		}
		assert.Equal(t, leaf.Certificate.PublicKey, parse(t, der).PublicKey)
	})
	t.Run("a curve that is not supported", func(t *testing.T) {
		ec := testpki.Root(t).Leaf()
		der := replace(t, ec.DER, "06082a8648ce3d030107", "06082a8648ce3d030104")
		c := parse(t, der)
		assert.Equal(t, pkix.UnsupportedKey{Algorithm: "1.2.840.10045.3.1.4"}, c.PublicKey)
		assert.Zero(t, pkix.KeyBits(c.PublicKey))
		require.ErrorIs(t, pkix.CheckSignature(c.SignatureAlgorithm, c.PublicKey, nil, nil), pkix.ErrUnsupportedAlgorithm)
	})
	t.Run("a point that is not on the curve", func(t *testing.T) {
		ec := testpki.Root(t).Leaf()
		point, err := ec.Certificate.PublicKey.(interface{ Bytes() ([]byte, error) }).Bytes()
		require.NoError(t, err)
		wrong := bytes.Clone(point)
		wrong[len(wrong)-1] ^= 1
		c := parse(t, bytes.Replace(ec.DER, point, wrong, 1))
		assert.IsType(t, pkix.UnsupportedKey{}, c.PublicKey)
	})
}

func replace(t *testing.T, der []byte, from, to string) []byte {
	t.Helper()
	old, err := hex.DecodeString(from)
	require.NoError(t, err)
	with, err := hex.DecodeString(to)
	require.NoError(t, err)
	require.Equal(t, 1, bytes.Count(der, old), "%s", from)
	return bytes.Replace(der, old, with, 1)
}

func TestWhatIsNoCertificateIsMalformed(t *testing.T) {
	der := testpki.Root(t).DER
	for name, unverified := range map[string][]byte{
		"nothing":            nil,
		"text":               []byte("-----BEGIN CERTIFICATE-----"),
		"one cut short":      der[:len(der)-1],
		"one with a tail":    append(bytes.Clone(der), 0),
		"too long a one":     make([]byte, pkix.MaxCertificate+1),
		"an empty SEQUENCE":  {0x30, 0},
		"an indefinite form": {0x30, 0x80, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pkix.ParseCertificate(unverified)
			require.ErrorIs(t, err, pkix.ErrMalformed)
			_, err = pkix.ParseCRL(unverified)
			require.ErrorIs(t, err, pkix.ErrMalformed)
			_, err = pkix.ParseOCSP(unverified)
			require.ErrorIs(t, err, pkix.ErrMalformed)
		})
	}
	t.Run("no beginning of one makes the reader fail otherwise", func(t *testing.T) {
		for n := range der {
			_, err := pkix.ParseCertificate(der[:n])
			require.ErrorIs(t, err, pkix.ErrMalformed)
		}
	})
}

func TestValidityIncludesBothEnds(t *testing.T) {
	c := parse(t, testpki.Root(t).DER)
	assert.True(t, c.ValidAt(c.NotBefore))
	assert.True(t, c.ValidAt(c.NotAfter.Add(999*time.Millisecond)))
	assert.False(t, c.ValidAt(c.NotBefore.Add(-time.Nanosecond)))
	assert.False(t, c.ValidAt(c.NotAfter.Add(time.Second)))
}

// elements returns the decoded base64 of the elements of that name in an XML file.
func elements(data []byte, name string) (out [][]byte) {
	for {
		_, rest, found := bytes.Cut(data, []byte(name))
		if !found {
			return out
		}
		data = rest
		_, rest, _ = bytes.Cut(rest, []byte(">"))
		content, _, closed := bytes.Cut(rest, []byte("<"))
		content = bytes.ReplaceAll(bytes.ReplaceAll(content, []byte("&#13;"), nil), []byte("&#xD;"), nil)
		if der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(content)), "")); err == nil && closed && len(der) > 0 {
			out = append(out, der)
		}
	}
}

// TestRealCertificatesAreAllRead takes every certificate, CRL and OCSP response out of the XML files of the corpora.
func TestRealCertificatesAreAllRead(t *testing.T) {
	counts, seen, alone := map[string]int{}, map[string]bool{}, 0
	certificate := func(der []byte) error { _, err := pkix.ParseCertificate(der); return err }
	readers := map[string]func([]byte) error{
		"X509Certificate": certificate, "EncapsulatedX509Certificate": certificate,
		"EncapsulatedCRLValue":  func(der []byte) error { _, err := pkix.ParseCRL(der); return err },
		"EncapsulatedOCSPValue": func(der []byte) error { _, err := pkix.ParseOCSP(der); return err },
	}
	err := filepath.WalkDir(testpki.CorpusDir(t), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".json" {
			return err
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		for kind, read := range readers {
			for _, der := range elements(data, kind) {
				if seen[string(der)] {
					continue
				}
				seen[string(der)] = true
				counts[kind]++
				if _, std := x509.ParseCertificate(der); std != nil && strings.HasSuffix(kind, "Certificate") {
					alone++
				}
				assert.NoError(t, read(der), "%s in %s", kind, filepath.Base(path))
			}
		}
		return nil
	})
	require.NoError(t, err)
	t.Logf("%v, of which crypto/x509 rejects %d certificates", counts, alone)
}
