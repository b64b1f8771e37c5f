package xmldsig

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/problem"
)

const ns = ` xmlns="` + Namespace + `"`

func signature(parts string) string {
	return `<Signature` + ns + ` Id="s">` + parts + `</Signature>`
}

const (
	goodReference = `<Reference Id="r" URI="" Type="urn:t"><Transforms><Transform Algorithm="` + TransformEnveloped + `"/></Transforms><DigestMethod Algorithm="` + DigestSHA256 + `"/><DigestValue> AA\nAA </DigestValue></Reference>`
	goodMethods   = `<CanonicalizationMethod Algorithm="` + C14N10 + `"/><SignatureMethod Algorithm="` + more + `rsa-sha256"/>`
	goodValue     = `<SignatureValue>AAAA</SignatureValue>`
	goodInfo      = `<SignedInfo>` + goodMethods + `<Reference URI=""><DigestMethod Algorithm="` + DigestSHA256 + `"/><DigestValue>AAAA</DigestValue></Reference></SignedInfo>`
)

func TestASignatureIsReadAsItStands(t *testing.T) {
	d := read(t, `<r>`+signature(strings.ReplaceAll(`<SignedInfo>`+goodMethods+goodReference+`</SignedInfo>`+goodValue+
		`<KeyInfo><X509Data><X509Certificate>AQI=</X509Certificate><X509CRL>AwQ=</X509CRL></X509Data></KeyInfo><Object Id="o"/><Object/>`, `\n`, "\n"))+`</r>`)
	all := Signatures(d)
	require.Len(t, all, 1)
	s := ParseSignature(all[0])
	assert.Empty(t, s.Faults)
	assert.Equal(t, "s", s.ID)
	assert.Equal(t, Method{URI: more + "rsa-sha256", Key: RSA, Hash: crypto.SHA256}, s.Method)
	assert.Equal(t, []byte{0, 0, 0}, s.Value)
	assert.Len(t, s.Objects, 2)
	require.Len(t, s.References, 1)
	r := s.References[0]
	assert.Equal(t, "r", r.ID)
	assert.Equal(t, "urn:t", r.Type)
	assert.True(t, r.HasURI)
	assert.Empty(t, r.URI)
	assert.Equal(t, crypto.SHA256, r.Hash)
	assert.Equal(t, []byte{0, 0, 0}, r.Expected)
	assert.Len(t, r.Transforms, 1)
	certificates, crls, faults := s.X509()
	assert.Equal(t, [][]byte{{1, 2}}, certificates)
	assert.Equal(t, [][]byte{{3, 4}}, crls)
	assert.Empty(t, faults)
	octets, err := s.SignedOctets()
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(octets), `<SignedInfo xmlns="`+Namespace+`"><CanonicalizationMethod`))
}

