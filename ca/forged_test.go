package ca_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/ca"
	"certsign/internal/xmldsig"
)

// forger makes signatures that are right in every digest and value, and sign something else than they seem to.
type forger struct {
	t     *testing.T
	key   *ecdsa.PrivateKey
	chain [][]byte
	at    time.Time
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

const (
	exclusive = xmldsig.ExcC14N10
	enveloped = xmldsig.Namespace + "enveloped-signature"
	sha256URI = "http://www.w3.org/2001/04/xmlenc#sha256"
)

func dataReference(uri, digest string, transforms ...string) string {
	s := `<ds:Reference Id="sig-document" URI="` + uri + `"><ds:Transforms>`
	for _, t := range transforms {
		s += `<ds:Transform Algorithm="` + t + `"/>`
	}
	return s + `</ds:Transforms><ds:DigestMethod Algorithm="` + sha256URI + `"/><ds:DigestValue>` + digest + `</ds:DigestValue></ds:Reference>`
}

// seal puts a signature with those references and that object before the end of the document's root.
func (f forger) seal(before, after, references, object string) []byte {
	f.t.Helper()
	properties := `<xades:SignedProperties Id="sig-properties"><xades:SignedSignatureProperties><xades:SigningTime>` + f.at.UTC().Format("2006-01-02T15:04:05Z") +
		`</xades:SigningTime><xades:SigningCertificateV2><xades:Cert><xades:CertDigest><ds:DigestMethod Algorithm="` + sha256URI + `"/><ds:DigestValue>` + digestOf(f.chain[0]) +
		`</ds:DigestValue></xades:CertDigest></xades:Cert></xades:SigningCertificateV2></xades:SignedSignatureProperties><xades:SignedDataObjectProperties>` +
		`<xades:DataObjectFormat ObjectReference="#sig-document"><xades:MimeType>application/xml</xades:MimeType></xades:DataObjectFormat></xades:SignedDataObjectProperties></xades:SignedProperties>`
	make := func(info, value string) []byte {
		return []byte(before + `<ds:Signature xmlns:ds="` + xmldsig.Namespace + `" Id="sig">` + info + `<ds:SignatureValue>` + value + `</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>` +
			base64.StdEncoding.EncodeToString(f.chain[0]) + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo>` + object +
			`<ds:Object><xades:QualifyingProperties xmlns:xades="http://uri.etsi.org/01903/v1.3.2#" Target="#sig">` + properties + `</xades:QualifyingProperties></ds:Object></ds:Signature>` + after)
	}
	form := func(doc []byte, space, name string) []byte {
		tree, err := xmldsig.Read(doc, xmldsig.Limits{})
		require.NoError(f.t, err)
		for n := range tree.Root().Descendants() {
			if n.Is(space, name) {
				b, err := xmldsig.Canonicalization{Kind: xmldsig.Exclusive10}.Bytes(xmldsig.Subtree(n))
				require.NoError(f.t, err)
				return b
			}
		}
		f.t.Fatalf("no %s", name)
		return nil
	}
	info := `<ds:SignedInfo><ds:CanonicalizationMethod Algorithm="` + exclusive + `"/><ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"/>` + references +
		`<ds:Reference URI="#sig-properties" Type="http://uri.etsi.org/01903#SignedProperties"><ds:Transforms><ds:Transform Algorithm="` + exclusive + `"/></ds:Transforms><ds:DigestMethod Algorithm="` +
		sha256URI + `"/><ds:DigestValue>%s</ds:DigestValue></ds:Reference></ds:SignedInfo>`
	info = fmt.Sprintf(info, digestOf(form(make(fmt.Sprintf(info, ""), ""), "http://uri.etsi.org/01903/v1.3.2#", "SignedProperties")))
	method, err := xmldsig.MethodFor(f.key.Public())
	require.NoError(f.t, err)
	value, err := method.Sign(f.key, form(make(info, ""), xmldsig.Namespace, "SignedInfo"))
	require.NoError(f.t, err)
	return make(info, base64.StdEncoding.EncodeToString(value))
}

func TestADocumentThatIsNotTheDraftIsRefusedHoweverItWasSigned(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna := h.anna()
	c, key := h.obtain(anna)
	f := forger{t: t, key: key, chain: [][]byte{c.DER, h.issuing.Raw}, at: h.now()}
	const draft = `<Declaration Id="d"><Value>100000</Value></Declaration>`
	const altered = `<Declaration Id="d"><Value>1</Value></Declaration>`
	open, body, end := `<Declaration Id="d">`, `<Value>100000</Value>`, `</Declaration>`

	submit := func(signed []byte) *ca.Document {
		d, err := h.desk.AddDocument(ctx, anna.ID, "d.xml", "application/xml", []byte(draft))
		require.NoError(t, err)
		d, err = h.desk.Submit(ctx, anna.ID, d.ID, signed)
		require.NoError(t, err)
		return d
	}
	whole := dataReference("", digestOf([]byte(draft)), enveloped, exclusive)

	d := submit(f.seal(open+body, end, whole, ""))
	require.Equal(t, ca.Sent, d.State, "the forger's signatures are right: %s %s", d.Problem, d.Detail)

	onlyHidden := f.seal(open+`<Value>1</Value>`, end,
		dataReference("#sig-hidden", digestOf([]byte(draft)), xmldsig.Namespace+"base64"),
		`<ds:Object Id="sig-hidden">`+base64.StdEncoding.EncodeToString([]byte(draft))+`</ds:Object>`)
	assert.Equal(t, ca.RefusedSignature, submit(onlyHidden).Problem, "only the hidden draft is signed")

	for name, signed := range map[string][]byte{
		"the draft hides in an object, and another reference covers the altered document": f.seal(open+`<Value>1</Value>`, end,
			dataReference("", digestOf([]byte(altered)), enveloped, exclusive)+dataReference("#sig-hidden", digestOf([]byte(draft)), xmldsig.Namespace+"base64"),
			`<ds:Object Id="sig-hidden">`+base64.StdEncoding.EncodeToString([]byte(draft))+`</ds:Object>`),
		"instructions before the root that nobody signed": append([]byte(`<?xml-stylesheet href="https://elsewhere.example/x.xsl"?>`),
			f.seal(open+body, end, dataReference("#d", digestOf([]byte(draft)), enveloped, exclusive), "")...),
		"a comment that nobody signed": f.seal(open+`<!-- is 1 -->`+body, end, whole, ""),
		"the draft is signed twice":    f.seal(open+body, end, whole+dataReference("#d", digestOf([]byte(draft)), enveloped, exclusive), ""),
	} {
		t.Run(name, func(t *testing.T) {
			d := submit(signed)
			assert.Equal(t, ca.Refused, d.State)
			assert.Nil(t, d.Receipt)
			assert.Equal(t, ca.RefusedChanged, d.Problem, d.Detail)
		})
	}
}
