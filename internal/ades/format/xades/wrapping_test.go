package xades

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/ades"
	"certsign/internal/problem"
	"certsign/internal/testpki"
	"certsign/internal/xmldsig"
)

const part = `<r><part Id="part">Zgłoszenie</part></r>`

func TestAForgeryWithoutAFaultIsIntact(t *testing.T) {
	all := parsed(t, forgery{}.sign(t, part))
	require.Len(t, all, 1)
	assert.True(t, intact(t, all[0]), "%v", all[0].Defects)
	assert.Equal(t, ades.CoversWhole, all[0].Coverage)
	assert.Equal(t, time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), all[0].ClaimedSigningTime)
}

// What is signed stays signed, but somewhere else: signature wrapping.
func TestWrappedDocumentsAreNotTakenForSignedOnes(t *testing.T) {
	byID := string(forgery{uri: "#part"}.sign(t, part))
	exclusively := string(forgery{uri: "#part", transforms: `<ds:Transform Algorithm="` + xmldsig.ExcC14N10 + `"/>`}.sign(t, part))
	whole := string(forgery{}.sign(t, part))
	replace := func(s, old, new string) string {
		out := strings.Replace(s, old, new, 1)
		require.NotEqual(t, s, out)
		return out
	}
	original := `<part Id="part">Zgłoszenie</part>`
	tests := map[string]struct {
		document string
		intact   bool // the signature itself may be intact as long as it says that it covers a part only
	}{
		"a second element with the same Id before the signed one":  {replace(byID, original, `<part Id="part">Inne</part>`+original), false},
		"a second element with the same ID in another attribute":   {replace(byID, original, `<part id="part">Inne</part>`+original), false},
		"a second element with the same xml:id":                    {replace(byID, original, `<part xml:id="part">Inne</part>`+original), false},
		"the signed element moved into a wrapper and another left": {replace(byID, original, `<part Id="x">Inne</part><w>`+original+`</w>`), true},
		"the signed element moved into an object of the signature": {replace(replace(exclusively, original, `<part>Inne</part>`), `</ds:Object></ds:Signature>`, `</ds:Object><ds:Object>`+original+`</ds:Object></ds:Signature>`), true},
		"something added to a document signed as a whole":          {replace(whole, `<r>`, `<r><inne/>`), false},
		"something changed in a document signed as a whole":        {replace(whole, `Zgłoszenie`, `Zgloszenie`), false},
		"the whole document wrapped in another":                    {`<nowe><tresc/>` + whole + `</nowe>`, false},
		"a comment in a digest":                                    {replace(whole, `<ds:DigestValue>`, `<ds:DigestValue><!-- -->`), false},
		"an instruction in the value":                              {replace(whole, `<ds:SignatureValue Id="value">`, `<ds:SignatureValue Id="value"><?a?>`), false},
		"a second SignedInfo":                                      {replace(whole, `</ds:SignedInfo>`, `</ds:SignedInfo><ds:SignedInfo/>`), false},
		"a second value":                                           {replace(whole, `</ds:SignatureValue>`, `</ds:SignatureValue><ds:SignatureValue>AAAA</ds:SignatureValue>`), false},
		"text in the signature":                                    {replace(whole, `</ds:SignatureValue>`, `</ds:SignatureValue>x`), false},
		"a foreign element in the signature":                       {replace(whole, `</ds:SignatureValue>`, `</ds:SignatureValue><x/>`), false},
		"second qualifying properties before the signed ones":      {replace(whole, `<ds:Object>`, `<ds:Object><q:QualifyingProperties xmlns:q="`+namespace132+`" Target="#forged"/></ds:Object><ds:Object>`), false},
		"properties for another signature":                         {replace(whole, `Target="#forged"`, `Target="#other"`), false},
		"the signature's Id a second time":                         {replace(byID, original, original+`<x Id="forged"/>`), false},
		"the properties' Id a second time":                         {replace(byID, original, original+`<x Id="props"/>`), false},
		"the signed properties moved out of the signature": {func() string {
			from, to := strings.Index(byID, `<xades:SignedProperties`), strings.Index(byID, `</xades:SignedProperties>`)+len(`</xades:SignedProperties>`)
			moved := strings.Replace(byID[from:to], `<xades:SignedProperties`, `<xades:SignedProperties xmlns:xades="`+namespace132+`" xmlns:ds="`+xmldsig.Namespace+`"`, 1)
			return replace(byID[:from]+byID[to:], original, original+moved)
		}(), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all := parsed(t, []byte(test.document))
			require.Len(t, all, 1)
			if test.intact {
				assert.True(t, intact(t, all[0]), "%v", all[0].Defects)
			} else {
				assert.False(t, intact(t, all[0]))
			}
			if intact(t, all[0]) {
				assert.Equal(t, ades.CoversPart, all[0].Coverage)
				assert.Contains(t, string(all[0].References[0].Data), "Zgłoszenie", "the data returned is what was signed")
			}
		})
	}
}

