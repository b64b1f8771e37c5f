package xmldsig

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// SignedInfo is what a new signature signs, to be written as markup.
type SignedInfo struct {
	Canonicalization string // algorithm identifier
	Method           Method
	References       []Target
}

// Target is one reference of a new signature. Identifiers and URIs are ASCII without characters that markup would escape.
type Target struct {
	ID         string
	URI        string
	Type       string
	Transforms []string // algorithm identifiers of transforms without parameters
	Digest     []byte   // with the method's own hash
}

// Markup returns the SignedInfo element. The prefix ds must be declared where it is put.
func (s SignedInfo) Markup() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<ds:SignedInfo><ds:CanonicalizationMethod Algorithm="%s"/><ds:SignatureMethod Algorithm="%s"/>`, s.Canonicalization, s.Method.URI)
	for _, r := range s.References {
		b.WriteString("<ds:Reference")
		if r.ID != "" {
			fmt.Fprintf(&b, ` Id="%s"`, r.ID)
		}
		if r.Type != "" {
			fmt.Fprintf(&b, ` Type="%s"`, r.Type)
		}
		fmt.Fprintf(&b, ` URI="%s">`, r.URI)
		if len(r.Transforms) > 0 {
			b.WriteString("<ds:Transforms>")
			for _, t := range r.Transforms {
				fmt.Fprintf(&b, `<ds:Transform Algorithm="%s"/>`, t)
			}
			b.WriteString("</ds:Transforms>")
		}
		fmt.Fprintf(&b, `<ds:DigestMethod Algorithm="%s"/><ds:DigestValue>%s</ds:DigestValue></ds:Reference>`,
			s.Method.DigestURI(), base64.StdEncoding.EncodeToString(r.Digest))
	}
	b.WriteString("</ds:SignedInfo>")
	return b.String()
}

// Digest returns the method's hash over the canonical form of a set.
func (m Method) Digest(c Canonicalization, set NodeSet) ([]byte, error) {
	h := m.Hash.New()
	if err := c.Write(h, set); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// Place is where markup goes into a document: behind everything else in the root element.
type Place struct{ doc *Document }

// LastInRoot returns the place behind the last child of the root element.
func LastInRoot(d *Document) Place { return Place{d} }

// tag returns the root's start tag as it stands, made into one that has an end tag, and that end tag.
func (p Place) tag() (start, end string, empty bool) {
	e := p.doc.Root().element()
	start = p.doc.src[e.start:e.open]
	end = "</" + p.doc.Root().Name().qualified() + ">"
	if empty = e.end == e.open && strings.HasSuffix(start, "/>"); empty {
		start = strings.TrimSuffix(start, "/>") + ">"
	}
	return start, end, empty
}

// Context returns a small document in which the markup has the namespaces and the xml attributes that it would have in
// this place, so that its canonical form is the same, and the markup's element. It spares reading the whole document
// again for each part of a signature that is digested.
func (p Place) Context(markup string) (Node, error) {
	start, end, _ := p.tag()
	limits := p.doc.limits
	limits.Bytes += int64(len(start)) + int64(len(markup))
	d, err := Read([]byte(start+markup+end), limits)
	if err != nil {
		return Node{}, fmt.Errorf("read the markup in its context: %w", err)
	}
	return d.Root().FirstChild(), nil
}

// Insert writes input, which must be what the document was read from, with the markup in this place. Every other octet
// stays as it is, except that an empty-element tag of the root becomes a start tag and an end tag. The markup is ASCII and
// is written in the document's encoding.
func (p Place) Insert(w io.Writer, input []byte, markup string) error {
	for i := range len(markup) {
		if markup[i] >= utf8.RuneSelf {
			return errors.New("markup that is not ASCII")
		}
	}
	_, open, at := p.doc.Root().Offsets()
	enc := p.doc.enc
	_, end, empty := p.tag()
	parts := [][]byte{input[:at], enc.encode(markup), input[at:]}
	if empty {
		slash := len(enc.encode("/>"))
		// The name of the end tag is taken from the input, where it has the document's encoding.
		start, _, _ := p.doc.Root().Offsets()
		name := input[start+len(enc.encode("<")):][:p.nameOctets(end)]
		parts = [][]byte{input[:open-slash], enc.encode(">" + markup + "</"), name, enc.encode(">"), input[open:]}
	}
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("write the signed document: %w", err)
		}
	}
	return nil
}

// nameOctets returns how many octets the root's name takes in the input.
func (p Place) nameOctets(end string) int {
	name := end[len("</") : len(end)-len(">")]
	from := int(p.doc.Root().element().start) + len("<")
	return p.doc.enc.original(p.doc.src, from+len(name)) - p.doc.enc.original(p.doc.src, from)
}
