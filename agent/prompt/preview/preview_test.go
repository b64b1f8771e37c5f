package preview

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestADocumentIsWhatItsOctetsSay(t *testing.T) {
	utf16le := []byte{0xFF, 0xFE}
	for _, u := range utf16.Encode([]rune("<a>zażółć</a>")) {
		utf16le = append(utf16le, byte(u), byte(u>>8))
	}
	tests := []struct {
		name    string
		content []byte
		kind    Kind
		note    Note
	}{
		{"XML is a tree", []byte(`<?xml version="1.0" encoding="UTF-8"?><a/>`), XML, ""},
		{"XML with a byte order mark is a tree", []byte("\xEF\xBB\xBF<a/>"), XML, ""},
		{"XML in UTF-16 is a tree", utf16le, XML, ""},
		{"white space before the root element is a tree", []byte("\n\n<a/>\n"), XML, ""},
		{"text is text", []byte("zażółć\ngęślą\tjaźń"), Text, ""},
		{"an empty file is empty text", []byte{}, Text, NoteEmpty},
		{"PDF cannot be shown", []byte("%PDF-1.7 …"), Other, NotePDF},
		{"octets cannot be shown", []byte("PK\x03\x04\x00\x00"), Other, NoteOther},
		{"text in windows-1250 cannot be shown", []byte("za\xbf\xf3\xb3\xe6"), Other, NoteOther},
		{"XML that declares another encoding cannot be shown", []byte(`<?xml version="1.0" encoding="ISO-8859-2"?><a/>`), Other, NoteEncoding},
		{"a document type declaration is shown as text", []byte(`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`), Text, NoteDoctype},
		{"XML that ends too early is text", []byte(`<a><b></b>`), Text, NoteNotXML},
		{"crossed tags are text", []byte(`<a><b></a></b>`), Text, NoteNotXML},
		{"two roots are text", []byte(`<a/><b/>`), Text, NoteNotXML},
		{"text after the root is text", []byte(`<a/>b`), Text, NoteNotXML},
		{"CDATA outside the root is text", []byte(`<![CDATA[ ]]><a/>`), Text, NoteNotXML},
		{"an attribute twice is text", []byte(`<a b="1" b="2"/>`), Text, NoteNotXML},
		{"attributes without a space between are text", []byte(`<a b="1"c="2"/>`), Text, NoteNotXML},
		{"an attribute without quotes is text", []byte(`<a b=1/>`), Text, NoteNotXML},
		{"< in an attribute is text", []byte(`<a b="<"/>`), Text, NoteNotXML},
		{"an unknown entity is text", []byte(`<a>&nbsp;</a>`), Text, NoteNotXML},
		{"a reference to a control character is text", []byte(`<a>&#27;</a>`), Text, NoteNotXML},
		{"a reference to a surrogate is text", []byte(`<a>&#xD800;</a>`), Text, NoteNotXML},
		{"a reference that overflows is text", []byte(`<a>&#x99999999;</a>`), Text, NoteNotXML},
		{"-- in a comment is text", []byte(`<a><!-- a -- b --></a>`), Text, NoteNotXML},
		{"]]> in text is text", []byte(`<a>]]></a>`), Text, NoteNotXML},
		{"a second XML declaration is text", []byte(`<a><?xml version="1.0"?></a>`), Text, NoteNotXML},
		{"an instruction without a name is text", []byte(`<?>`), Text, NoteNotXML},
		{"an instruction that runs into its name is text", []byte(`<a><?b,?></a>`), Text, NoteNotXML},
		{"HTML is text", []byte(`<p>unclosed<br></p>`), Text, NoteNotXML},
		{"an octet that is no character makes it text", []byte("<a>" + strings.Repeat("long enough ", 20) + "\xff</a>"), Text, NoteNotXML},
		{"nesting beyond the limit is text", []byte(strings.Repeat("<a>", 201) + strings.Repeat("</a>", 201)), Text, NoteDeep},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := Read(tt.content, int64(len(tt.content)), Limits{})
			assert.Equal(t, tt.kind, d.Kind)
			assert.Equal(t, tt.note, d.Note)
			if tt.kind == Text && len(tt.content) > 0 {
				part, _ := d.Source(0, 1<<20)
				assert.Equal(t, string(tt.content), part, "the source is the document")
			}
		})
	}
	assert.Equal(t, NoteMissing, Read(nil, 5, Limits{}).Note, "content that was not sent is missing, not empty")
}