func TestAnotherSignatureElementIsNeverOverlooked(t *testing.T) {
	raw := string(forgery{transforms: `<ds:Transform Algorithm="` + xmldsig.TransformXPath + `"><ds:XPath>not(ancestor-or-self::ds:Signature)</ds:XPath></ds:Transform>`}.sign(t, part))
	// It leaves out everything in a ds:Signature, so something could be hidden in one.
	hidden := strings.Replace(raw, `<r>`, `<r><s:Signature xmlns:s="`+xmldsig.Namespace+`"><s:Object>Inne zgłoszenie</s:Object></s:Signature>`, 1)
	all := parsed(t, []byte(hidden))
	require.Len(t, all, 2)
	assert.NotEmpty(t, all[0].Defects)
	assert.True(t, intact(t, all[1]))
	assert.NotContains(t, string(all[1].References[0].Data), "Inne")
}

func TestOddSignaturesAreReadForWhatTheyAre(t *testing.T) {
	object := `<ds:Object Id="object">Treść</ds:Object>`
	tests := map[string]struct {
		forgery   forgery
		defects   string // part of the first defect; "" for none
		notFound  string
		coverage  ades.Coverage
		packaging ades.Packaging
	}{
		"an enveloping signature":                    {forgery: forgery{uri: "#object", objects: object}, coverage: ades.CoversPart, packaging: ades.Enveloping},
		"of type object":                             {forgery: forgery{uri: "#object", objects: object, kind: xmldsig.Namespace + "Object"}, coverage: ades.CoversPart, packaging: ades.Enveloping},
		"an object inside an object":                 {forgery: forgery{uri: "#object", objects: `<ds:Object>` + object + `</ds:Object>`}, notFound: "something other than an object of its own", packaging: ades.Detached},
		"of type object but none":                    {forgery: forgery{uri: "#part", kind: xmldsig.Namespace + "Object"}, notFound: "something other than an object of its own", packaging: ades.Detached},
		"of type manifest but none":                  {forgery: forgery{uri: "#part", kind: xmldsig.Namespace + "Manifest"}, notFound: "something other than a manifest", packaging: ades.Detached},
		"a detached signature in the same document":  {forgery: forgery{uri: "#part"}, coverage: ades.CoversPart, packaging: ades.Detached},
		"a reference to nothing":                     {forgery: forgery{uri: "#nothing"}, notFound: "was not found", packaging: ades.Detached},
		"a reference to the network":                 {forgery: forgery{uri: "http://example.com/a.xml"}, notFound: "was not found", packaging: ades.Detached},
		"a reference to a file":                      {forgery: forgery{uri: "file:///etc/passwd"}, notFound: "was not found", packaging: ades.Detached},
		"XSLT":                                       {forgery: forgery{uri: "#part", transforms: `<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>`}, notFound: "not allowed", packaging: ades.Detached},
		"general XPath":                              {forgery: forgery{transforms: `<ds:Transform Algorithm="` + xmldsig.TransformXPath + `"><ds:XPath>count(//x) = 0</ds:XPath></ds:Transform>`}, notFound: "XPath", packaging: ades.Detached},
		"XPath that keeps a part":                    {forgery: forgery{transforms: `<ds:Transform Algorithm="` + xmldsig.TransformXPath + `"><ds:XPath>ancestor-or-self::part</ds:XPath></ds:Transform>`}, coverage: ades.CoversPart, packaging: ades.Enveloped},
		"XPath that leaves out the content":          {forgery: forgery{transforms: `<ds:Transform Algorithm="` + xmldsig.TransformEnveloped + `"/><ds:Transform Algorithm="` + xmldsig.TransformXPath + `"><ds:XPath>not(ancestor-or-self::part)</ds:XPath></ds:Transform>`}, coverage: ades.CoversPart, packaging: ades.Enveloped},
		"no type on the reference to the properties": {forgery: forgery{typed: "urn:x"}, defects: "does not say so in its Type", coverage: ades.CoversWhole, packaging: ades.Enveloping},
		"the type on another reference":              {forgery: forgery{uri: "#part", kind: typeSignedProperties}, defects: "leads to something else", coverage: ades.CoversPart, packaging: ades.Detached},
		"the properties signed twice":                {forgery: forgery{sequel: `<ds:Reference Type="` + typeSignedProperties + `" URI="#props"><ds:DigestMethod Algorithm="` + xmldsig.DigestSHA256 + `"/><ds:DigestValue>DIGEST</ds:DigestValue></ds:Reference>`}, defects: "a second reference to the signed properties", coverage: ades.CoversWhole, packaging: ades.Enveloping},
		"a countersignature's type outside one":      {forgery: forgery{uri: "#part", kind: typeCountersigned}, defects: "outside CounterSignature", coverage: ades.CoversPart, packaging: ades.Detached},
		"a time that is none":                        {forgery: forgery{properties: `<xades:SignedSignatureProperties><xades:SigningTime>wczoraj</xades:SigningTime></xades:SignedSignatureProperties>`}, defects: "no time", coverage: ades.CoversWhole, packaging: ades.Enveloped},
		"a format of data that is not signed":        {forgery: forgery{properties: `<xades:SignedDataObjectProperties><xades:DataObjectFormat ObjectReference="#x"/></xades:SignedDataObjectProperties>`}, defects: "does not sign", coverage: ades.CoversWhole, packaging: ades.Enveloped},
		"an embedded certificate that is none":       {forgery: forgery{unsigned: `<xades:CertificateValues><xades:EncapsulatedX509Certificate>AAAA</xades:EncapsulatedX509Certificate></xades:CertificateValues>`}, defects: "no certificate", coverage: ades.CoversWhole, packaging: ades.Enveloped},
		"another canonicalization":                   {forgery: forgery{method: xmldsig.C14N11}, coverage: ades.CoversWhole, packaging: ades.Enveloped},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all := parsed(t, test.forgery.sign(t, part))
			require.Len(t, all, 1)
			s := all[0]
			if test.defects == "" {
				assert.Empty(t, s.Defects)
			} else if assert.NotEmpty(t, s.Defects) {
				assert.Contains(t, s.Defects[0].Text, test.defects)
				assert.Equal(t, ades.FormatFailure, s.Defects[0].SubIndication)
			}
			if test.notFound != "" {
				assert.Contains(t, s.References[0].NotFound, test.notFound)
				assert.Nil(t, s.References[0].Computed)
				assert.Nil(t, s.References[0].Data)
				test.coverage = ades.CoversPart
			}
			assert.Equal(t, test.coverage, s.Coverage)
			assert.Equal(t, test.packaging, s.Packaging)
		})
	}
}

