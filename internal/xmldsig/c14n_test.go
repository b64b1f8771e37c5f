package xmldsig

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/problem"
	"certsign/internal/testtool"
)

// judges are xmllint's switches; each writes comments.
var judges = []struct {
	flag string
	c14n Canonicalization
}{
	{"--c14n", Canonicalization{Comments: true}},
	{"--c14n11", Canonicalization{Kind: Inclusive11, Comments: true}},
	{"--exc-c14n", Canonicalization{Kind: Exclusive10, Comments: true}},
}

func xmllint(t testing.TB, flag, input string) ([]byte, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "in.xml")
	require.NoError(t, os.WriteFile(file, []byte(input), 0o600))
	cmd := exec.Command(testtool.Need(t, "xmllint"), "--nonet", "--huge", flag, file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.String())
	}
	return out, nil
}

var tricky = map[string]string{
	"the smallest document":                    `<a/>`,
	"Polish letters":                           `<zgłoszenie>Zażółć gęślą jaźń – „Łódź”</zgłoszenie>`,
	"attributes sort by namespace name":        `<r xmlns:z="http://aaa" xmlns:b="http://bbb" b:a="1" z:q="2" y="3" a="4"/>`,
	"line ends and tabs in values":             "<r a=\"1\r\n2\r3\n4\t5\"/>",
	"line ends and tabs as references":         `<r a="1&#13;&#10;2&#xD;3&#xa;4&#9;5">&#13;&#10;&#9;</r>`,
	"CR LF in text, comment and instruction":   "<r>\r\na\rb\n<!--x\r\ny\rz--><?p a\r\nb?></r>",
	"CDATA becomes text":                       `<r>a<![CDATA[<b>&amp;</b> ]] ]]>c<![CDATA[]]></r>`,
	"quotes change":                            `<r a='"' b="'" c='&quot;&apos;&lt;&gt;&amp;'/>`,
	"the default namespace is undone":          `<a xmlns="urn:a"><b xmlns=""><c xmlns=""/></b><d xmlns="urn:a"/></a>`,
	"a superfluous empty default":              `<a xmlns=""><b xmlns=""/></a>`,
	"superfluous declarations":                 `<p:a xmlns:p="urn:p"><p:b xmlns:p="urn:p" xmlns:q="urn:q"><p:c xmlns:q="urn:q"/></p:b></p:a>`,
	"a prefix that changes its meaning":        `<p:a xmlns:p="urn:1"><p:b xmlns:p="urn:2"><p:c xmlns:p="urn:1" p:x="1"/></p:b></p:a>`,
	"the prefix xml declared":                  `<a xmlns:xml="http://www.w3.org/XML/1998/namespace" xml:lang="pl"><b xml:space="preserve"> </b></a>`,
	"unused prefixes in exclusive form":        `<a xmlns="urn:d" xmlns:u="urn:u" xmlns:v="urn:v"><b v:x="1"/><u:c/><d xmlns=""/></a>`,
	"content around the root":                  "<?xml version=\"1.0\"?>\n<!-- before -->\n<?p i?>\n\n<r/>\n<!-- after -->\n<?q?>\n",
	"instructions":                             `<r><?p?><?q  x y  ?><?r a="1"?></r>`,
	"characters outside the first plane":       `<r a="&#x1F600;">😀&#x10FFFF;</r>`,
	"greater-than in text and value":           `<r a="a>b">a>b ]] &gt; ]</r>`,
	"two prefixes for one namespace":           `<a:r xmlns:a="urn:x" xmlns:b="urn:x"><b:c a:y="1" b:x="2"/></a:r>`,
	"names of the fifth edition":               `<ǅ.-·_ ä="1" xmlns:ß="urn:s" ß:a="2"/>`,
	"white space in tags":                      "<r  \n a = '1'\t b\r=\r\"2\"   ><c   /></r  >",
	"an attribute without prefix sorts before": `<p:r xmlns:p="a:a" p:a="1" z="2" xml:base="x"/>`,
	"deep default changes":                     `<a xmlns="urn:1"><p:b xmlns:p="urn:p" xmlns="urn:2"><c xmlns="urn:1"/><p:d xmlns=""><e/></p:d></p:b></a>`,
}

