package xades

import (
	"bytes"
	"context"
	"crypto"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"

	"certsign/internal/ades"
	"certsign/internal/problem"
	"certsign/internal/testpki"
	"certsign/internal/testtool"
	"certsign/internal/xmldsig"
)

func doc(content []byte) ades.Document {
	return ades.Document{Name: "declaration.xml", MIME: "application/xml", Content: bytes.NewReader(content)}
}

func request(t testing.TB, content []byte, kind testpki.KeyKind) ades.SignRequest {
	t.Helper()
	leaf := testpki.Root(t).Leaf(testpki.WithKind(kind))
	return ades.SignRequest{Document: doc(content), Packaging: ades.Enveloped, Level: ades.LevelBB, Profile: ProfilePUESC,
		Key: leaf.Key, Chain: leaf.Chain()[:1], Time: testpki.Clock}
}

func signed(t testing.TB, content []byte, kind testpki.KeyKind) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, Codec{}.Sign(context.Background(), &out, request(t, content, kind)))
	return out.Bytes()
}

func parsed(t testing.TB, content []byte, detached ...ades.Document) []ades.UnverifiedSignature {
	t.Helper()
	u, err := Codec{}.Parse(context.Background(), doc(content), detached...)
	require.NoError(t, err)
	return u.Signatures
}

// intact tells whether a signature has no defects, its references fit, it signs its own properties, and its value is
// right for its first certificate: what a validator asks before it asks about trust.
func intact(t testing.TB, s ades.UnverifiedSignature) bool {
	t.Helper()
	return len(s.Defects) == 0 && holds(s)
}

const declaration = `<ns1:ZC415HUB xmlns:ns1="http://www.mf.gov.pl/xsd/ais/hub/ZC415HUB.xsd" xmlns:ns="http://www.w3.org/2000/09/xmldsig#"
   lang='pl' xml:lang="pl" xmlns="urn:publicid:-:PL:GOV:MF:TEST">
  <Declaration lrn="PL/2026/ 00017&#10;A"><!-- korekta -->
    <Opis ns1:typ='"A"'>Śruby żeliwne &lt;M8&gt;, łożyska – 12&#160;szt.</Opis>
    <Uwagi><![CDATA[Źródło: <faktura> & list]]></Uwagi><Puste/>
    <ns1:Kraj xmlns:x="urn:x" x:kod="PL" kod="616"	/>
  </Declaration>
</ns1:ZC415HUB>`

func utf16LE(s string) []byte {
	out := []byte{0xFF, 0xFE}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

func utf16BE(s string) []byte {
	out := []byte{0xFE, 0xFF}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u>>8), byte(u))
	}
	return out
}

func inCharset(t testing.TB, c *charmap.Charmap, s string) []byte {
	t.Helper()
	out, err := c.NewEncoder().Bytes([]byte(s))
	require.NoError(t, err)
	return out
}

// documents are inputs in every form that is accepted.
func documents(t testing.TB) map[string][]byte {
	latin := strings.ReplaceAll(declaration, " – ", " - ")
	decl := func(encoding string) string { return `<?xml version="1.0" encoding="` + encoding + `"?>` + "\n" }
	return map[string][]byte{
		"UTF-8":                                        []byte(decl("UTF-8") + declaration + "\n"),
		"UTF-8 without declaration":                    []byte(declaration),
		"UTF-8 with a byte order mark":                 []byte("\xEF\xBB\xBF" + decl("utf-8") + declaration),
		"UTF-8 with CR LF":                             []byte(strings.ReplaceAll(decl("UTF-8")+declaration+"\n", "\n", "\r\n")),
		"UTF-16 little-endian":                         utf16LE(decl("UTF-16") + declaration),
		"UTF-16 big-endian":                            utf16BE(decl("UTF-16") + declaration),
		"ISO-8859-2":                                   inCharset(t, charmap.ISO8859_2, decl("ISO-8859-2")+latin),
		"windows-1250":                                 inCharset(t, charmap.Windows1250, decl("windows-1250")+declaration),
		"an empty-element tag":                         []byte(`<zgłoszenie a="1" />`),
		"an empty-element tag in UTF-16":               utf16LE(decl("UTF-16") + "<zgłoszenie xmlns='urn:a'/>\n<!-- koniec -->"),
		"an empty element":                             []byte(`<p:z xmlns:p="urn:p" a="/"></p:z>`),
		"white space in the end tag":                   []byte("<a>\n</a \n>\n<?po nim?>"),
		"the prefixes that we use mean something else": []byte(`<r xmlns:ds="urn:ds" xmlns:xades="urn:x" ds:a="1"><xades:b/></r>`),
		"xml attributes on the root":                   []byte(`<r xml:space="preserve" xml:base="http://a/b/" xml:id="korzeń" xml:lang="pl"> <b xml:lang="en"/> </r>`),
		"instructions and comments around":             []byte("<?xml-stylesheet href='a.xsl'?><!-- a --><r>a<!-- b --></r><!-- c --><?d?>"),
	}
}