func TestWhatBreaksTheSchemaIsAFault(t *testing.T) {
	info := func(inner string) string { return signature(`<SignedInfo>` + inner + `</SignedInfo>` + goodValue) }
	reference := func(inner string) string { return info(goodMethods + `<Reference URI="">` + inner + `</Reference>`) }
	digest := `<DigestMethod Algorithm="` + DigestSHA256 + `"/><DigestValue>AAAA</DigestValue>`
	for name, test := range map[string]struct{ input, want string }{
		"no parts":                            {signature(""), "without SignatureValue"},
		"no SignedInfo":                       {signature(goodValue), "without SignedInfo"},
		"no value":                            {signature(goodInfo), "without SignatureValue"},
		"another element":                     {`<a/>`, "no ds:Signature"},
		"the value first":                     {signature(goodValue + goodInfo), "not the first part"},
		"KeyInfo before the value":            {signature(goodInfo + `<KeyInfo/>` + goodValue), "SignatureValue is misplaced"},
		"KeyInfo behind an object":            {signature(goodInfo + goodValue + `<Object/><KeyInfo/>`), "KeyInfo is misplaced"},
		"two KeyInfos":                        {signature(goodInfo + goodValue + `<KeyInfo/><KeyInfo/>`), "second KeyInfo"},
		"two SignedInfos":                     {signature(goodInfo + goodInfo + goodValue), "second SignedInfo"},
		"two values":                          {signature(goodInfo + goodValue + goodValue), "second SignatureValue"},
		"text between":                        {signature(goodInfo + "x" + goodValue), "text between"},
		"an unknown part":                     {signature(goodInfo + goodValue + `<x/>`), "does not know"},
		"an empty value":                      {signature(goodInfo + `<SignatureValue/>`), "empty"},
		"a value that is not base64":          {signature(goodInfo + `<SignatureValue>A*</SignatureValue>`), "not base64"},
		"a value with spare bits":             {signature(goodInfo + `<SignatureValue>AB==</SignatureValue>`), "not base64"},
		"a comment in the value":              {signature(goodInfo + `<SignatureValue>AA<!-- -->AA</SignatureValue>`), "other than text"},
		"an element in the value":             {signature(goodInfo + `<SignatureValue>AA<x/>AA</SignatureValue>`), "other than text"},
		"no canonicalization":                 {info(`<SignatureMethod Algorithm="` + more + `rsa-sha256"/>` + goodReference), "canonicalization method"},
		"an unknown canonicalization":         {info(strings.Replace(goodMethods, C14N10, "urn:x", 1) + goodReference), "canonicalization method"},
		"no signature method":                 {info(`<CanonicalizationMethod Algorithm="` + C14N10 + `"/>` + goodReference), "without SignatureMethod"},
		"two signature methods":               {info(goodMethods + `<SignatureMethod/>` + goodReference), "repeated or misplaced"},
		"two canonicalizations":               {info(goodMethods + `<CanonicalizationMethod/>` + goodReference), "repeated or misplaced"},
		"no reference":                        {info(goodMethods), "without a reference"},
		"something else in SignedInfo":        {info(goodMethods + goodReference + `<x/>`), "does not know"},
		"a truncated MAC":                     {info(strings.Replace(goodMethods, `rsa-sha256"/>`, `hmac-sha256"><HMACOutputLength>1</HMACOutputLength></SignatureMethod>`, 1) + goodReference), "parameters"},
		"no digest":                           {reference(`<DigestMethod Algorithm="` + DigestSHA256 + `"/>`), "without DigestValue"},
		"two digests":                         {reference(digest + `<DigestValue>AAAA</DigestValue>`), "unknown, repeated or misplaced"},
		"a comment in the digest":             {reference(`<DigestMethod Algorithm="` + DigestSHA256 + `"/><DigestValue>AA<!-- -->AA</DigestValue>`), "other than text"},
		"transforms behind the digest":        {reference(digest + `<Transforms/>`), "unknown, repeated or misplaced"},
		"something else among the transforms": {reference(`<Transforms><x/></Transforms>` + digest), "no Transform"},
		"more references than anybody needs":  {info(goodMethods + strings.Repeat(`<Reference>`+digest+`</Reference>`, maxReferences+1)), "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			s := ParseSignature(read(t, test.input).Root())
			require.NotEmpty(t, s.Faults)
			assert.Contains(t, strings.Join(s.Faults, "; "), test.want)
		})
	}
}

func TestParametersOfPSSAreRead(t *testing.T) {
	method := func(inner string) (Method, string) {
		return methodFor(read(t, `<SignatureMethod`+ns+` Algorithm="`+more2007+`rsa-pss">`+inner+`</SignatureMethod>`).Root())
	}
	params := func(inner string) string {
		return `<p:RSAPSSParams xmlns:p="` + namespacePSS + `">` + inner + `</p:RSAPSSParams>`
	}
	m, fault := method("")
	assert.Equal(t, Method{URI: more2007 + "rsa-pss", Key: RSA, Hash: crypto.SHA256, PSS: true, Salt: 32}, m)
	assert.Empty(t, fault)
	m, fault = method(params(`<DigestMethod Algorithm="` + DigestSHA512 + `"/><p:MaskGenerationFunction Algorithm="` + more2007 + `MGF1"><DigestMethod Algorithm="` + DigestSHA512 + `"/></p:MaskGenerationFunction><p:SaltLength>20</p:SaltLength><p:TrailerField>1</p:TrailerField>`))
	assert.Equal(t, Method{URI: more2007 + "rsa-pss", Key: RSA, Hash: crypto.SHA512, PSS: true, Salt: 20}, m)
	assert.Empty(t, fault)
	for _, bad := range []string{
		`<DigestMethod Algorithm="urn:x"/>`, `<p:SaltLength>-1</p:SaltLength>`, `<p:SaltLength>x</p:SaltLength>`, `<p:TrailerField>2</p:TrailerField>`, `<p:x/>`,
		`<p:MaskGenerationFunction Algorithm="urn:x"/>`, `<p:MaskGenerationFunction Algorithm="` + more2007 + `MGF1"><DigestMethod Algorithm="` + DigestSHA512 + `"/></p:MaskGenerationFunction>`,
	} {
		m, fault = method(params(bad))
		assert.NotEmpty(t, fault, bad)
		assert.Empty(t, m.Key, bad)
	}
}

