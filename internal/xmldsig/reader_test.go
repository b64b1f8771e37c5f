package xmldsig

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/problem"
	"certsign/internal/testtool"
)

func TestWhatIsNotWellFormedIsRefusedWithItsPlace(t *testing.T) {
	for name, test := range map[string]struct{ input, want string }{
		"nothing":                                {"", "line 1, column 1: the document is empty"},
		"white space":                            {" \n ", "the document is empty"},
		"no element":                             {"<!-- a -->", "no element"},
		"text before the root":                   {"a<b/>", "line 1, column 1: text outside"},
		"text behind the root":                   {"<b/>\nżx", "line 2, column 1: text outside"},
		"a reference behind the root":            {"<b/>&#32;", "text outside"},
		"a CDATA section before the root":        {"<![CDATA[]]><b/>", "a name was expected"},
		"a second root":                          {"<a/>\n <b/>", "line 2, column 2: a second root"},
		"an element that is not closed":          {"<a><b></b>", "ends inside an element"},
		"an end tag of another name":             {"<a></b>", "does not match"},
		"an end tag of a longer name":            {"<a></ab>", "does not match"},
		"an end tag of another prefix":           {"<p:a xmlns:p='urn:p' xmlns:q='urn:p'></q:a>", "does not match"},
		"crossed tags":                           {"<a><b></a></b>", "does not match"},
		"an end tag alone":                       {"</a>", "a name was expected"},
		"a tag that does not end":                {"<a b='1'", "ends inside a tag"},
		"an attribute twice":                     {"<a b='1' b='2'/>", "column 10: an attribute that is given twice"},
		"an attribute twice by expanded name":    {"<a xmlns:p='urn:1' xmlns:q='urn:1' p:b='1' q:b='2'/>", "given twice"},
		"an attribute twice among many":          {"<a " + many(20) + " a3='1'/>", "given twice"},
		"a declaration twice":                    {"<a xmlns:p='urn:1' xmlns:p='urn:1'/>", "given twice"},
		"the default twice":                      {"<a xmlns='' xmlns='urn:1'/>", "given twice"},
		"no space between attributes":            {"<a b='1'c='2'/>", "no space before an attribute"},
		"an attribute without a value":           {"<a b/>", "without a value"},
		"an attribute without quotes":            {"<a b=1/>", "without quotes"},
		"a value that does not end":              {"<a b='1/>", "inside an attribute value"},
		"a less-than sign in a value":            {"<a b='<'/>", "less-than"},
		"a prefix without declaration":           {"<p:a/>", "column 2: a prefix that is not declared"},
		"an attribute's prefix undeclared":       {"<a p:b='1'/>", "a prefix that is not declared"},
		"a prefix out of scope":                  {"<a><b xmlns:p='urn:1'/><p:c/></a>", "a prefix that is not declared"},
		"a prefix undeclared again":              {"<a xmlns:p='urn:1'><b xmlns:p=''/></a>", "without a namespace name"},
		"two colons":                             {"<a:b:c xmlns:a='urn:1'/>", "misplaced colon"},
		"a colon first":                          {"<:a/>", "a name was expected"},
		"a colon last":                           {"<a: xmlns:a='urn:1'/>", "misplaced colon"},
		"a name that begins with a digit":        {"<1/>", "a name was expected"},
		"a space before the name":                {"< a/>", "a name was expected"},
		"the prefix xmlns declared":              {"<a xmlns:xmlns='urn:1'/>", "the prefix xmlns"},
		"the prefix xmlns used":                  {"<xmlns:a/>", "the prefix xmlns"},
		"the prefix xml redeclared":              {"<a xmlns:xml='urn:1'/>", "XML namespace"},
		"another prefix for the XML namespace":   {"<a xmlns:x='" + NamespaceXML + "'/>", "XML namespace"},
		"the namespace of declarations declared": {"<a xmlns:x='" + namespaceXMLNS + "'/>", "namespace of declarations"},
		"an unknown entity":                      {"<a>&nbsp;</a>", "column 4: a reference to an entity"},
		"an unknown entity in a value":           {"<a b='&x;'/>", "a reference to an entity"},
		"an ampersand alone":                     {"<a>R&D</a>", "a broken reference"},
		"a character reference to nothing":       {"<a>&#0;</a>", "a broken character reference"},
		"a character reference to a control":     {"<a>&#x1;</a>", "a broken character reference"},
		"a character reference to a surrogate":   {"<a>&#xD800;</a>", "a broken character reference"},
		"a character reference beyond Unicode":   {"<a>&#x110000;</a>", "a broken character reference"},
		"a character reference that overflows":   {"<a>&#99999999999999999999;</a>", "a broken character reference"},
		"an empty character reference":           {"<a>&#;</a>", "a broken character reference"},
		"a hexadecimal reference with X":         {"<a>&#X41;</a>", "a broken character reference"},
		"a CDATA end in text":                    {"<a>]]></a>", "a CDATA section that did not begin"},
		"a CDATA section without end":            {"<a><![CDATA[</a>", "without an end"},
		"a comment without end":                  {"<a><!-- </a>", "without an end"},
		"two hyphens in a comment":               {"<a><!-- -- --></a>", "two hyphens"},
		"a comment that ends with three hyphens": {"<a><!-- ---></a>", "two hyphens"},
		"an instruction without end":             {"<a><?p </a>", "without an end"},
		"an instruction named xml":               {"<a><?XmL ?></a>", "reserved"},
		"an instruction with a colon":            {"<a><?p:q ?></a>", "does not end with a space"},
		"an instruction without a name":          {"<a><? p?></a>", "missing or reserved name"},
		"a declaration behind a space":           {" <?xml version='1.0'?><a/>", "misplaced XML declaration"},
		"XML 1.1":                                {"<?xml version='1.1'?><a/>", "not 1.0"},
		"a declaration without version":          {"<?xml encoding='UTF-8'?><a/>", "does not begin with the version"},
		"a declaration in another order":         {"<?xml version='1.0' standalone='yes' encoding='UTF-8'?><a/>", "misplaced"},
		"a declaration that repeats":             {"<?xml version='1.0' version='1.0'?><a/>", "misplaced"},
		"standalone perhaps":                     {"<?xml version='1.0' standalone='maybe'?><a/>", "neither yes nor no"},
		"a declaration that does not end":        {"<?xml version='1.0'", "without an end"},
		"no space in the declaration":            {"<?xml version='1.0'encoding='UTF-8'?><a/>", "no space"},
		"a control character":                    {"<a>\x01</a>", "column 4: a character that XML does not allow"},
		"a zero octet":                           {"<a>\x00</a>", "does not allow"},
		"U+FFFF":                                 {"<a>\uFFFF</a>", "does not allow"},
		"octets that are not UTF-8":              {"<a>\n\xFF</a>", "line 2, column 1: octets that are not UTF-8"},
		"an overlong form":                       {"<a>\xC0\xBC</a>", "not UTF-8"},
		"a surrogate in UTF-8":                   {"<a>\xED\xA0\x80</a>", "not UTF-8"},
		"Latin octets said to be UTF-8":          {"<?xml version='1.0' encoding='UTF-8'?><a>\xB1</a>", "not UTF-8"},
		"an unknown encoding":                    {"<?xml version='1.0' encoding='IBM037'?><a/>", "encoding that is not accepted"},
		"UTF-7":                                  {"<?xml version='1.0' encoding='UTF-7'?><a/>", "encoding that is not accepted"},
		"an encoding that is no name":            {"<?xml version='1.0' encoding='8'?><a/>", "malformed name of an encoding"},
		"US-ASCII that is not":                   {"<?xml version='1.0' encoding='US-ASCII'?><a>ż</a>", "not US-ASCII"},
		"an undefined octet of windows-1250":     {"<?xml version='1.0' encoding='windows-1250'?><a>\x81</a>", "does not define"},
		"UTF-16 declared in octets":              {"<?xml version='1.0' encoding='UTF-16'?><a/>", "not UTF-16"},
		"UTF-16 without byte order mark":         {"<\x00a\x00/\x00>\x00", "without a byte order mark"},
		"UTF-16 of odd length":                   {"\xFF\xFE<\x00a", "odd number"},
		"half a surrogate pair":                  {"\xFF\xFE<\x00a\x00>\x00\x00\xD8<\x00", "surrogate pair"},
		"UTF-16 said to be UTF-8":                {asUTF16("<?xml version='1.0' encoding='UTF-8'?><a/>"), "contradicts"},
		"UTF-16 of the other order":              {asUTF16("<?xml version='1.0' encoding='UTF-16BE'?><a/>"), "contradicts"},
		"UTF-32":                                 {"\xFF\xFE\x00\x00<\x00\x00\x00", "UTF-32"},
		"a UTF-8 mark with another encoding":     {"\xEF\xBB\xBF<?xml version='1.0' encoding='ISO-8859-2'?><a/>", "contradicts"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read([]byte(test.input), Limits{})
			require.Equal(t, problem.XMLMalformed, problem.CodeOf(err), "%v", err)
			assert.Contains(t, problem.DetailOf(err), test.want)
			assert.Regexp(t, `^line \d+, column \d+: `, problem.DetailOf(err))
		})
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " a%d='%d'", i, i)
	}
	return b.String()
}

