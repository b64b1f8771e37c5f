package pfx

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"certsign/internal/problem"
	"certsign/internal/testtool"
)

const password = "Zażółć gęślą"

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func certify(t testing.TB, key crypto.Signer, name string) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return c
}

func with(password string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(password), nil }
}

func never(t testing.TB) func() ([]byte, error) {
	return func() ([]byte, error) {
		require.Fail(t, "no password is needed")
		return nil, nil
	}
}

func openssl(t *testing.T, dir string, args ...string) {
	t.Helper()
	testtool.NotWine(t, "openssl is a program of the system that runs Wine")
	cmd := exec.Command(testtool.Need(t, "openssl"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PASSWORD="+password)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// files writes key.pem and cert.pem into a new folder.
func files(t *testing.T, key crypto.Signer, c *x509.Certificate) string {
	dir := testtool.TempDir(t)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600))
	return dir
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return b
}

func TestFilesOfOpenSSLAreRead(t *testing.T) {
	key := newKey(t)
	c := certify(t, key, "Jan Łoś")
	dir := files(t, key, c)
	export := slices.Clip([]string{"pkcs12", "-export", "-inkey", "key.pem", "-in", "cert.pem", "-passout", "env:PASSWORD", "-name", "Klucz Łosia", "-out", "out"})
	for name, args := range map[string][]string{
		"as it writes today":       export,
		"RC2 and triple DES":       append(export, "-legacy"),
		"RC2 with 128 bits":        append(export, "-legacy", "-certpbe", "PBE-SHA1-RC2-128", "-keypbe", "PBE-SHA1-RC2-128"),
		"triple DES with two keys": append(export, "-certpbe", "PBE-SHA1-2DES", "-keypbe", "PBE-SHA1-2DES"),
		"no encryption":            append(export, "-certpbe", "NONE", "-keypbe", "NONE"),
		"AES-128 and a SHA-512 MAC": append(export,
			"-certpbe", "AES-128-CBC", "-keypbe", "AES-128-CBC", "-macalg", "sha512"),
		"a SHA-1 MAC of one iteration": append(export, "-nomaciter", "-macalg", "sha1"),
		"no MAC":                       append(export, "-nomac"),
	} {
		t.Run(name, func(t *testing.T) {
			openssl(t, dir, args...)
			found, err := Read(read(t, dir, "out"), with(password))
			require.NoError(t, err)
			require.Len(t, found.Keys, 1)
			assert.True(t, key.Equal(found.Keys[0].Private))
			assert.Equal(t, "Klucz Łosia", found.Keys[0].Label)
			require.Len(t, found.Certificates, 1)
			assert.Equal(t, c.Raw, found.Certificates[0].Raw)
			if name == "no encryption" {
				return // only the MAC says no, as below
			}
			_, err = Read(read(t, dir, "out"), with(password+"!"))
			assert.Equal(t, problem.PINIncorrect, problem.CodeOf(err), "%v", err)
		})
	}
	for name, args := range map[string][]string{
		"PKCS#8 under AES":        {"pkcs8", "-topk8", "-in", "key.pem", "-passout", "env:PASSWORD", "-out", "out"},
		"PKCS#8 under triple DES": {"pkcs8", "-topk8", "-v2", "des3", "-in", "key.pem", "-passout", "env:PASSWORD", "-out", "out"},
		"PKCS#8 in DER":           {"pkcs8", "-topk8", "-outform", "DER", "-in", "key.pem", "-passout", "env:PASSWORD", "-out", "out"},
		"PKCS#8, PKCS#12 cipher":  {"pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES", "-in", "key.pem", "-passout", "env:PASSWORD", "-out", "out"},
	} {
		t.Run(name, func(t *testing.T) {
			openssl(t, dir, args...)
			found, err := Read(read(t, dir, "out"), with(password))
			require.NoError(t, err)
			require.Len(t, found.Keys, 1)
			assert.True(t, key.Equal(found.Keys[0].Private))
			_, err = Read(read(t, dir, "out"), with("wrong"))
			assert.Equal(t, problem.PINIncorrect, problem.CodeOf(err))
		})
	}
	for name, args := range map[string][]string{
		"SEC 1":         {"ec", "-in", "key.pem", "-out", "out"},
		"SEC 1 in DER":  {"ec", "-in", "key.pem", "-outform", "DER", "-out", "out"},
		"PKCS#8 in DER": {"pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER", "-out", "out"},
	} {
		t.Run(name+", bare", func(t *testing.T) {
			openssl(t, dir, args...)
			found, err := Read(read(t, dir, "out"), never(t))
			require.NoError(t, err)
			require.Len(t, found.Keys, 1)
			assert.True(t, key.Equal(found.Keys[0].Private))
		})
	}
	t.Run("PKCS#7", func(t *testing.T) {
		for _, form := range []string{"DER", "PEM"} {
			openssl(t, dir, "crl2pkcs7", "-nocrl", "-certfile", "cert.pem", "-outform", form, "-out", "out")
			found, err := Read(read(t, dir, "out"), never(t))
			require.NoError(t, err)
			require.Len(t, found.Certificates, 1)
			assert.Equal(t, c.Raw, found.Certificates[0].Raw)
		}
	})
	t.Run("scrypt is said to be unsupported", func(t *testing.T) {
		openssl(t, dir, "pkcs8", "-topk8", "-scrypt", "-in", "key.pem", "-passout", "env:PASSWORD", "-out", "out")
		_, err := Read(read(t, dir, "out"), with(password))
		assert.Equal(t, problem.Unsupported, problem.CodeOf(err))
	})
	t.Run("so is a PEM key encrypted the old way, with the cure", func(t *testing.T) {
		openssl(t, dir, "ec", "-aes128", "-in", "key.pem", "-passout", "env:PASSWORD", "-out", "out")
		_, err := Read(read(t, dir, "out"), never(t))
		assert.Equal(t, problem.Unsupported, problem.CodeOf(err))
		assert.Contains(t, problem.DetailOf(err), "openssl pkcs8 -topk8")
	})
	t.Run("an RSA key, bare as PKCS#1", func(t *testing.T) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
		for _, b := range [][]byte{
			x509.MarshalPKCS1PrivateKey(key),
			pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		} {
			found, err := Read(b, never(t))
			require.NoError(t, err)
			assert.True(t, key.Equal(found.Keys[0].Private))
		}
	})
}

