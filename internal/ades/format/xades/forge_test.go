package xades

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"certsign/internal/ades"
	"certsign/internal/testpki"
	"certsign/internal/xmldsig"
)

// holds tells whether a signature's references and value fit, the value by one of the embedded certificates' keys.
func holds(s ades.UnverifiedSignature) bool {
	for _, r := range s.References {
		if len(r.Expected) == 0 || !bytes.Equal(r.Expected, r.Computed) {
			return false
		}
	}
	m := xmldsig.Method{URI: s.Algorithm.Name, Key: xmldsig.KeyType(s.Algorithm.Key), Hash: s.Algorithm.Hash, PSS: s.Algorithm.PSS, Salt: s.Algorithm.Salt}
	for _, der := range s.Certificates {
		c, err := x509.ParseCertificate(der)
		if err == nil && m.Check(c.PublicKey, s.Signed, s.Value) == nil {
			return len(s.References) > 0
		}
	}
	return false
}

// forgery makes signatures that Sign would never make; whatever is left empty is as Sign would have it. Digests and value
// are right for what the forgery says, unless a test breaks them afterwards.
type forgery struct {
	uri        string // of the first reference
	transforms string // of the first reference, as markup
	kind       string // Type of the first reference
	typed      string // Type of the reference to the properties
	properties string // inside SignedProperties
	objects    string // further objects
	unsigned   string // inside UnsignedSignatureProperties
	target     string
	method     string // canonicalization of SignedInfo
	sequel     string // further references
}

func (f forgery) sign(t testing.TB, document string) []byte {
	t.Helper()
	leaf := testpki.Root(t).Leaf(testpki.WithKind(testpki.P256))
	if f.typed == "" {
		f.typed = typeSignedProperties
	}
	if f.target == "" {
		f.target = "#forged"
	}
	if f.method == "" {
		f.method = xmldsig.C14N10
	}
	if f.transforms == "" && f.uri == "" {
		f.transforms = `<ds:Transform Algorithm="` + xmldsig.TransformEnveloped + `"/>`
	}
	if f.properties == "" {
		sum := sha256.Sum256(leaf.DER)
		f.properties = `<xades:SignedSignatureProperties><xades:SigningTime>2026-03-02T10:00:00+01:00</xades:SigningTime><xades:SigningCertificateV2><xades:Cert><xades:CertDigest>` +
			`<ds:DigestMethod Algorithm="` + xmldsig.DigestSHA256 + `"/><ds:DigestValue>` + base64.StdEncoding.EncodeToString(sum[:]) +
			`</ds:DigestValue></xades:CertDigest></xades:Cert></xades:SigningCertificateV2></xades:SignedSignatureProperties>`
	}
	if f.unsigned != "" {
		f.unsigned = `<xades:UnsignedProperties><xades:UnsignedSignatureProperties>` + f.unsigned + `</xades:UnsignedSignatureProperties></xades:UnsignedProperties>`
	}
	reference := func(uri, kind, transforms, digest string) string {
		if kind != "" {
			kind = ` Type="` + kind + `"`
		}
		if transforms != "" {
			transforms = `<ds:Transforms>` + transforms + `</ds:Transforms>`
		}
		return fmt.Sprintf(`<ds:Reference%s URI="%s">%s<ds:DigestMethod Algorithm="%s"/><ds:DigestValue>%s</ds:DigestValue></ds:Reference>`,
			kind, uri, transforms, xmldsig.DigestSHA256, digest)
	}
	digests := []any{"AAAA", "AAAA", "AAAA"}
	write := func(value string) string {
		second := fmt.Sprintf("%v", digests[1])
		return `<ds:Signature xmlns:ds="` + xmldsig.Namespace + `" Id="forged"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="` + f.method +
			`"/><ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"/>` +
			reference(f.uri, f.kind, f.transforms, fmt.Sprint(digests[0])) + reference("#props", f.typed, "", second) +
			strings.ReplaceAll(f.sequel, "DIGEST", fmt.Sprint(digests[2])) +
			`</ds:SignedInfo><ds:SignatureValue Id="value">` + value + `</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>` +
			base64.StdEncoding.EncodeToString(leaf.DER) + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo><ds:Object>` +
			`<xades:QualifyingProperties xmlns:xades="` + namespace132 + `" Target="` + f.target + `"><xades:SignedProperties Id="props">` + f.properties +
			`</xades:SignedProperties>` + f.unsigned + `</xades:QualifyingProperties></ds:Object>` + f.objects + `</ds:Signature>`
	}
	place := func(signature string) *xmldsig.Document {
		d, err := xmldsig.Read([]byte(insert(document, signature)), xmldsig.Limits{})
		require.NoError(t, err)
		return d
	}
	// Twice, because a reference may cover another's digest.
	for range 2 {
		d := place(write("AAAA"))
		sig := xmldsig.ParseSignature(xmldsig.Signatures(d)[0])
		resolver := xmldsig.NewResolver(d, nil)
		for i, ref := range sig.References {
			if got, err := resolver.Digest(sig, ref); err == nil {
				digests[min(i, 2)] = base64.StdEncoding.EncodeToString(got.Sum)
			}
		}
	}
	sig := xmldsig.ParseSignature(xmldsig.Signatures(place(write("AAAA")))[0])
	octets, err := sig.SignedOctets()
	require.NoError(t, err)
	value, err := sig.Method.Sign(leaf.Key, octets)
	require.NoError(t, err)
	return []byte(insert(document, write(base64.StdEncoding.EncodeToString(value))))
}

// insert puts markup where SIGNATURE stands, or before the last end tag.
func insert(document, markup string) string {
	if strings.Contains(document, "SIGNATURE") {
		return strings.Replace(document, "SIGNATURE", markup, 1)
	}
	i := strings.LastIndex(document, "</")
	return document[:i] + markup + document[i:]
}