func asUTF16(s string) string {
	out := "\xFF\xFE"
	for _, r := range s {
		out += string([]byte{byte(r), byte(r >> 8)})
	}
	return out
}

func TestADocumentTypeIsRefusedWhereverItStands(t *testing.T) {
	for _, input := range []string{
		"<!DOCTYPE a><a/>", "<?xml version='1.0'?>\n<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
		"<!-- c --><!DOCTYPE a PUBLIC '-//W3C//DTD' 'http://example.com/a.dtd'><a/>", "<a/><!DOCTYPE a>", asUTF16("<!DOCTYPE a><a/>"),
	} {
		_, err := Read([]byte(input), Limits{})
		assert.Equal(t, problem.XMLDoctype, problem.CodeOf(err), input)
	}
	_, err := Read([]byte("<a><!DOCTYPE a></a>"), Limits{})
	assert.Equal(t, problem.XMLMalformed, problem.CodeOf(err), "inside an element it is no document type")
}

func TestAttacksOfOtherProjectsAreRefused(t *testing.T) {
	dir := testtool.Corpus(t)
	for _, v := range testtool.CorpusFiles(t, dir, "xml-attack") {
		raw, err := os.ReadFile(filepath.Join(dir, v.File))
		require.NoError(t, err)
		_, err = Read(raw, Limits{})
		assert.Equal(t, problem.XMLDoctype, problem.CodeOf(err), v.File)
	}
}