func TestFilesOfTheLibraryAreRead(t *testing.T) {
	key, other := newKey(t), newKey(t)
	c, issuer := certify(t, key, "Jan"), certify(t, other, "CA")
	for name, encoder := range map[string]*pkcs12.Encoder{
		"RC2": pkcs12.LegacyRC2, "triple DES": pkcs12.LegacyDES, "AES": pkcs12.Modern2023, "a PBMAC1 code": pkcs12.Modern2026,
	} {
		t.Run(name, func(t *testing.T) {
			for _, password := range []string{password, "", "changeit"} {
				file, err := encoder.Encode(key, c, []*x509.Certificate{issuer}, password)
				require.NoError(t, err)
				found, err := Read(file, with(password))
				require.NoError(t, err)
				assert.True(t, key.Equal(found.Keys[0].Private))
				assert.Len(t, found.Certificates, 2)
				_, err = Read(file, with("wrong"))
				assert.Equal(t, problem.PINIncorrect, problem.CodeOf(err))
			}
		})
	}
}

func TestSeveralKeysWithTheirNames(t *testing.T) {
	testtool.NotWine(t, "keytool is a program of the system that runs Wine")
	dir := testtool.TempDir(t)
	for _, alias := range []string{"pierwszy", "drugi"} {
		cmd := exec.Command(testtool.Need(t, "keytool"), "-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN="+alias, "-alias", alias,
			"-storetype", "PKCS12", "-keystore", "store", "-storepass", "changeit")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	found, err := Read(read(t, dir, "store"), with("changeit"))
	require.NoError(t, err)
	var names []string
	for _, k := range found.Keys {
		names = append(names, k.Label)
	}
	assert.ElementsMatch(t, []string{"pierwszy", "drugi"}, names)
	assert.Len(t, found.Certificates, 2)
}

// indefinite writes constructed values with indefinite lengths and OCTET STRINGs in pieces, as older programs do.
func indefinite(t *testing.T, der []byte) []byte {
	identifier, rest, n, err := header(der)
	require.NoError(t, err)
	content := rest[:n]
	if identifier[0]&tagConstructed != 0 {
		out := append(bytes.Clone(identifier), 0x80)
		for len(content) > 0 {
			_, r, n, err := header(content)
			require.NoError(t, err)
			end := len(content) - len(r) + n
			out = append(out, indefinite(t, content[:end])...)
			content = content[end:]
		}
		return append(out, 0, 0)
	}
	if (identifier[0] == tagOctetString || identifier[0] == 0x80) && n > 1 {
		// A content that is a value itself is written like this too, where its MAC does not cover it.
		out := []byte{identifier[0] | tagConstructed, 0x80}
		for _, piece := range [][]byte{content[:n/2], content[n/2:]} {
			out = append(out, appendValue([]byte{tagOctetString}, piece)...)
		}
		return append(out, 0, 0)
	}
	return der
}

func TestBERIsRead(t *testing.T) {
	key := newKey(t)
	c := certify(t, key, "Jan")
	file, err := pkcs12.LegacyRC2.Encode(key, c, nil, password)
	require.NoError(t, err)
	ber := indefinite(t, file)
	require.NotEqual(t, file, ber)
	found, err := Read(ber, with(password))
	require.NoError(t, err)
	assert.True(t, key.Equal(found.Keys[0].Private))
	again, err := definite(ber)
	require.NoError(t, err)
	assert.Equal(t, file, again, "what was DER comes back octet for octet")

	t.Run("within the contents too", func(t *testing.T) {
		// RFC 7292, 4.1, without a MAC: PFX { 3, data { [ encryptedData ] } }, all but the outermost in BER.
		var pfx struct {
			Version  int
			AuthSafe struct {
				Type    asn1.ObjectIdentifier
				Content asn1.RawValue `asn1:"explicit,tag:0"`
			}
			Mac asn1.RawValue `asn1:"optional"`
		}
		_, err := asn1.Unmarshal(file, &pfx)
		require.NoError(t, err)
		var safe []byte
		_, err = asn1.Unmarshal(pfx.AuthSafe.Content.Bytes, &safe)
		require.NoError(t, err)
		pfx.AuthSafe.Content = asn1.RawValue{}
		octets, err := asn1.Marshal(indefinite(t, safe))
		require.NoError(t, err)
		oid, err := asn1.Marshal(pfx.AuthSafe.Type)
		require.NoError(t, err)
		info := appendValue([]byte{0x30}, append(oid, appendValue([]byte{0xa0}, octets)...))
		found, err := Read(appendValue([]byte{0x30}, append([]byte{2, 1, 3}, info...)), with(password))
		require.NoError(t, err)
		assert.True(t, key.Equal(found.Keys[0].Private))
		assert.Equal(t, c.Raw, found.Certificates[0].Raw)
	})
}

func TestWeakKeysAreNamed(t *testing.T) {
	pkcs8 := func(key any) []byte {
		b, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		return b
	}
	dir := testtool.TempDir(t)
	openssl(t, dir, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:512", "-out", "rsa512")
	openssl(t, dir, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1", "-out", "k1")
	openssl(t, dir, "ecparam", "-name", "brainpoolP256r1", "-genkey", "-noout", "-out", "brainpool")
	openssl(t, dir, "ecparam", "-name", "prime256v1", "-genkey", "-param_enc", "explicit", "-noout", "-out", "explicit")
	dsaKey, err := asn1.Marshal(struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}{0, pkix.AlgorithmIdentifier{Algorithm: oidDSA}, []byte{2, 1, 1}})
	require.NoError(t, err)
	for name, file := range map[string][]byte{
		"RSA of 512 bits": read(t, dir, "rsa512"), "secp256k1": read(t, dir, "k1"), "brainpool": read(t, dir, "brainpool"),
		"a curve without a name": read(t, dir, "explicit"), "DSA": dsaKey,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(file, never(t))
			assert.Equal(t, problem.KeyWeak, problem.CodeOf(err), "%v", err)
		})
	}
	t.Run("P-521 is read, and it is the caller's to judge", func(t *testing.T) {
		key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		require.NoError(t, err)
		found, err := Read(pkcs8(key), never(t))
		require.NoError(t, err)
		assert.Len(t, found.Keys, 1)
	})
}

