// Package preview reads a document so that a person can be shown what is in it before signing: XML (XML 1.0, fifth
// edition, without DTDs) as a tree, text as text, and nothing else. What a document is, its own octets decide; the name and the type that a
// page gives it are not asked.
//
// Documents are hostile. Nothing is loaded, resolved or expanded; depth, number of elements and length of what is kept
// are limited, and whatever is left out is said in the result. It neither validates nor canonicalizes, and it is not what
// signatures are computed with: that is internal/xmldsig, which refuses more.
package preview

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Kind is how a document can be shown.
type Kind string

// The kinds.
const (
	XML   Kind = "xml"
	Text  Kind = "text"
	Other Kind = "other" // not at all
)

// Note says something about the view that the person must know; "" is nothing.
type Note string

// The notes.
const (
	NoteEmpty    Note = "empty"
	NoteMissing  Note = "missing"  // only the digest is there
	NotePDF      Note = "pdf"      // Other
	NoteOther    Note = "other"    // Other
	NoteEncoding Note = "encoding" // Other: text in an encoding other than UTF-8 or UTF-16
	NoteNotXML   Note = "notxml"   // Text: looks like XML and is not well-formed
	NoteDoctype  Note = "doctype"  // Text: XML with a DOCTYPE
	NoteDeep     Note = "deep"     // Text: XML nested deeper than Limits.Depth
)

// Limits bound what Read keeps. The zero value of a field means its default.
type Limits struct {
	Nodes  int // nodes and attributes in the tree; default 8000
	Depth  int // nesting of elements; default 200
	Run    int // octets of one run of text or one attribute's value; default 4096
	Volume int // octets of all of them; default 1 MiB
}

func (l Limits) orDefault() Limits {
	if l.Nodes <= 0 {
		l.Nodes = 8000
	}
	if l.Depth <= 0 {
		l.Depth = 200
	}
	if l.Run <= 0 {
		l.Run = 4096
	}
	if l.Volume <= 0 {
		l.Volume = 1 << 20
	}
	return l
}

// Document is what a person can be shown of a document.
type Document struct {
	Kind  Kind
	Note  Note
	Nodes []*Node // XML: the top level, one element and the comments and instructions around it
	Shown int     // XML: how many nodes and attributes are in the tree …
	Total int     // … of how many
	text  string
}

// Read looks at content, which size says should have that many octets: content that is absent although the document has
// some was not sent at all.
func Read(content []byte, size int64, limits Limits) Document {
	if len(content) == 0 {
		if size > 0 {
			return Document{Kind: Other, Note: NoteMissing}
		}
		return Document{Kind: Text, Note: NoteEmpty}
	}
	if bytes.HasPrefix(content, []byte("%PDF-")) {
		return Document{Kind: Other, Note: NotePDF}
	}
	text, ok := decode(content)
	if !ok {
		return Document{Kind: Other, Note: NoteOther}
	}
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "<") {
		return Document{Kind: Text, text: text}
	}
	nodes, total, err := parse(text, limits.orDefault())
	switch {
	case err == nil:
		return Document{Kind: XML, Nodes: nodes, Shown: min(total, limits.orDefault().Nodes), Total: total, text: text}
	case errors.Is(err, errEncoding):
		return Document{Kind: Other, Note: NoteEncoding}
	case errors.Is(err, errDoctype):
		return Document{Kind: Text, Note: NoteDoctype, text: text}
	case errors.Is(err, errDeep):
		return Document{Kind: Text, Note: NoteDeep, text: text}
	default:
		return Document{Kind: Text, Note: NoteNotXML, text: text}
	}
}

// Source returns a part of the document's text, at most n octets from octet from on, cut between characters and
// where possible between lines, and where the next part begins; next is 0 at the end.
func (d Document) Source(from, n int) (part string, next int) {
	if from < 0 || from >= len(d.text) {
		return "", 0
	}
	rest := d.text[from:]
	if len(rest) <= n {
		return rest, 0
	}
	for n > 0 && !utf8.RuneStart(rest[n]) {
		n--
	}
	if line := strings.LastIndexByte(rest[:n], '\n'); line > n/2 {
		n = line + 1
	}
	if n <= 0 {
		n = 1
	}
	return rest[:n], from + n
}

// decode returns content as UTF-8 without a byte order mark. It refuses what is not text: octets that are in no character,
// and control characters that no text file has (XML 1.0, 2.2, allows only the same three).
func decode(content []byte) (string, bool) {
	var text string
	switch {
	case bytes.HasPrefix(content, []byte{0xEF, 0xBB, 0xBF}):
		text = string(content[3:])
	case bytes.HasPrefix(content, []byte{0xFF, 0xFE}):
		text = decode16(content[2:], binary.LittleEndian)
	case bytes.HasPrefix(content, []byte{0xFE, 0xFF}):
		text = decode16(content[2:], binary.BigEndian)
	default:
		text = string(content)
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) {
		// A replacement character in the file itself is a scar of an earlier wrong decoding; with UTF-16 it may be ours.
		if !looksLikeText(text) {
			return "", false
		}
	}
	for i := 0; i < len(text); i++ {
		if c := text[i]; c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1B {
			return "", false
		}
	}
	return text, true
}

// looksLikeText allows the odd octet that is in no character: those are shown by their values.
func looksLikeText(text string) bool {
	bad, all := 0, 0
	for _, r := range text {
		all++
		if r == utf8.RuneError {
			bad++
		}
	}
	return bad*100 <= all
}

func decode16(content []byte, order binary.ByteOrder) string {
	units := make([]uint16, len(content)/2)
	for i := range units {
		units[i] = order.Uint16(content[2*i:])
	}
	text := string(utf16.Decode(units))
	if len(content)%2 != 0 {
		text += string(utf8.RuneError)
	}
	return text
}
