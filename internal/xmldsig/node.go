package xmldsig

import (
	"iter"
	"strings"
	"sync"
)

// Kind is the kind of a node. Attributes and namespaces are no nodes here: they belong to their element.
type Kind uint8

// The kinds of nodes.
const (
	NoNode Kind = iota
	DocumentNode
	ElementNode
	TextNode
	CommentNode
	InstructionNode
)

// Name is an expanded name together with the prefix it was written with.
type Name struct {
	Space  string
	Prefix string
	Local  string
}

func (n Name) qualified() string {
	if n.Prefix == "" {
		return n.Local
	}
	return n.Prefix + ":" + n.Local
}

// Attribute is one attribute with its normalised value. Namespace declarations are not attributes.
type Attribute struct {
	Name
	Value string
}

// Document is a parsed document. It never changes, and several goroutines may read it.
//
// The tree is kept in arrays of small records without pointers, in document order, so that a node's descendants are the
// records that follow it; texts are ranges of the decoded input wherever no reference or line end had to be replaced.
type Document struct {
	src    string // decoded, without byte order mark
	extra  string // texts and values that differ from what stands in src
	enc    encoding
	limits Limits

	nodes        [][]node
	count        uint32
	elements     []element
	attributes   []attribute
	declarations []attribute // name is an index into prefixes
	names        []Name
	prefixes     []string
	instructions []instruction
	root         uint32

	ids func() map[string][]uint32
}

const slab = 512

type node struct {
	kind   Kind
	parent uint32
	next   uint32 // 0: none
	a, b   uint32 // element: index in elements, first child; text, comment: a span; instruction: index in instructions
}

type element struct {
	name         uint32
	attribute    uint32
	declaration  uint32
	attributes   uint16
	declarations uint16
	start        uint32 // of "<" of the start tag, in src
	open         uint32 // behind ">" of the start tag
	end          uint32 // of "<" of the end tag; equal to open for an empty-element tag
	last         uint32 // the node behind the last descendant
}

type attribute struct {
	name  uint32
	value span
}

type instruction struct {
	target string
	data   span
}

// span is a range of src, or of extra where the bit inExtra is set in the start.
type span struct{ from, to uint32 }

const inExtra = 1 << 31

func (d *Document) at(i uint32) *node { return &d.nodes[i/slab][i%slab] }

func (d *Document) text(s span) string {
	if s.from&inExtra != 0 {
		return d.extra[s.from&^inExtra : s.to&^inExtra]
	}
	return d.src[s.from:s.to]
}

// Node returns the document node.
func (d *Document) Node() Node { return Node{d, 0} }

// Root returns the document element.
func (d *Document) Root() Node { return Node{d, d.root} }

// Node is a handle on one node; the zero Node is none. Two handles are equal when they are the same node.
type Node struct {
	doc *Document
	i   uint32
}

// Document returns the node's document.
func (n Node) Document() *Document { return n.doc }

// Exists tells whether there is a node.
func (n Node) Exists() bool { return n.doc != nil }

// Kind returns the kind of node, NoNode for the zero Node.
func (n Node) Kind() Kind {
	if n.doc == nil {
		return NoNode
	}
	return n.doc.at(n.i).kind
}

func (n Node) element() *element {
	if n.Kind() != ElementNode {
		return nil
	}
	return &n.doc.elements[n.doc.at(n.i).a]
}

func (n Node) sibling(i uint32) Node {
	if i == 0 {
		return Node{}
	}
	return Node{n.doc, i}
}

// Parent returns the parent, the zero Node for the document node.
func (n Node) Parent() Node {
	if n.doc == nil || n.i == 0 {
		return Node{}
	}
	return Node{n.doc, n.doc.at(n.i).parent}
}

// Next returns the next sibling.
func (n Node) Next() Node {
	if n.doc == nil {
		return Node{}
	}
	return n.sibling(n.doc.at(n.i).next)
}

// FirstChild returns the first child.
func (n Node) FirstChild() Node {
	if k := n.Kind(); k != ElementNode && k != DocumentNode {
		return Node{}
	}
	return n.sibling(n.doc.at(n.i).b)
}

// Children yields the children in document order.
func (n Node) Children() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for c := n.FirstChild(); c.Exists() && yield(c); c = c.Next() {
		}
	}
}

// Elements yields the child elements in document order.
func (n Node) Elements() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for c := n.FirstChild(); c.Exists(); c = c.Next() {
			if c.Kind() == ElementNode && !yield(c) {
				return
			}
		}
	}
}

// Child returns the first child element with that name.
func (n Node) Child(space, local string) Node {
	for c := range n.Elements() {
		if c.Is(space, local) {
			return c
		}
	}
	return Node{}
}

// Descendants yields every element below n, and n itself when it is one, in document order.
func (n Node) Descendants() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		from, to := n.extent()
		for i := from; i < to; i++ {
			if n.doc.at(i).kind == ElementNode && !yield(Node{n.doc, i}) {
				return
			}
		}
	}
}

// Named yields the elements of that name in n's subtree, n included, in document order.
func (n Node) Named(space, local string) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for e := range n.Descendants() {
			if e.Is(space, local) && !yield(e) {
				return
			}
		}
	}
}

// extent returns the range of n's subtree in document order.
func (n Node) extent() (from, to uint32) {
	switch n.Kind() {
	case NoNode:
		return 0, 0
	case DocumentNode:
		return 0, n.doc.count
	case ElementNode:
		return n.i, n.element().last
	}
	return n.i, n.i + 1
}