func TestWhatCannotBeReadIsSaid(t *testing.T) {
	key := newKey(t)
	c := certify(t, key, "Jan")
	file, err := pkcs12.Modern2023.WithIterations(2).Encode(key, c, nil, password)
	require.NoError(t, err)
	deep := bytes.Repeat([]byte{0x30, 0x80}, 1000)
	many := bytes.Repeat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), maxParts+1)
	// The MAC's count of iterations is the last INTEGER of the file.
	require.Equal(t, []byte{2, 1, 2}, file[len(file)-3:])
	for name, tc := range map[string]struct {
		file []byte
		want problem.Code
	}{
		"nothing":             {nil, problem.DocumentUnreadable},
		"text":                {[]byte("hello"), problem.DocumentUnreadable},
		"an empty PEM":        {[]byte("-----BEGIN CERTIFICATE-----\n"), problem.DocumentUnreadable},
		"a PEM of rubbish":    {[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), problem.DocumentUnreadable},
		"cut short":           {file[:len(file)-1], problem.DocumentUnreadable},
		"octets at the end":   {append(bytes.Clone(file), 0), problem.DocumentUnreadable},
		"too deep":            {deep, problem.DocumentUnreadable},
		"too long":            {make([]byte, MaxFile+1), problem.TooLarge},
		"too many":            {many, problem.TooLarge},
		"no iterations":       {append(bytes.Clone(file[:len(file)-1]), 0), problem.TooLarge},
		"a negative count":    {append(bytes.Clone(file[:len(file)-1]), 0x80), problem.TooLarge},
		"a sequence of nulls": {[]byte{0x30, 4, 5, 0, 5, 0}, problem.DocumentUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(tc.file, with(password))
			assert.Equal(t, tc.want, problem.CodeOf(err), "%v", err)
		})
	}
	t.Run("a file that would keep the processor busy for an hour", func(t *testing.T) {
		r := &reader{ask: with(password), work: maxAllIteration}
		assert.Equal(t, problem.TooLarge, problem.CodeOf(r.spend(1<<40, 1)))
		assert.Equal(t, problem.TooLarge, problem.CodeOf(r.spend(int(^uint(0)>>1)/3+2, 3)), "nor does it overflow")
		for range 4 {
			require.NoError(t, r.spend(maxIterations, 1))
		}
		assert.Equal(t, problem.TooLarge, problem.CodeOf(r.spend(1, 1)), "many small parts are one large one")
	})
	t.Run("who is asked and says nothing ends it", func(t *testing.T) {
		gone := errors.New("gone")
		_, err := Read(file, func() ([]byte, error) { return nil, gone })
		assert.ErrorIs(t, err, gone)
	})
	t.Run("the password is in no error and is overwritten", func(t *testing.T) {
		secret := []byte("Geheimnis-1234")
		_, err := Read(file, func() ([]byte, error) { return secret, nil })
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "Geheimnis")
		assert.Equal(t, make([]byte, len(secret)), secret)
	})
}