func TestLimitsAreKept(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("<a>", n) + strings.Repeat("</a>", n) }
	namespaces := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " xmlns:p%d='urn:%d'", i, i)
		}
		return "<a" + b.String() + "/>"
	}
	for name, test := range map[string]struct {
		fits, tooLarge string
		limits         Limits
	}{
		"bytes":                 {"<a>12</a>", "<a>123</a>", Limits{Bytes: 9}},
		"depth":                 {deep(10), deep(11), Limits{Depth: 10}},
		"attributes":            {"<a" + many(10) + "/>", "<a" + many(11) + "/>", Limits{Attributes: 10}},
		"namespaces":            {namespaces(10), namespaces(11), Limits{Namespaces: 10}},
		"nodes":                 {"<a b='1'>" + strings.Repeat("<c/>", 7) + "</a>", "<a b='1'>" + strings.Repeat("<c/>", 8) + "</a>", Limits{Nodes: 10}},
		"depth by default":      {deep(500), deep(501), Limits{}},
		"attributes by default": {"<a" + many(512) + "/>", "<a" + many(513) + "/>", Limits{}},
		"namespaces by default": {namespaces(256), namespaces(257), Limits{}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read([]byte(test.fits), test.limits)
			require.NoError(t, err)
			_, err = Read([]byte(test.tooLarge), test.limits)
			assert.Equal(t, problem.TooLarge, problem.CodeOf(err), "%v", err)
		})
	}
	assert.Equal(t, int64(64<<20), Limits{}.MaxBytes())
	assert.Equal(t, int64(1<<29), Limits{Bytes: 1 << 40}.MaxBytes())
}