func TestEveryDigestMethodIsThere(t *testing.T) {
	for uri, h := range digests {
		assert.True(t, h.Available(), uri)
	}
	assert.Zero(t, DigestFor("http://www.w3.org/2001/04/xmldsig-more#md5"))
}

// signer returns what a test tells it to.
type signer struct {
	public crypto.PublicKey
	value  []byte
	err    error
}

func (s signer) Public() crypto.PublicKey                                  { return s.public }
func (s signer) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return s.value, s.err }

func TestValuesAreMadeAndCheckedWithEachKindOfKey(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	keys := map[string]crypto.Signer{more + "rsa-sha256": rsaKey}
	for uri, curve := range map[string]elliptic.Curve{more + "ecdsa-sha256": elliptic.P256(), more + "ecdsa-sha384": elliptic.P384(), more + "ecdsa-sha512": elliptic.P521()} {
		keys[uri], err = ecdsa.GenerateKey(curve, rand.Reader)
		require.NoError(t, err)
	}
	octets := []byte("<SignedInfo/>")
	for uri, key := range keys {
		m, err := MethodFor(key.Public())
		require.NoError(t, err)
		assert.Equal(t, uri, m.URI)
		for range 20 { // r and s are short now and then
			value, err := m.Sign(key, octets)
			require.NoError(t, err)
			assert.NoError(t, m.Check(key.Public(), octets, value))
			assert.Error(t, m.Check(key.Public(), append(octets, ' '), value))
			assert.Error(t, m.Check(key.Public(), octets, value[1:]))
			assert.Error(t, m.Check(key.Public(), octets, append(value, 0)))
			if uri == more+"rsa-sha256" {
				break
			}
			assert.Len(t, value, 2*orderLength(key.Public().(*ecdsa.PublicKey).Curve))
		}
		for other, wrong := range keys {
			if other != uri {
				assert.Error(t, m.Check(wrong.Public(), octets, make([]byte, 64)))
			}
		}
		assert.Error(t, Method{}.Check(key.Public(), octets, make([]byte, 64)), "an unknown method")
	}
	pss := methods[more2007+"sha256-rsa-MGF1"]
	pss.Salt = 32
	sum := digest(crypto.SHA256, octets)
	value, err := rsa.SignPSS(rand.Reader, rsaKey, crypto.SHA256, sum, &rsa.PSSOptions{SaltLength: 32})
	require.NoError(t, err)
	assert.NoError(t, pss.Check(rsaKey.Public(), octets, value))
	value, err = rsa.SignPSS(rand.Reader, rsaKey, crypto.SHA256, sum, &rsa.PSSOptions{SaltLength: 20})
	require.NoError(t, err)
	assert.Error(t, pss.Check(rsaKey.Public(), octets, value), "another salt length")
	_, err = pss.Sign(rsaKey, octets)
	assert.Equal(t, problem.Unsupported, problem.CodeOf(err), "PSS is read only")
}

func TestWhatAKeyReturnsIsNotTakenOnTrust(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	m, err := MethodFor(key.Public())
	require.NoError(t, err)
	for name, der := range map[string]string{
		"nothing": "", "no DER": "00", "r of zero": "3006020100020101", "a negative s": "30060201010201ff", "trailing octets": "300602010102010100",
		"trailing integers": "3009020101020101020101", "an r too long": "30260221" + strings.Repeat("01", 33) + "020101", "another's value": "3006020101020101",
	} {
		raw, err := hex.DecodeString(der)
		require.NoError(t, err)
		_, err = m.Sign(signer{public: key.Public(), value: raw}, []byte("x"))
		assert.Error(t, err, name)
	}
	gone := errors.New("the token is gone")
	_, err = m.Sign(signer{public: key.Public(), err: gone}, []byte("x"))
	assert.ErrorIs(t, err, gone)
}