func TestCanonicalFormIsThatOfXMLLint(t *testing.T) {
	for name, input := range tricky {
		for _, judge := range judges {
			t.Run(name+" "+judge.flag, func(t *testing.T) {
				want, err := xmllint(t, judge.flag, input)
				require.NoError(t, err)
				got, err := judge.c14n.Bytes(Subtree(read(t, input).Node()))
				require.NoError(t, err)
				assert.Equal(t, string(want), string(got))
			})
		}
	}
}

func TestCanonicalFormOfGeneratedTreesIsThatOfXMLLint(t *testing.T) {
	testtool.Need(t, "xmllint")
	trees := 240
	if testing.Short() {
		trees = 30
	}
	for seed := range trees {
		input := generate(rand.New(rand.NewPCG(uint64(seed), 7)))
		judge := judges[seed%len(judges)]
		want, err := xmllint(t, judge.flag, input)
		require.NoError(t, err, input)
		got, err := judge.c14n.Bytes(Subtree(read(t, input).Node()))
		require.NoError(t, err, input)
		require.Equal(t, string(want), string(got), "seed %d:\n%s", seed, input)
	}
}

// generate writes a random document that uses and redeclares a few prefixes in all ways that are allowed.
func generate(r *rand.Rand) string {
	var b strings.Builder
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	text := func() string {
		return pick("", " ", "\n\t", "a", "ż", "&amp;", "&lt;", "&gt;", "&#13;", "&#x9;", "\r\n", "\r", "]]", "<![CDATA[ <&> ]]>", "'", "😀")
	}
	value := func() string { return strings.ReplaceAll(text(), "<![CDATA[ <&> ]]>", "&quot;") + pick("", "\t", "x") }
	var element func(depth int, scope map[string]string)
	element = func(depth int, outer map[string]string) {
		scope := map[string]string{}
		for k, v := range outer {
			scope[k] = v
		}
		var tag strings.Builder
		for _, p := range []string{"", "p", "q", "r", "z"} {
			switch {
			case r.IntN(4) != 0 && scope[p] != "":
			case p == "" && r.IntN(3) == 0:
				scope[""] = pick("", "urn:a", "urn:b")
				fmt.Fprintf(&tag, " xmlns='%s'", scope[""])
			case p != "" && (scope[p] == "" || r.IntN(2) == 0):
				scope[p] = pick("urn:a", "urn:b", "urn:c", "http://z/?a=&#98;")
				fmt.Fprintf(&tag, "%sxmlns:%s=\"%s\"", pick(" ", "\n", "\t "), p, scope[p])
			}
		}
		used := map[string]bool{}
		for range r.IntN(5) {
			p, local := pick("", "p:", "q:", "z:", "xml:"), pick("a", "b", "c")
			if p == "xml:" {
				local = pick("lang", "space", "base")
			}
			expanded := "|" + local
			switch p {
			case "":
			case "xml:":
				expanded = p + local
			default:
				expanded = scope[strings.TrimSuffix(p, ":")] + expanded
			}
			if used[expanded] {
				continue
			}
			used[expanded] = true
			content := value()
			if local == "base" {
				// libxml2 leaves out an empty xml:base of the root; Canonical XML 1.1, 2.4 only one that its fix-up made.
				content += "b/"
			}
			fmt.Fprintf(&tag, " %s%s=%s", p, local, pick(`"`+content+`"`, `'`+strings.ReplaceAll(content, "'", "")+`'`))
		}
		name := pick("", "p:", "q:", "r:") + pick("a", "b", "żółw")
		if depth == 0 || r.IntN(4) == 0 {
			fmt.Fprintf(&b, "<%s%s/>", name, tag.String())
			return
		}
		fmt.Fprintf(&b, "<%s%s>", name, tag.String())
		for range r.IntN(5) {
			b.WriteString(text())
			switch r.IntN(5) {
			case 0:
				b.WriteString("<!--" + pick("", " c ", "ż") + "-->")
			case 1:
				b.WriteString("<?t " + pick("", "d", "a  b ") + "?>")
			default:
				element(depth-1, scope)
			}
		}
		fmt.Fprintf(&b, "</%s>", name)
	}
	b.WriteString(pick("", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "<!--before-->", "<?x y?>\n"))
	element(4, map[string]string{})
	b.WriteString(pick("", "\n", "<!--after-->", "\n<?x?>\n"))
	return b.String()
}