func TestTheTreeIsWhatStandsInTheDocument(t *testing.T) {
	d := read(t, "<?xml version=\"1.0\"?><!--c--><p:r xmlns:p='urn:p' xmlns='urn:d' a='1' p:b='2'>a&amp;<![CDATA[<b>]]>\r\nc<e xmlns='' xml:id='i'/><?t d ?></p:r>")
	root := d.Root()
	assert.Equal(t, Name{"urn:p", "p", "r"}, root.Name())
	assert.Equal(t, []Attribute{{Name{"", "", "a"}, "1"}, {Name{"urn:p", "p", "b"}, "2"}}, root.Attributes())
	v, ok := root.Attr("urn:p", "b")
	assert.True(t, ok)
	assert.Equal(t, "2", v)
	_, ok = root.Attr("", "b")
	assert.False(t, ok)
	var kinds []Kind
	for c := range root.Children() {
		kinds = append(kinds, c.Kind())
		assert.Equal(t, root, c.Parent())
		assert.True(t, c.Inside(root))
		assert.False(t, root.Inside(c))
	}
	assert.Equal(t, []Kind{TextNode, ElementNode, InstructionNode}, kinds)
	assert.Equal(t, "a&<b>\nc", root.FirstChild().Value())
	assert.Equal(t, "a&<b>\nc", root.Text())
	e := root.Child("", "e")
	require.True(t, e.Exists())
	assert.Equal(t, "d ", e.Next().Value())
	assert.Equal(t, "t", e.Next().Name().Local)
	uri, ok := e.Lookup("p")
	assert.True(t, ok)
	assert.Equal(t, "urn:p", uri)
	_, ok = e.Lookup("")
	assert.False(t, ok, "the default namespace is undone")
	assert.Equal(t, []Node{e}, d.ByID("i"))
	assert.Equal(t, CommentNode, d.Node().FirstChild().Kind())
	assert.Equal(t, DocumentNode, root.Parent().Kind())
	assert.False(t, root.Parent().Parent().Exists())
	assert.False(t, Node{}.FirstChild().Exists())
	assert.False(t, Node{}.Next().Exists())
	assert.Empty(t, slices.Collect(Node{}.Elements()))
	assert.Empty(t, slices.Collect(Node{}.Descendants()))
}

func TestOffsetsLeadBackToTheInputInEveryEncoding(t *testing.T) {
	body := "<zażółć><ą ę='ś'>ź</ą><b/></zażółć>"
	single := func(s string) string {
		return strings.NewReplacer("ż", "\xBF", "ó", "\xF3", "ł", "\xB3", "ć", "\xE6", "ą", "\xB1", "ę", "\xEA", "ś", "\xB6", "ź", "\xBC").Replace(s)
	}
	for name, test := range map[string]struct {
		input string
		code  func(string) string
	}{
		"UTF-8":       {body, func(s string) string { return s }},
		"with a mark": {"\xEF\xBB\xBF" + body, func(s string) string { return s }},
		"ISO-8859-2":  {"<?xml version='1.0' encoding='ISO-8859-2'?>" + single(body), single},
		"UTF-16":      {asUTF16("😀"[:0] + body), func(s string) string { return asUTF16(s)[2:] }},
	} {
		t.Run(name, func(t *testing.T) {
			d := read(t, test.input)
			start, open, end := d.Root().Offsets()
			assert.Equal(t, test.code("<zażółć>"), test.input[start:open])
			assert.Equal(t, test.code("</zażółć>"), test.input[end:])
			a := d.Root().FirstChild()
			start, open, end = a.Offsets()
			assert.Equal(t, test.code("<ą ę='ś'>"), test.input[start:open])
			assert.Equal(t, test.code("ź"), test.input[open:end])
			start, open, end = a.Next().Offsets()
			assert.Equal(t, test.code("<b/>"), test.input[start:open])
			assert.Equal(t, open, end)
		})
	}
}