func TestXMLSecAcceptsWhatIsSigned(t *testing.T) {
	xmlsec := testtool.Need(t, "xmlsec1")
	for name, content := range documents(t) {
		kinds := []testpki.KeyKind{testpki.RSA2048, testpki.P256}
		if name == "UTF-8" {
			kinds = append(kinds, testpki.RSA3072, testpki.P384, testpki.P521)
		}
		for _, kind := range kinds {
			t.Run(name+" "+string(kind), func(t *testing.T) {
				dir := t.TempDir()
				file := filepath.Join(dir, "signed.xml")
				require.NoError(t, os.WriteFile(file, signed(t, content, kind), 0o600))
				out, err := exec.Command(xmlsec, "--verify", "--insecure", "--enabled-key-data", "x509,rsa,ec",
					"--id-attr:Id", namespace132+":SignedProperties", file).CombinedOutput()
				assert.NoError(t, err, string(out))
			})
		}
	}
}

func TestWhatIsSignedIsIntactAndCoversTheWholeDocument(t *testing.T) {
	for name, content := range documents(t) {
		t.Run(name, func(t *testing.T) {
			all := parsed(t, signed(t, content, testpki.P256))
			require.Len(t, all, 1)
			s := all[0]
			assert.True(t, intact(t, s), "%v", s.Defects)
			assert.Equal(t, ades.CoversWhole, s.Coverage)
			assert.Equal(t, ades.LevelBB, s.Level)
			assert.Equal(t, ades.Enveloped, s.Packaging)
			assert.Equal(t, testpki.Clock, s.ClaimedSigningTime)
			d, err := xmldsig.Read(content, xmldsig.Limits{})
			require.NoError(t, err)
			want, err := xmldsig.Canonicalization{}.Bytes(xmldsig.Subtree(d.Node()).WithoutComments())
			require.NoError(t, err)
			assert.Equal(t, string(want), string(s.References[0].Data))
		})
	}
}

func TestEveryOctetOfTheInputStays(t *testing.T) {
	for name, content := range documents(t) {
		t.Run(name, func(t *testing.T) {
			out := signed(t, content, testpki.P256)
			d, err := xmldsig.Read(content, xmldsig.Limits{})
			require.NoError(t, err)
			_, open, end := d.Root().Offsets()
			if strings.HasPrefix(name, "an empty-element tag") {
				// Only "/>" has to become ">" and an end tag.
				width := 1
				if strings.Contains(name, "UTF-16") {
					width = 2
				}
				assert.True(t, bytes.HasPrefix(out, content[:open-2*width]))
				assert.True(t, bytes.HasSuffix(out, content[open:]))
				return
			}
			assert.Equal(t, content[:end], out[:end])
			assert.True(t, bytes.HasSuffix(out, content[end:]))
			assert.Greater(t, len(out), len(content))
		})
	}
}