func TestKeysThatMustNotSignAreProblems(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	_, err = MethodFor(weak.Public())
	assert.Equal(t, problem.KeyWeak, problem.CodeOf(err))
	odd, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	_, err = MethodFor(odd.Public())
	assert.Equal(t, problem.Unsupported, problem.CodeOf(err))
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	_, err = MethodFor(edwards)
	assert.Equal(t, problem.Unsupported, problem.CodeOf(err))
}

func TestReferencesResolveToWhatTheyName(t *testing.T) {
	transform := func(algorithm, inner string) string {
		return `<d:Transform Algorithm="` + algorithm + `">` + inner + `</d:Transform>`
	}
	xpath := func(text string) string {
		return transform(TransformXPath, `<d:XPath xmlns:u="urn:u">`+text+`</d:XPath>`)
	}
	filter := func(pairs ...string) string {
		inner := ""
		for i := 0; i < len(pairs); i += 2 {
			inner += `<f:XPath xmlns:f="` + TransformFilter2 + `" xmlns:u="urn:u" Filter="` + pairs[i] + `">` + pairs[i+1] + `</f:XPath>`
		}
		return transform(TransformFilter2, inner)
	}
	enveloped, b64 := transform(TransformEnveloped, ""), transform(TransformBase64, "")
	for name, test := range map[string]struct{ uri, transforms, want, err string }{
		"the whole document, without comments":  {`URI=""`, enveloped, `<r><a Id="a"><b></b></a><u:c xmlns:u="urn:u">AQID</u:c></r>`, ""},
		"the whole document, with comments":     {`URI="#xpointer(/)"`, enveloped + transform(C14N10WithComments, ""), `<r><a Id="a"><b></b><!--c--></a><u:c xmlns:u="urn:u">AQID</u:c></r>`, ""},
		"comments that the URI left out":        {`URI=""`, enveloped + transform(C14N10WithComments, ""), `<r><a Id="a"><b></b></a><u:c xmlns:u="urn:u">AQID</u:c></r>`, ""},
		"an element":                            {`URI="#a"`, "", `<a Id="a"><b></b></a>`, ""},
		"an element by XPointer, with comments": {`URI="#xpointer(id('a'))"`, transform(C14N11WithComments, ""), `<a Id="a"><b></b><!--c--></a>`, ""},
		"exclusive":                             {`URI="#a"`, transform(ExcC14N10, ""), `<a Id="a"><b></b></a>`, ""},
		"twice canonical":                       {`URI="#a"`, transform(C14N10, "") + transform(ExcC14N10, ""), `<a Id="a"><b></b></a>`, ""},
		"base64 of text":                        {`URI=""`, enveloped + xpath("ancestor-or-self::u:c") + b64, "\x01\x02\x03", ""},
		"base64 of octets":                      {`URI="data"`, b64, "\x01\x02\x03", ""},
		"an external document":                  {`URI="data"`, "", "AQID", ""},
		"XPath that leaves out":                 {`URI=""`, xpath("not( ancestor-or-self::d:Signature )"), `<r><a Id="a"><b></b></a><u:c xmlns:u="urn:u">AQID</u:c></r>`, ""},
		"XPath that leaves out two":             {`URI=""`, xpath("not(ancestor-or-self::d:Signature)") + xpath("not(ancestor-or-self::u:c)"), `<r><a Id="a"><b></b></a></r>`, ""},
		"XPath that names no such namespace":    {`URI=""`, enveloped + xpath("not(ancestor-or-self::c)"), `<r><a Id="a"><b></b></a><u:c xmlns:u="urn:u">AQID</u:c></r>`, ""},
		"a filter that subtracts":               {`URI=""`, filter("subtract", "/descendant::d:Signature", "subtract", "//u:c"), `<r><a Id="a"><b></b></a></r>`, ""},
		"a filter that subtracts its own":       {`URI=""`, filter("subtract", "here()/ancestor::d:Signature[1]"), `<r><a Id="a"><b></b></a><u:c xmlns:u="urn:u">AQID</u:c></r>`, ""},
		"a filter that subtracts in the root":   {`URI=""`, filter("subtract", "/*/d:Signature"), `<r><a Id="a"><b></b></a><u:c xmlns:u="urn:u">AQID</u:c></r>`, ""},
		"a filter that intersects and unites":   {`URI=""`, filter("intersect", "//a", "subtract", "id('a')", "union", "//b"), `<b></b>`, ""},
		"a filter that unites everything":       {`URI="#a"`, filter("intersect", "//u:c", "union", "/"), `<a Id="a"><b></b></a>`, ""},
		"nothing is left":                       {`URI="#a"`, filter("intersect", "//u:c"), ``, ""},
		"no URI":                                {``, "", "", "not found"},
		"no such element":                       {`URI="#x"`, "", "", "not found"},
		"an empty fragment":                     {`URI="#"`, "", "", "not found"},
		"an element that is not unique":         {`URI="#twice"`, "", "", "not unique"},
		"no such document":                      {`URI="other"`, "", "", "not found"},
		"another XPointer":                      {`URI="#xpointer(//a)"`, "", "", "XPointer"},
		"a broken XPointer":                     {`URI="#xpointer(id(a))"`, "", "", "XPointer"},
		"an unknown transform":                  {`URI=""`, transform("urn:x", ""), "", "not allowed"},
		"XSLT":                                  {`URI=""`, transform("http://www.w3.org/TR/1999/REC-xslt-19991116", ""), "", "not allowed"},
		"enveloped in an external document":     {`URI="xml"`, enveloped, "", "outside the signature's own document"},
		"enveloped behind a canonical form":     {`URI=""`, transform(C14N10, "") + enveloped, "", "outside the signature's own document"},
		"here() in an external document":        {`URI="xml"`, filter("subtract", "here()/ancestor::d:Signature[1]"), "", "outside the signature's own document"},
		"XPath in an external document":         {`URI="xml"`, xpath("not(ancestor-or-self::y)"), "<x></x>", ""},
		"XML of what is none":                   {`URI="data"`, transform(C14N10, ""), "", "not well-formed"},
		"base64 of what is none":                {`URI="xml"`, b64, "", "not base64"},
		"general XPath":                         {`URI=""`, xpath("true()"), "", "XPath expression"},
		"an XPath prefix that is not declared":  {`URI=""`, xpath("not(ancestor-or-self::q:a)"), "", "not declared"},
		"two XPaths in one":                     {`URI=""`, transform(TransformXPath, `<d:XPath>a</d:XPath><d:XPath>b</d:XPath>`), "", "XPath expression"},
		"a comment in an XPath":                 {`URI=""`, xpath("not(ancestor-or-self::<!-- -->a)"), "", "other than text"},
		"an unknown filter":                     {`URI=""`, filter("add", "/"), "", "not intersect, subtract or union"},
		"an unknown filter expression":          {`URI=""`, filter("subtract", "//a[1]"), "", "XPath expression"},
		"a filter of nothing":                   {`URI=""`, filter(), "", "XPath expression"},
		"too many transforms":                   {`URI=""`, strings.Repeat(enveloped, maxTransforms+1), "", "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			d := read(t, `<r><a Id="a"><b/><!--c--></a><u:c xmlns:u="urn:u">AQID</u:c><d:Signature xmlns:d="`+Namespace+`"><d:SignedInfo><d:Reference `+test.uri+`><d:Transforms>`+test.transforms+
				`</d:Transforms><d:DigestMethod Algorithm="`+DigestSHA384+`"/><d:DigestValue>AAAA</d:DigestValue></d:Reference></d:SignedInfo><d:Object Id="twice"/><d:Object id="twice"/></d:Signature></r>`)
			s := ParseSignature(Signatures(d)[0])
			require.Len(t, s.References, 1)
			resolver := NewResolver(d, func(uri string) ([]byte, bool) {
				content, ok := map[string]string{"data": "AQID", "xml": "<x><y/></x>"}[uri]
				return []byte(content), ok
			})
			got, err := resolver.Digest(s, s.References[0])
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, string(got.Octets))
			assert.Equal(t, digest(crypto.SHA384, got.Octets), got.Sum)
		})
	}
}