func TestRC2IsThatOfItsSpecification(t *testing.T) {
	// RFC 2268, 5: with as many effective bits as the key has.
	for name, v := range map[string][3]string{
		"64 bits": {"\xff\xff\xff\xff\xff\xff\xff\xff", "\xff\xff\xff\xff\xff\xff\xff\xff", "\x27\x8b\x27\xe4\x2e\x2f\x0d\x49"},
		"64 bits, nearly zero": {"\x30\x00\x00\x00\x00\x00\x00\x00", "\x10\x00\x00\x00\x00\x00\x00\x01",
			"\x30\x64\x9e\xdf\x9b\xe7\xd2\xc2"},
		"128 bits": {"\x88\xbc\xa9\x0e\x90\x87\x5a\x7f\x0f\x79\xc3\x84\x62\x7b\xaf\xb2", strings.Repeat("\x00", 8), "\x22\x69\x55\x2a\xb0\xf8\x5c\xa6"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := newRC2([]byte(v[0]))
			require.NoError(t, err)
			var plain [8]byte
			c.Decrypt(plain[:], []byte(v[2]))
			assert.Equal(t, v[1], string(plain[:]))
		})
	}
}

func FuzzRead(f *testing.F) {
	key := newKey(f)
	c := certify(f, key, "Jan")
	for _, e := range []*pkcs12.Encoder{pkcs12.LegacyRC2.WithIterations(1), pkcs12.LegacyDES.WithIterations(1), pkcs12.Modern2023.WithIterations(1), pkcs12.Modern2026.WithIterations(1)} {
		file, err := e.Encode(key, c, nil, "x")
		require.NoError(f, err)
		f.Add(file)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(f, err)
	f.Add(pkcs8)
	f.Add(c.Raw)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &reader{ask: with("x"), work: 1000}
		if bytes.Contains(b, []byte("-----BEGIN ")) {
			_ = r.readPEM(b)
		} else {
			_ = r.readDER(b)
		}
		require.LessOrEqual(t, len(r.found.Keys)+len(r.found.Certificates), 2*maxParts)
		for _, k := range r.found.Keys {
			require.NotNil(t, k.Private.Public())
		}
	})
}

func FuzzDefinite(f *testing.F) {
	key := newKey(f)
	file, err := pkcs12.LegacyRC2.WithIterations(1).Encode(key, certify(f, key, "Jan"), nil, "x")
	require.NoError(f, err)
	f.Add(file)
	f.Add([]byte{0x30, 0x80, 0x24, 0x80, 4, 1, 'a', 4, 1, 'b', 0, 0, 0, 0})
	f.Add([]byte{0x3f, 0x81, 0x00, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := definite(b)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(out), len(b)+4*len(b), "bounded memory")
		again, err := definite(out)
		require.NoError(t, err)
		require.Equal(t, out, again, "what is definite stays as it is")
	})
}