func TestRequestsForOtherThanEnvelopedBBAreUnsupported(t *testing.T) {
	for name, change := range map[string]func(*ades.SignRequest){
		"enveloping":         func(r *ades.SignRequest) { r.Packaging = ades.Enveloping },
		"detached":           func(r *ades.SignRequest) { r.Packaging = ades.Detached },
		"B-T":                func(r *ades.SignRequest) { r.Level = ades.LevelBT },
		"an unknown profile": func(r *ades.SignRequest) { r.Profile = "other" },
		"a curve of 224 bits": func(r *ades.SignRequest) {
			leaf := testpki.Root(t).Leaf(testpki.WithKind(testpki.P224))
			r.Key, r.Chain = leaf.Key, leaf.Chain()
		},
		"a certificate that is none": func(r *ades.SignRequest) { r.Chain = [][]byte{{1, 2, 3}} },
		"a document that is a signature": func(r *ades.SignRequest) {
			r.Document = doc([]byte(`<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/>`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			req := request(t, []byte("<a/>"), testpki.P256)
			change(&req)
			err := Codec{}.Sign(context.Background(), io.Discard, req)
			assert.Equal(t, problem.Unsupported, problem.CodeOf(err), "%v", err)
			assert.NotEmpty(t, problem.DetailOf(err))
		})
	}
}

func TestASecondSignatureIsRefusedWhereItWouldBreakTheFirst(t *testing.T) {
	once := signed(t, []byte(declaration), testpki.P256)
	req := request(t, once, testpki.RSA2048)
	used := &counting{Signer: req.Key}
	req.Key = used
	var out bytes.Buffer
	err := Codec{}.Sign(context.Background(), &out, req)
	assert.Equal(t, problem.Unsupported, problem.CodeOf(err))
	assert.Zero(t, out.Len())
	assert.Zero(t, used.calls, "the key is not used for a signature that is not made")
}

type counting struct {
	crypto.Signer
	calls int
}

func (c *counting) Sign(r io.Reader, d []byte, o crypto.SignerOpts) ([]byte, error) {
	c.calls++
	return c.Signer.Sign(r, d, o)
}

func TestASecondSignatureIsAddedWhereTheFirstLeavesSignaturesOut(t *testing.T) {
	for name, first := range map[string]forgery{
		"by XPath":    {transforms: `<ds:Transform Algorithm="` + xmldsig.TransformXPath + `"><ds:XPath>not(ancestor-or-self::ds:Signature)</ds:XPath></ds:Transform>`},
		"by Filter 2": {transforms: `<ds:Transform Algorithm="` + xmldsig.TransformFilter2 + `"><f:XPath xmlns:f="` + xmldsig.TransformFilter2 + `" Filter="subtract">/descendant::ds:Signature</f:XPath></ds:Transform>`},
		"by place":    {uri: "#part"},
	} {
		t.Run(name, func(t *testing.T) {
			once := first.sign(t, `<r><part Id="part">Zgłoszenie</part></r>`)
			require.True(t, intact(t, parsed(t, once)[0]), "%v", parsed(t, once)[0].Defects)
			twice := signed(t, once, testpki.RSA2048)
			all := parsed(t, twice)
			require.Len(t, all, 2)
			assert.True(t, intact(t, all[0]), "the first")
			assert.True(t, intact(t, all[1]), "the second")
			assert.Equal(t, ades.CoversWhole, all[1].Coverage)
			if first.uri == "" {
				assert.Equal(t, ades.CoversWhole, all[0].Coverage)
			} else {
				assert.Equal(t, ades.CoversPart, all[0].Coverage)
			}
		})
	}
}

func TestIdentifiersAreFresh(t *testing.T) {
	seen := map[string]bool{}
	for range 20 {
		for _, s := range parsed(t, signed(t, []byte("<a/>"), testpki.P256)) {
			assert.False(t, seen[s.ID])
			seen[s.ID] = true
		}
	}
}

func TestTheMediaTypeIsThatOfXML(t *testing.T) {
	for declared, want := range map[string]string{
		"application/xml": "application/xml", "application/xml; charset=utf-8": "application/xml", "application/vnd.a+xml": "application/vnd.a+xml",
		"": "text/xml", "text/xml": "text/xml", "application/octet-stream": "text/xml", `x/"><evil/>+xml`: "text/xml", "image/svg+xml": "image/svg+xml",
	} {
		assert.Equal(t, want, xmlType(declared), declared)
	}
}