func TestCanonicalFormOfOtherProjectsFilesIsThatOfXMLLint(t *testing.T) {
	dir := testtool.Corpus(t)
	testtool.Need(t, "xmllint")
	compared, refused := 0, 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "manifest.tsv" || strings.Contains(path, "xml-attack") {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(raw[:min(len(raw), 200)], []byte("<")) || bytes.Contains(raw, []byte{0, 0, 0}) {
			return err
		}
		doc, err := Read(raw, Limits{})
		if err != nil {
			// What we refuse, xmllint must refuse as well, or it has a document type.
			if problem.CodeOf(err) == problem.XMLMalformed {
				_, lint := xmllint(t, "--c14n", string(raw))
				assert.Error(t, lint, "%s: %v", path, err)
			}
			refused++
			return nil
		}
		for _, judge := range judges {
			want, err := xmllint(t, judge.flag, string(raw))
			if err != nil {
				_, ours := judge.c14n.Bytes(Subtree(doc.Node()))
				assert.Error(t, ours, "%s: xmllint: %v", path, err)
				continue
			}
			got, err := judge.c14n.Bytes(Subtree(doc.Node()))
			require.NoError(t, err, path)
			assert.True(t, bytes.Equal(want, got), "%s %s", judge.flag, path)
			compared++
		}
		return nil
	})
	require.NoError(t, err)
	t.Logf("%d canonical forms equal, %d files refused", compared, refused)
	assert.Greater(t, compared, 100)
}

// The W3C's own vectors for sets that are part of a document. Their XPath expressions are given as subtrees.
func TestCanonicalFormOfSubsetsIsThatOfTheSpecification(t *testing.T) {
	dir := filepath.Join(testtool.Corpus(t), "c14n")
	named := func(d *Document, local string) []Node {
		var out []Node
		for e := range d.Node().Descendants() {
			if e.Name().Local == local {
				out = append(out, e)
			}
		}
		return out
	}
	only := func(local ...string) func(*Document) NodeSet {
		return func(d *Document) NodeSet {
			var tops []Node
			for _, l := range local {
				tops = append(tops, named(d, l)...)
			}
			return Subtree(d.Node()).Within(tops...)
		}
	}
	rootWithout := func(local ...string) func(*Document) NodeSet {
		return func(d *Document) NodeSet {
			s := Subtree(d.Root())
			for _, l := range local {
				s = s.Without(named(d, l)...)
			}
			return s
		}
	}
	// e1 alone, with its attributes and namespaces, and all of e3.
	e1AndE3 := func(d *Document) NodeSet {
		s := NodeSet{doc: d, comments: true}
		for _, e := range named(d, "e1") {
			s.ranges = append(s.ranges, interval{e.i, e.i + 1})
		}
		return s.With(named(d, "e3")...)
	}
	base11, c11 := "xmlbase-prop-input.xml", Canonicalization{Kind: Inclusive11}
	tests := []struct {
		input, output string
		c14n          Canonicalization
		set           func(*Document) NodeSet
	}{
		{base11, "xmlbase-prop-1.output", c11, rootWithout("e2")},
		{base11, "xmlbase-prop-2.output", c11, only("e1")},
		{base11, "xmlbase-prop-3.output", c11, only("e11")},
		{base11, "xmlbase-prop-4.output", c11, only("e111")},
		{base11, "xmlbase-prop-5.output", c11, only("e21")},
		{base11, "xmlbase-prop-6.output", c11, only("e3")},
		{base11, "xmlbase-prop-7.output", c11, rootWithout("e1", "e2")},
		{"xmllang-input.xml", "xmllang-1.output", c11, only("e1")},
		{"xmllang-input.xml", "xmllang-2.output", c11, only("e2")},
		{"xmllang-input.xml", "xmllang-3.output", c11, only("e11")},
		{"xmllang-input.xml", "xmllang-4.output", c11, only("e11", "e12")},
		{"xmlbase-c14n11spec2-input.xml", "xmlbase-c14n11spec2-102.output", c11, e1AndE3},
		{"37_input.xml", "37_c14n.xml", Canonicalization{}, e1AndE3},
		{"example2_2_3.xml", "example2_2_3_c14nized_exclusive.xml", Canonicalization{Kind: Exclusive10}, only("p")},
		{"plain-soap-1.1.xml", "plain-soap-c14nized.xml", Canonicalization{Kind: Exclusive10}, only("Body")},
		{"31_input.xml", "31_c14n.xml", Canonicalization{}, nil},
		{"31_input.xml", "31_c14n-comments.xml", Canonicalization{Comments: true}, nil},
		{"default_ns_redefinition_input.xml", "default_ns_redefinition_c14n.xml", Canonicalization{}, only("Object")},
	}
	doctype := regexp.MustCompile(`(?s)<!DOCTYPE[^\[>]*(\[.*?\])?>`)
	for _, test := range tests {
		t.Run(test.output, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join(dir, test.input))
			require.NoError(t, err)
			want, err := os.ReadFile(filepath.Join(dir, test.output))
			require.NoError(t, err)
			// We read no document types; what these declare is written out, where they declare anything.
			body := doctype.ReplaceAllString(string(raw), "")
			if body != string(raw) {
				body = strings.Replace(body, "<e2 ", `<e2 xml:space="preserve" `, 1)
			}
			d := read(t, body)
			set := Subtree(d.Node())
			if test.set != nil {
				set = test.set(d)
			}
			got, err := test.c14n.Bytes(set)
			require.NoError(t, err)
			assert.Equal(t, string(want), string(got))
		})
	}
}