func TestPropertiesThatNoReferenceSignsAreNotRead(t *testing.T) {
	s := parsed(t, forgery{typed: "urn:x"}.sign(t, part))[0]
	assert.Empty(t, s.SigningCertificate)
	assert.Zero(t, s.ClaimedSigningTime)
	assert.Empty(t, s.Level)
}

func TestRolesAndOldReferencesToTheCertificateAreRead(t *testing.T) {
	sum := "<xades:CertDigest><ds:DigestMethod Algorithm=\"" + xmldsig.DigestSHA256 + "\"/><ds:DigestValue>AAECAw==</ds:DigestValue></xades:CertDigest>"
	s := parsed(t, forgery{properties: `<xades:SignedSignatureProperties><xades:SigningTime>2026-03-02T09:00:00.5</xades:SigningTime>` +
		`<xades:SigningCertificate><xades:Cert>` + sum + `<xades:IssuerSerial><ds:X509IssuerName>CN=X</ds:X509IssuerName><ds:X509SerialNumber> 1234567890123456789012 </ds:X509SerialNumber></xades:IssuerSerial></xades:Cert></xades:SigningCertificate>` +
		`<xades:SignerRole><xades:ClaimedRoles><xades:ClaimedRole> agent celny </xades:ClaimedRole><xades:ClaimedRole><z:PodpisZP xmlns:z="http://crd.gov.pl/xml/schematy/ppzp/"><z:Imie>Łucja</z:Imie></z:PodpisZP></xades:ClaimedRole></xades:ClaimedRoles></xades:SignerRole>` +
		`</xades:SignedSignatureProperties>`}.sign(t, part))[0]
	assert.Empty(t, s.Defects)
	require.Len(t, s.SigningCertificate, 1)
	assert.Equal(t, 1, s.SigningCertificate[0].Version)
	assert.Equal(t, "1234567890123456789012", s.SigningCertificate[0].SerialNumber)
	assert.Equal(t, []byte{0, 1, 2, 3}, s.SigningCertificate[0].Digest)
	assert.Equal(t, []string{"agent celny", `<z:PodpisZP xmlns:z="http://crd.gov.pl/xml/schematy/ppzp/"><z:Imie>Łucja</z:Imie></z:PodpisZP>`}, s.ClaimedRoles)
	assert.Equal(t, time.Date(2026, 3, 2, 9, 0, 0, 500_000_000, time.UTC), s.ClaimedSigningTime)
}