func TestMarkupStandsInItsPlaceAsInItsContext(t *testing.T) {
	for _, input := range []string{
		`<a xmlns="urn:d" xmlns:p="urn:p" xml:lang="pl"><b/></a>`, `<p:a xmlns:p="urn:p" q='"/>' />`, "<?xml version='1.0' encoding='ISO-8859-2'?><\xBF a='\xB1'/>",
		asUTF16("<?xml version='1.0' encoding='UTF-16'?><ż ą='/>'></ż>"), "\xEF\xBB\xBF<a></a\n>",
	} {
		d := read(t, input)
		place := LastInRoot(d)
		context, err := place.Context(`<x y="1"/>`)
		require.NoError(t, err)
		var out strings.Builder
		require.NoError(t, place.Insert(&out, []byte(input), `<x y="1"/>`))
		after := read(t, out.String())
		var last Node
		for c := range after.Root().Elements() {
			last = c
		}
		for _, c := range canonicalizations {
			want, err := c.Bytes(Subtree(last))
			require.NoError(t, err)
			got, err := c.Bytes(Subtree(context))
			require.NoError(t, err)
			assert.Equal(t, string(want), string(got))
			rest, err := c.Bytes(Subtree(after.Node()).Without(last))
			require.NoError(t, err)
			before, err := c.Bytes(Subtree(d.Node()))
			require.NoError(t, err)
			assert.Equal(t, string(before), string(rest))
		}
	}
	assert.Error(t, LastInRoot(read(t, "<a/>")).Insert(io.Discard, []byte("<a/>"), "<ż/>"))
}