func TestEncodingsOfOneDocumentGiveOneTree(t *testing.T) {
	plain := "<a b='ąćęłńóśźż'>Zażółć\r\ngęślą jaźń</a>"
	want, err := Canonicalization{}.Bytes(Subtree(read(t, plain).Node()))
	require.NoError(t, err)
	iso := strings.NewReplacer("ą", "\xB1", "ć", "\xE6", "ę", "\xEA", "ł", "\xB3", "ń", "\xF1", "ó", "\xF3", "ś", "\xB6", "ź", "\xBC", "ż", "\xBF")
	windows := strings.NewReplacer("ą", "\xB9", "ć", "\xE6", "ę", "\xEA", "ł", "\xB3", "ń", "\xF1", "ó", "\xF3", "ś", "\x9C", "ź", "\x9F", "ż", "\xBF")
	for _, input := range []string{
		"<?xml version='1.0' encoding='utf-8' standalone='yes'?>" + plain,
		"<?xml version='1.0' encoding='iso-8859-2'?>" + iso.Replace(plain),
		"<?xml version='1.0' encoding='Windows-1250'?>" + windows.Replace(plain),
		asUTF16("<?xml version='1.0' encoding='UTF-16'?>" + plain), asUTF16(plain),
		"<?xml version='1.0' encoding='US-ASCII'?><a b='&#261;&#263;&#281;&#322;&#324;&#243;&#347;&#378;&#380;'>Za&#380;&#xF3;&#322;&#263;\ng&#x119;&#x15B;l&#x105; ja&#x17A;&#x144;</a>",
	} {
		got, err := Canonicalization{}.Bytes(Subtree(read(t, input).Node()))
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got))
	}
}

func TestIdentifiersAreThoseOfAllVocabularies(t *testing.T) {
	d := read(t, `<a Id="1"><b ID="2" id="2"/><c xml:id="3"/><d xmlns:w="`+namespaceWSU+`" w:Id="4"/><e x:id="5" xmlns:x="urn:x"/><f id="1"/></a>`)
	assert.Len(t, d.ByID("1"), 2)
	assert.Len(t, d.ByID("2"), 1, "twice on one element is one element")
	assert.Len(t, d.ByID("3"), 1)
	assert.Len(t, d.ByID("4"), 1)
	assert.Empty(t, d.ByID("5"))
	assert.Empty(t, d.ByID(""))
}

func TestSetsAreWhatTheirOperationsSay(t *testing.T) {
	for seed := range 300 {
		r := rand.New(rand.NewPCG(uint64(seed), 3))
		d := read(t, generate(r))
		var nodes []Node
		for i := range d.count {
			nodes = append(nodes, Node{d, i})
		}
		some := func() (out []Node) {
			for range r.IntN(4) {
				out = append(out, nodes[r.IntN(len(nodes))])
			}
			return out
		}
		inside := func(n Node, tops []Node) bool { return slices.ContainsFunc(tops, n.Inside) }
		a, b, c, e := some(), some(), some(), some()
		set := Subtree(d.Node()).Within(a...).Without(b...).With(c...).Without(e...)
		for _, n := range nodes {
			want := (inside(n, a) && !inside(n, b) || inside(n, c)) && !inside(n, e)
			require.Equal(t, want, set.Has(n), "seed %d", seed)
		}
		require.True(t, set.HoldsAllOf(set.Within(some()...)))
		require.True(t, Subtree(d.Node()).HoldsAllOf(set))
	}
}

func FuzzRead(f *testing.F) {
	for _, input := range tricky {
		f.Add([]byte(input))
	}
	f.Add([]byte(asUTF16("<?xml version='1.0' encoding='UTF-16'?><ą/>")))
	f.Add([]byte("<?xml version='1.0' encoding='ISO-8859-2'?><a>\xB1</a>"))
	limits := Limits{Bytes: 1 << 20, Nodes: 1 << 16}
	f.Fuzz(func(t *testing.T, input []byte) {
		d, err := Read(input, limits)
		if err != nil {
			require.NotEqual(t, problem.Internal, problem.CodeOf(err))
			return
		}
		for e := range d.Node().Descendants() {
			start, open, end := e.Offsets()
			require.True(t, 0 <= start && start < open && open <= end && end <= len(input))
		}
	})
}

// The canonical form of a canonical form is itself, in each method, and it is UTF-8 that we read.
func FuzzCanonicalFormIsItsOwn(f *testing.F) {
	for _, input := range tricky {
		f.Add([]byte(input))
	}
	for seed := range 8 {
		f.Add([]byte(generate(rand.New(rand.NewPCG(uint64(seed), 1)))))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		d, err := Read(input, Limits{Bytes: 1 << 20, Nodes: 1 << 16})
		if err != nil {
			return
		}
		for _, c := range canonicalizations {
			once, err := c.Bytes(Subtree(d.Node()))
			if err != nil {
				continue
			}
			again, err := Read(once, Limits{})
			require.NoError(t, err)
			twice, err := c.Bytes(Subtree(again.Node()))
			require.NoError(t, err)
			require.Equal(t, string(once), string(twice))
		}
	})
}