// libxml2 writes namespace names as they are, so it is no judge of these. Canonical XML 1.0, 2.3 says that a namespace
// node is written as an attribute node is.
func TestNamespaceNamesAreEscapedLikeValues(t *testing.T) {
	got, err := Canonicalization{}.Bytes(Subtree(read(t, `<r xmlns:a="urn:&lt;&amp;&quot;&#9;>'"/>`).Node()))
	require.NoError(t, err)
	assert.Equal(t, `<r xmlns:a="urn:&lt;&amp;&quot;&#x9;>'"></r>`, string(got))
}

func TestRelativeNamespaceNamesHaveNoCanonicalForm(t *testing.T) {
	_, err := Canonicalization{}.Bytes(Subtree(read(t, "<a>\n <b xmlns='relative/name'/></a>").Node()))
	assert.Equal(t, problem.XMLMalformed, problem.CodeOf(err))
	assert.ErrorContains(t, err, "line 2, column 2")
}

func TestExclusiveFormTreatsThePrefixListInclusively(t *testing.T) {
	d := read(t, `<a xmlns="urn:d" xmlns:u="urn:u" xmlns:v="urn:v"><v:b><c xmlns="urn:e"/></v:b></a>`)
	set := Subtree(d.Root().FirstChild())
	for list, want := range map[string]string{
		"":           `<v:b xmlns:v="urn:v"><c xmlns="urn:e"></c></v:b>`,
		"u":          `<v:b xmlns:u="urn:u" xmlns:v="urn:v"><c xmlns="urn:e"></c></v:b>`,
		"#default v": `<v:b xmlns="urn:d" xmlns:v="urn:v"><c xmlns="urn:e"></c></v:b>`,
		"nowhere":    `<v:b xmlns:v="urn:v"><c xmlns="urn:e"></c></v:b>`,
	} {
		method := read(t, `<t Algorithm="`+ExcC14N10+`"><i:InclusiveNamespaces xmlns:i="`+ExcC14N10+`" PrefixList="`+list+`"/></t>`)
		c, ok := CanonicalizationFor(method.Root())
		require.True(t, ok)
		got, err := c.Bytes(set)
		require.NoError(t, err)
		assert.Equal(t, want, string(got), list)
	}
}