func TestTheLevelIsWhatTheStructureClaims(t *testing.T) {
	stamp := `<xades:SignatureTimeStamp/>`
	values := `<xades:CertificateValues/><xades:RevocationValues><xades:CRLValues><xades:EncapsulatedCRLValue>AQI=</xades:EncapsulatedCRLValue></xades:CRLValues>` +
		`<xades:OCSPValues><xades:EncapsulatedOCSPValue>AwQ=</xades:EncapsulatedOCSPValue></xades:OCSPValues></xades:RevocationValues>`
	for unsigned, want := range map[string]ades.Level{
		"": ades.LevelBB, stamp: ades.LevelBT, stamp + values: ades.LevelBLT, values: ades.LevelBB,
		stamp + values + `<a:ArchiveTimeStamp xmlns:a="` + namespace141 + `"/>`: ades.LevelBLTA,
	} {
		s := parsed(t, forgery{unsigned: unsigned}.sign(t, part))[0]
		assert.Equal(t, want, s.Level, unsigned)
		if strings.Contains(unsigned, values) {
			assert.Equal(t, [][]byte{{1, 2}}, s.CRLs)
			assert.Equal(t, [][]byte{{3, 4}}, s.OCSPs)
		}
	}
}

func TestACounterSignatureMustSignTheValueItStandsWith(t *testing.T) {
	counter := func(uri string) string {
		inner := string(forgery{uri: "#part"}.sign(t, part))
		inner = inner[strings.Index(inner, "<ds:Signature") : strings.LastIndex(inner, "</ds:Signature>")+len("</ds:Signature>")]
		for _, id := range []string{"forged", "props", "value"} {
			inner = strings.NewReplacer(`"`+id+`"`, `"c-`+id+`"`, `"#`+id+`"`, `"#c-`+id+`"`).Replace(inner)
		}
		inner = strings.Replace(inner, `URI="#part"`, `URI="`+uri+`"`, 1)
		return string(forgery{unsigned: `<xades:CounterSignature>` + inner + `</xades:CounterSignature>`}.sign(t, part))
	}
	all := parsed(t, []byte(counter("#part")))
	require.Len(t, all, 2)
	assert.True(t, intact(t, all[0]))
	require.NotEmpty(t, all[1].Defects)
	assert.Contains(t, all[1].Defects[0].Text, "does not sign the signature value")
	all = parsed(t, []byte(counter("#value")))
	require.Len(t, all, 2)
	assert.Empty(t, all[1].Defects)
}