// Inside tells whether n is the node a or one of its descendants.
func (n Node) Inside(a Node) bool {
	if n.doc == nil || n.doc != a.doc {
		return false
	}
	from, to := a.extent()
	return from <= n.i && n.i < to
}

// Name returns an element's name; for an instruction Local is its target.
func (n Node) Name() Name {
	switch n.Kind() {
	case ElementNode:
		return n.doc.names[n.element().name]
	case InstructionNode:
		return Name{Local: n.doc.instructions[n.doc.at(n.i).a].target}
	}
	return Name{}
}

// Is tells whether n is an element of that expanded name.
func (n Node) Is(space, local string) bool {
	e := n.element()
	if e == nil {
		return false
	}
	name := &n.doc.names[e.name]
	return name.Local == local && name.Space == space
}

// Value returns the content of a text, a comment or an instruction, line ends normalised and references replaced.
func (n Node) Value() string {
	switch r := n.Kind(); r {
	case TextNode, CommentNode:
		at := n.doc.at(n.i)
		return n.doc.text(span{at.a, at.b})
	case InstructionNode:
		return n.doc.text(n.doc.instructions[n.doc.at(n.i).a].data)
	}
	return ""
}

// Text returns the XPath string-value: all text in the subtree, comments left out and not ending it.
func (n Node) Text() string {
	if n.Kind() == TextNode {
		return n.Value()
	}
	if c := n.FirstChild(); c.Kind() == TextNode && !c.Next().Exists() {
		return c.Value()
	}
	var b strings.Builder
	from, to := n.extent()
	for i := from; i < to; i++ {
		if r := n.doc.at(i); r.kind == TextNode {
			b.WriteString(n.doc.text(span{r.a, r.b}))
		}
	}
	return b.String()
}

// Attributes returns an element's attributes in the order they were written.
func (n Node) Attributes() []Attribute {
	e := n.element()
	if e == nil || e.attributes == 0 {
		return nil
	}
	out := make([]Attribute, 0, e.attributes)
	for _, a := range n.doc.attributes[e.attribute : e.attribute+uint32(e.attributes)] {
		out = append(out, Attribute{n.doc.names[a.name], n.doc.text(a.value)})
	}
	return out
}

// Attr returns the value of an attribute and whether there is one.
func (n Node) Attr(space, local string) (string, bool) {
	e := n.element()
	if e == nil {
		return "", false
	}
	for _, a := range n.doc.attributes[e.attribute : e.attribute+uint32(e.attributes)] {
		if name := &n.doc.names[a.name]; name.Local == local && name.Space == space {
			return n.doc.text(a.value), true
		}
	}
	return "", false
}

// declared yields the namespace declarations that stand on the element itself.
func (n Node) declared() iter.Seq[Binding] {
	return func(yield func(Binding) bool) {
		e := n.element()
		if e == nil {
			return
		}
		for _, a := range n.doc.declarations[e.declaration : e.declaration+uint32(e.declarations)] {
			if !yield(Binding{n.doc.prefixes[a.name], n.doc.text(a.value)}) {
				return
			}
		}
	}
}

// Lookup returns the namespace name that a prefix has at this element.
func (n Node) Lookup(prefix string) (string, bool) {
	if prefix == "xml" {
		return NamespaceXML, true
	}
	for e := n; e.Kind() == ElementNode; e = e.Parent() {
		for b := range e.declared() {
			if b.Prefix == prefix {
				return b.URI, b.URI != ""
			}
		}
	}
	return "", false
}

// Offsets returns where an element stands in the original input: the first octet of its start tag, the octet behind
// its start tag, and the first octet of its end tag. For an empty-element tag the last two are equal.
func (n Node) Offsets() (start, open, end int) {
	e := n.element()
	if e == nil {
		return 0, 0, 0
	}
	d := n.doc
	return d.enc.original(d.src, int(e.start)), d.enc.original(d.src, int(e.open)), d.enc.original(d.src, int(e.end))
}

// Position returns the line and the column, both from 1, of an element's start tag.
func (n Node) Position() (line, column int) {
	e := n.element()
	if e == nil {
		return 1, 1
	}
	return position(n.doc.src, int(e.start))
}

// isID tells which attributes identify an element. Without a document type these are a convention: Id, ID and id of the
// element's own vocabulary, xml:id, and wsu:Id of WS-Security.
func isID(n Name) bool {
	switch n.Space {
	case "":
		return n.Local == "Id" || n.Local == "ID" || n.Local == "id"
	case NamespaceXML:
		return n.Local == "id"
	case namespaceWSU:
		return n.Local == "Id"
	}
	return false
}

func (d *Document) indexIDs() {
	d.ids = sync.OnceValue(func() map[string][]uint32 {
		ids := map[string][]uint32{}
		for e := range d.Node().Descendants() {
			rec := e.element()
			for _, a := range d.attributes[rec.attribute : rec.attribute+uint32(rec.attributes)] {
				if !isID(d.names[a.name]) {
					continue
				}
				v := d.text(a.value)
				if had := ids[v]; len(had) == 0 || had[len(had)-1] != e.i {
					ids[v] = append(had, e.i)
				}
			}
		}
		return ids
	})
}

// ByID returns the elements that carry an identifier, in document order. More than one means that a reference to it
// resolves to nothing that can be trusted.
func (d *Document) ByID(id string) []Node {
	var out []Node
	for _, i := range d.ids()[id] {
		out = append(out, Node{d, i})
	}
	return out
}