func TestATreeHoldsEverythingInTheDocument(t *testing.T) {
	d := Read([]byte(`<?xml version="1.0"?>
<!-- before -->
<p:a xmlns:p="urn:x" b='1 &amp; "2"'>
  <c>zażółć &lt;b&gt; &#x17B;<![CDATA[ <i> ]]>end</c>
  <?go now ?>
  <d/> mixed
  <e>  </e>
</p:a>`), 1, Limits{})
	require.Equal(t, XML, d.Kind)
	require.Len(t, d.Nodes, 2)
	assert.Equal(t, &Node{Type: Comment, Text: " before "}, d.Nodes[0])
	root := d.Nodes[1]
	assert.Equal(t, "p:a", root.Name)
	assert.Equal(t, []Attribute{{Name: "xmlns:p", Value: "urn:x"}, {Name: "b", Value: `1 & "2"`}}, root.Attributes)
	require.Len(t, root.Children, 5)
	require.True(t, root.Children[0].Leaf())
	assert.Equal(t, "zażółć <b> Ż <i> end", root.Children[0].Children[0].Text)
	assert.Equal(t, &Node{Type: Instruction, Name: "go", Text: "now"}, root.Children[1])
	assert.True(t, root.Children[2].Leaf())
	assert.Empty(t, root.Children[2].Children)
	assert.Equal(t, " mixed\n  ", root.Children[3].Text)
	assert.False(t, root.Leaf())
	assert.Equal(t, d.Total, d.Shown)
}

func TestWhatIsLeftOutOfATreeIsSaid(t *testing.T) {
	many := []byte("<a>" + strings.Repeat("<b>x</b>", 100) + "</a>")
	d := Read(many, int64(len(many)), Limits{Nodes: 51})
	require.Equal(t, XML, d.Kind)
	assert.Equal(t, 51, d.Shown)
	assert.Equal(t, 201, d.Total)
	assert.Len(t, d.Nodes[0].Children, 25)

	long := []byte("<a b='" + strings.Repeat("ż", 50) + "'>" + strings.Repeat("ó", 50) + "</a>")
	d = Read(long, int64(len(long)), Limits{Run: 11})
	text := d.Nodes[0].Children[0]
	assert.Equal(t, strings.Repeat("ó", 5), text.Text)
	assert.True(t, text.Cut)
	assert.True(t, d.Nodes[0].Attributes[0].Cut)

	d = Read(long, int64(len(long)), Limits{Volume: 100})
	text = d.Nodes[0].Children[0]
	assert.Empty(t, text.Text)
	assert.True(t, text.Cut, "an exhausted volume is said too")

	wide := []byte("<a " + strings.Repeat("b", 3) + "='1' c='2' d='3'/>")
	d = Read(wide, int64(len(wide)), Limits{Nodes: 2})
	assert.Equal(t, 4, d.Total)

	malformedLater := append(bytes.Repeat([]byte("<!--x-->"), 100), "<a>"...)
	assert.Equal(t, NoteNotXML, Read(malformedLater, 1, Limits{Nodes: 5}).Note, "what is not shown is still checked")
}

func TestTheSourceComesInParts(t *testing.T) {
	content := []byte("pierwszy wiersz\ndrugi wiersz\nżółty")
	d := Read(content, int64(len(content)), Limits{})
	var all string
	for from, parts := 0, 0; ; parts++ {
		require.Less(t, parts, 100)
		part, next := d.Source(from, 20)
		all += part
		if next == 0 {
			break
		}
		from = next
	}
	assert.Equal(t, string(content), all)
	part, next := d.Source(0, 20)
	assert.Equal(t, "pierwszy wiersz\n", part)
	assert.Equal(t, 16, next)
	for _, from := range []int{-1, len(content), 1 << 40} {
		part, next = d.Source(from, 10)
		assert.Empty(t, part)
		assert.Zero(t, next)
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`<?xml version="1.0" encoding="UTF-8"?><a b="c">&amp;<!-- d --><?e f?><![CDATA[g]]></a>`,
		`<!DOCTYPE a><a/>`, "text", "\xff\xfe<\x00a\x00", `<a:b xmlns:a='&#x41;'/>`, "%PDF-1.4",
	} {
		f.Add([]byte(seed))
	}
	limits := Limits{Nodes: 20, Depth: 10, Run: 30, Volume: 200}
	f.Fuzz(func(t *testing.T, content []byte) {
		d := Read(content, int64(len(content)), limits)
		nodes, volume := 0, 0
		var count func(n *Node, depth int)
		count = func(n *Node, depth int) {
			require.LessOrEqual(t, depth, limits.Depth+1)
			nodes += 1 + len(n.Attributes)
			volume += len(n.Text)
			for _, a := range n.Attributes {
				volume += len(a.Value)
			}
			for _, c := range n.Children {
				count(c, depth+1)
			}
		}
		for _, n := range d.Nodes {
			count(n, 1)
		}
		require.LessOrEqual(t, nodes, limits.Nodes)
		require.LessOrEqual(t, volume, limits.Volume)
		require.LessOrEqual(t, d.Shown, d.Total)
		var length int
		for from, parts := 0, 0; ; parts++ {
			require.Less(t, parts, len(content)*2+2)
			part, next := d.Source(from, 7)
			length += len(part)
			if next == 0 {
				break
			}
			require.Greater(t, next, from)
			from = next
		}
		if d.Kind != Other && len(content) > 0 {
			require.Equal(t, len(d.text), length)
		}
	})
}