func TestDetachedDocumentsAreFoundByName(t *testing.T) {
	other := func(name string) ades.Document {
		return ades.Document{Name: name, Content: strings.NewReader("treść")}
	}
	raw := forgery{uri: "za%C5%82%C4%85cznik%201.pdf"}.sign(t, part)
	s := parsed(t, raw, other("inny.pdf"), other("załącznik 1.pdf"))[0]
	assert.Equal(t, "treść", string(s.References[0].Data))
	assert.Equal(t, ades.Detached, s.Packaging)
	assert.Equal(t, ades.CoversPart, s.Coverage)
	s = parsed(t, raw, other("załącznik 1.pdf"), other("załącznik 1.pdf"))[0]
	assert.Nil(t, s.References[0].Computed, "two documents of one name are none")
}

func TestTooManySignaturesAreAProblem(t *testing.T) {
	raw := `<r>` + strings.Repeat(`<Signature xmlns="`+xmldsig.Namespace+`"/>`, maxSignatures+1) + `</r>`
	_, err := Codec{}.Parse(context.Background(), doc([]byte(raw)))
	assert.Equal(t, problem.TooLarge, problem.CodeOf(err))
}

func TestDigestingIsBoundedOverAllReferences(t *testing.T) {
	content := `<r><part Id="part">` + strings.Repeat("x", 1<<16) + `</part></r>`
	reference := `<ds:Reference URI="#part"><ds:DigestMethod Algorithm="` + xmldsig.DigestSHA256 + `"/><ds:DigestValue>AAAA</ds:DigestValue></ds:Reference>`
	raw := forgery{uri: "#part", sequel: strings.Repeat(reference, 40)}.sign(t, content)
	u, err := Codec{Limits: xmldsig.Limits{Digested: 1 << 20}}.Parse(context.Background(), doc(raw))
	require.NoError(t, err)
	refs := u.Signatures[0].References
	assert.NotNil(t, refs[0].Computed)
	assert.Contains(t, refs[len(refs)-1].NotFound, "digest more than")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`<a/>`))
	f.Add(signed(f, []byte(declaration), testpki.P256))
	f.Add(forgery{uri: "#part"}.sign(f, part))
	f.Add(forgery{transforms: `<ds:Transform Algorithm="` + xmldsig.TransformFilter2 + `"><f:XPath xmlns:f="` + xmldsig.TransformFilter2 + `" Filter="subtract">/descendant::ds:Signature</f:XPath></ds:Transform>`}.sign(f, part))
	limited := Codec{Limits: xmldsig.Limits{Bytes: 1 << 20, Nodes: 1 << 16}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		u, err := limited.Parse(context.Background(), doc(raw))
		if err != nil {
			require.NotEqual(t, problem.Internal, problem.CodeOf(err), "%v", err)
			return
		}
		require.NotEmpty(t, u.Signatures)
		for _, s := range u.Signatures {
			for _, r := range s.References {
				require.Equal(t, r.NotFound == "", r.Computed != nil)
			}
		}
	})
}
