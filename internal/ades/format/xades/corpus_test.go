package xades

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/ades"
	"certsign/internal/pkix"
	"certsign/internal/problem"
	"certsign/internal/testtool"
	"certsign/internal/xmldsig"
)

type vector testtool.CorpusFile

func manifest(t testing.TB, dir string, folders ...string) []vector {
	t.Helper()
	var all []vector
	for _, f := range testtool.CorpusFiles(t, dir, folders...) {
		if strings.HasPrefix(f.File, "xmldsig/e1123c") {
			f.Aux = "aux/4075a7-rsa-4096-cert.der=rsa-4096-cert.der" // its key, which the manifest does not name
		}
		all = append(all, vector(f))
	}
	return all
}

func (v vector) read(t testing.TB, dir string) (ades.Document, []ades.Document) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, v.File))
	require.NoError(t, err)
	var detached []ades.Document
	for pair := range strings.SplitSeq(v.Aux, ";") {
		file, name, ok := strings.Cut(pair, "=")
		if !ok {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		detached = append(detached, ades.Document{Name: name, Content: bytes.NewReader(content)})
	}
	return ades.Document{Name: filepath.Base(v.File), Content: bytes.NewReader(raw)}, detached
}

// keys returns every public key that comes with a vector: of embedded certificates, of ds:KeyValue, and of the key files.
func (v vector) keys(t testing.TB, dir string, s ades.UnverifiedSignature) (out []crypto.PublicKey) {
	t.Helper()
	for _, der := range s.Certificates {
		if c, err := pkix.ParseCertificate(der); err == nil {
			out = append(out, c.PublicKey)
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, v.File))
	require.NoError(t, err)
	if d, err := xmldsig.Read(raw, xmldsig.Limits{}); err == nil {
		for k := range d.Node().Named(xmldsig.Namespace, "RSAKeyValue") {
			n, _ := xmldsig.Base64(k.Child(xmldsig.Namespace, "Modulus"))
			e, _ := xmldsig.Base64(k.Child(xmldsig.Namespace, "Exponent"))
			out = append(out, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())})
		}
		for k := range d.Node().Named("http://www.w3.org/2009/xmldsig11#", "PublicKey") {
			point, _ := xmldsig.Base64(k)
			for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
				if key, err := ecdsa.ParseUncompressedPublicKey(curve, point); err == nil {
					out = append(out, key)
				}
			}
		}
	}
	for pair := range strings.SplitSeq(v.Aux, ";") {
		file, _, _ := strings.Cut(pair, "=")
		der, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			continue
		}
		if block, _ := pem.Decode(der); block != nil {
			der = block.Bytes
		}
		if c, err := pkix.ParseCertificate(der); err == nil {
			out = append(out, c.PublicKey)
		}
		if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
			out = append(out, k.(crypto.Signer).Public())
		}
		if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
			out = append(out, k.Public())
		}
		if k, err := x509.ParseECPrivateKey(der); err == nil {
			out = append(out, k.Public())
		}
	}
	return out
}

// Vectors that are good where their own projects run them, and that we do not take, each with the reason.
var declined = map[string]string{
	"xades/03276c":   "general XPath",
	"xades/c3da30":   "an elliptic curve that is not supported",
	"xmldsig/9dc810": "general XPath",
	"xmldsig/5fa351": "the relationship transform of office documents",
	"xmldsig/646d5b": "relative namespace names", "xmldsig/76a192": "relative namespace names", "xmldsig/ee7c1b": "relative namespace names",
	"xmldsig/8ee89f": "an ECDSA value with leading zeros, longer than XML Signature allows",
	"xmldsig/92b5f2": "an ECDSA value in DER, which XML Signature does not allow",
	"xmldsig/d1a562": "a document type declaration",
	"xmldsig/a6f6d1": "the value of the outer signature does not fit, as xmlsec1 finds too",
	"xmldsig/70ec9a": "the certificate is not in the corpus",
}

// Vectors that deserve to fail for reasons that parsing does not judge, and validation with certificates, time stamps or
// other documents does.
var beyond = map[string]string{
	"xades/643544": "its test hands in another document of the same name",
	"xades/a0dde6": "references to certificates that are not signed",
	"xades/b23903": "the digest of a time stamp",
}

func reason(list map[string]string, file string) (string, bool) {
	folder, name, _ := strings.Cut(file, "/")
	why, ok := list[folder+"/"+name[:6]]
	return why, ok && why != ""
}

// external are the documents that some vectors refer to by an address, under which they are handed in; nothing is fetched.
var external = map[string]string{
	"http://www.w3.org/TR/xml-stylesheet":                    "xml-stylesheet-2005",
	"http://www.w3.org/Signature/2002/04/xml-stylesheet.b64": "xml-stylesheet-2005.b64",
	"http://www.ietf.org/rfc/rfc3161.txt":                    "rfc3161.txt",
}

func TestOtherProjectsSignaturesAreIntactExactlyWhereTheyDeserveIt(t *testing.T) {
	dir := testtool.Corpus(t)
	taken, valueless := 0, 0
	for _, v := range manifest(t, dir, "xades", "xmldsig", "xml-attack") {
		t.Run(v.File, func(t *testing.T) {
			d, detached := v.read(t, dir)
			for uri, name := range external {
				for _, other := range detached {
					if other.Name == name {
						other.Name = uri
						detached = append(detached, other)
						break
					}
				}
			}
			u, err := Codec{}.Parse(context.Background(), d, detached...)
			whole, why := err == nil, ""
			if err != nil {
				assert.NotEqual(t, problem.Internal, problem.CodeOf(err))
				why = err.Error()
			} else {
				for i, s := range u.Signatures {
					ok, said := v.judge(t, dir, s)
					if !ok {
						whole, why = false, why+fmt.Sprintf(" %d: %s;", i, said)
					}
					if said == "unsupported key" {
						valueless++
					}
				}
			}
			switch {
			case strings.HasPrefix(v.Expected, "VALID-CRYPTO"):
				if r, ok := reason(declined, v.File); ok {
					assert.False(t, whole, "declined because of %s", r)
					return
				}
				assert.True(t, whole, why)
				taken++
			case strings.HasPrefix(v.Expected, "INVALID-CERT-CHAIN"):
			case strings.HasPrefix(v.Expected, "INVALID"), strings.HasPrefix(v.Expected, "NOTVALID"), strings.HasPrefix(v.Expected, "INDETERMINATE"):
				if _, ok := reason(beyond, v.File); !ok {
					assert.False(t, whole, "expected %s", v.Expected)
				}
			}
		})
	}
	t.Logf("%d intact, of %d signatures the value was not judged (DSA, HMAC)", taken, valueless)
}

// judge tells whether a signature is intact, and otherwise why not. Values by DSA and HMAC keys are not judged, only digests.
func (v vector) judge(t testing.TB, dir string, s ades.UnverifiedSignature) (bool, string) {
	for _, d := range s.Defects {
		return false, d.Text
	}
	for _, r := range s.References {
		if len(r.Expected) == 0 || !bytes.Equal(r.Expected, r.Computed) {
			return false, "reference " + r.URI + ": " + r.NotFound
		}
	}
	if s.Algorithm.Key == ades.Unknown {
		return true, "unsupported key"
	}
	m := xmldsig.Method{Key: xmldsig.KeyType(s.Algorithm.Key), Hash: s.Algorithm.Hash, PSS: s.Algorithm.PSS, Salt: s.Algorithm.Salt}
	for _, k := range v.keys(t, dir, s) {
		if m.Check(k, s.Signed, s.Value) == nil {
			return true, ""
		}
	}
	return false, "the value"
}