func TestSignedInfoIsReadBackAsWritten(t *testing.T) {
	m := methods[more+"ecdsa-sha384"]
	m.URI = more + "ecdsa-sha384"
	markup := SignedInfo{Canonicalization: ExcC14N10, Method: m, References: []Target{
		{ID: "one", Transforms: []string{TransformEnveloped, C14N11}, Digest: []byte{1}}, {URI: "#x", Type: "urn:t", Digest: []byte{2}},
	}}.Markup()
	s := ParseSignature(read(t, `<ds:Signature xmlns:ds="`+Namespace+`">`+markup+`<ds:SignatureValue>`+base64.StdEncoding.EncodeToString([]byte("v"))+`</ds:SignatureValue></ds:Signature>`).Root())
	assert.Empty(t, s.Faults)
	assert.Equal(t, m, s.Method)
	assert.Equal(t, Exclusive10, s.Canonicalization.Kind)
	require.Len(t, s.References, 2)
	assert.Equal(t, "one", s.References[0].ID)
	assert.Len(t, s.References[0].Transforms, 2)
	assert.Equal(t, crypto.SHA384, s.References[1].Hash)
	assert.Equal(t, []byte{2}, s.References[1].Expected)
}

func FuzzParseSignature(f *testing.F) {
	f.Add([]byte(signature(goodInfo + goodValue)))
	f.Add([]byte(`<r>` + signature(`<SignedInfo>`+goodMethods+goodReference+`</SignedInfo>`+goodValue) + `</r>`))
	f.Add([]byte(signature(goodInfo + goodInfo + `<SignatureValue>AA<!-- -->AA</SignatureValue><KeyInfo><X509Data><X509Certificate>AQI=</X509Certificate></X509Data></KeyInfo>`)))
	f.Fuzz(func(t *testing.T, input []byte) {
		d, err := Read(input, Limits{Bytes: 1 << 20, Nodes: 1 << 16})
		if err != nil {
			return
		}
		resolver := NewResolver(d, nil)
		for _, el := range Signatures(d) {
			s := ParseSignature(el)
			s.X509()
			for _, r := range s.References {
				got, err := resolver.Digest(s, r)
				require.True(t, err != nil || len(got.Sum) == r.Hash.Size())
			}
			if _, err := s.SignedOctets(); err == nil && len(s.Faults) == 0 {
				require.NotEmpty(t, s.Value)
				require.NotEmpty(t, s.References)
			}
		}
	})
}

func TestABrokenSignatureTellsNoMoreThanAFewFaults(t *testing.T) {
	doc, err := Read([]byte(`<a><ds:Signature xmlns:ds="`+Namespace+`">`+strings.Repeat("<b/>", 10_000)+`</ds:Signature></a>`), Limits{})
	require.NoError(t, err)
	signature := ParseSignature(Signatures(doc)[0])
	require.NotEmpty(t, signature.Faults)
	require.LessOrEqual(t, len(signature.Faults), maxFaults)
}
