package xmldsig

import (
	"bytes"
	"io"
	"slices"
	"strings"
)

// Canonicalization is a canonicalization method with its parameters. The zero value is Canonical XML 1.0 without
// comments.
type Canonicalization struct {
	Kind     C14NKind
	Comments bool
	// Inclusive is the PrefixList of Exclusive XML Canonicalization, with "" for #default.
	Inclusive []string
}

// C14NKind is a canonicalization method's family.
type C14NKind uint8

// The families.
const (
	Inclusive10 C14NKind = iota // Canonical XML 1.0
	Inclusive11                 // Canonical XML 1.1
	Exclusive10                 // Exclusive XML Canonicalization 1.0
)

// The algorithm identifiers of canonicalization, each also defined with "WithComments".
const (
	C14N10    = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
	C14N11    = "http://www.w3.org/2006/12/xml-c14n11"
	ExcC14N10 = "http://www.w3.org/2001/10/xml-exc-c14n#"

	C14N10WithComments    = C14N10 + "#WithComments"
	C14N11WithComments    = C14N11 + "#WithComments"
	ExcC14N10WithComments = ExcC14N10 + "WithComments"
)

var canonicalizations = map[string]Canonicalization{
	C14N10:                {},
	C14N10WithComments:    {Comments: true},
	C14N11:                {Kind: Inclusive11},
	C14N11WithComments:    {Kind: Inclusive11, Comments: true},
	ExcC14N10:             {Kind: Exclusive10},
	ExcC14N10WithComments: {Kind: Exclusive10, Comments: true},
}

// CanonicalizationFor reads a CanonicalizationMethod or Transform element; ok is false when it names no canonicalization
// method that is known.
func CanonicalizationFor(method Node) (c Canonicalization, ok bool) {
	uri, _ := method.Attr("", "Algorithm")
	c, ok = canonicalizations[uri]
	if ok && c.Kind == Exclusive10 {
		// Exclusive XML Canonicalization 1.0, 4: the one parameter.
		list, _ := method.Child(ExcC14N10, "InclusiveNamespaces").Attr("", "PrefixList")
		for _, prefix := range strings.Fields(list) {
			if prefix == "#default" {
				prefix = ""
			}
			c.Inclusive = append(c.Inclusive, prefix)
		}
	}
	return c, ok
}

// Write writes the canonical form of a set to w. A namespace name in the set's elements that is a relative reference is
// the problem xml_malformed; any other error is w's.
func (c Canonicalization) Write(w io.Writer, set NodeSet) error {
	if set.doc == nil || len(set.ranges) == 0 {
		return nil
	}
	z := &canonicalizer{Canonicalization: c, set: set, out: writer{w: w}}
	if !c.Comments {
		z.set.comments = false
	}
	z.inclusive = map[string]bool{}
	for _, p := range c.Inclusive {
		z.inclusive[p] = true
	}
	top := set.top()
	for _, e := range ancestors(top.Parent()) {
		for b := range e.declared() {
			z.scope.push(b)
		}
	}
	if err := z.node(top, false); err != nil {
		return err
	}
	return z.out.flush()
}

// Bytes returns the canonical form of a set.
func (c Canonicalization) Bytes(set NodeSet) ([]byte, error) {
	var b bytes.Buffer
	err := c.Write(&b, set)
	return b.Bytes(), err
}

// top returns the lowest node that holds the whole set.
func (s NodeSet) top() Node {
	n, last := Node{s.doc, s.ranges[0].from}, s.ranges[len(s.ranges)-1].to
	for n.i != 0 {
		if _, to := n.extent(); to >= last {
			break
		}
		n = n.Parent()
	}
	return n
}

// ancestors returns n and the elements above it, the root first.
func ancestors(n Node) []Node {
	var out []Node
	for ; n.Kind() == ElementNode; n = n.Parent() {
		out = append(out, n)
	}
	slices.Reverse(out)
	return out
}

type canonicalizer struct {
	Canonicalization
	set       NodeSet
	out       writer
	inclusive map[string]bool
	scope     scope // what is declared
	rendered  scope // what the output has, seen from the nearest element in it
	cursor    int   // index of the first range that does not lie wholly behind us

	attributes []Attribute
	bindings   []Binding
}

// has tells whether a node is in the set; nodes are asked for in document order.
func (z *canonicalizer) has(n Node, kind Kind) bool {
	for z.cursor < len(z.set.ranges) && z.set.ranges[z.cursor].to <= n.i {
		z.cursor++
	}
	return z.cursor < len(z.set.ranges) && z.set.ranges[z.cursor].from <= n.i && (kind != CommentNode || z.set.comments)
}

// concerns tells whether anything in n's subtree may be in the set.
func (z *canonicalizer) concerns(n Node) bool {
	_, to := n.extent()
	for z.cursor < len(z.set.ranges) && z.set.ranges[z.cursor].to <= n.i {
		z.cursor++
	}
	return z.cursor < len(z.set.ranges) && z.set.ranges[z.cursor].from < to
}

func (z *canonicalizer) node(n Node, inParent bool) error {
	kind := n.Kind()
	switch kind {
	case DocumentNode:
		return z.children(n, false)
	case ElementNode:
		return z.element(n, inParent)
	}
	if !z.has(n, kind) {
		return nil
	}
	switch kind {
	case TextNode:
		z.out.escaped(n.Value(), &textEscapes)
	case CommentNode:
		z.beside(n, func() { z.out.strings("<!--", n.Value(), "-->") })
	case InstructionNode:
		z.beside(n, func() {
			z.out.strings("<?", n.Name().Local)
			if v := n.Value(); v != "" {
				z.out.strings(" ", v)
			}
			z.out.strings("?>")
		})
	}
	return z.out.err
}

// beside separates comments and instructions outside the root element from it: Canonical XML 1.0, 2.3, "Processing
// Instruction Nodes" and "Comment Nodes".
func (z *canonicalizer) beside(n Node, write func()) {
	outside := n.Parent().Kind() == DocumentNode
	behind := n.i > n.doc.root
	if outside && behind {
		z.out.strings("\n")
	}
	write()
	if outside && !behind {
		z.out.strings("\n")
	}
}

func (z *canonicalizer) children(n Node, inSet bool) error {
	for c := n.FirstChild(); c.Exists(); c = c.Next() {
		if err := z.node(c, inSet); err != nil {
			return err
		}
	}
	return nil
}

func (z *canonicalizer) element(n Node, inParent bool) error {
	if !z.concerns(n) {
		return nil
	}
	declared, rendered := z.scope.mark(), z.rendered.mark()
	for b := range n.declared() {
		// Canonical XML 1.0, 1.3: relative namespace names are a failure.
		if isRelative(b.URI) {
			line, column := n.Position()
			return relativeNamespace(line, column)
		}
		z.scope.push(b)
	}
	in := z.has(n, ElementNode)
	var name string
	if in {
		name = n.Name().qualified()
		z.out.strings("<", name)
		z.namespaces(n, inParent)
		z.writeAttributes(n, inParent)
		z.out.strings(">")
	}
	if err := z.children(n, in); err != nil {
		return err
	}
	if in {
		z.out.strings("</", name, ">")
	}
	z.scope.restore(declared)
	z.rendered.restore(rendered)
	return z.out.err
}

// namespaces writes the namespace axis.
func (z *canonicalizer) namespaces(n Node, inParent bool) {
	z.bindings = z.bindings[:0]
	if z.Kind == Exclusive10 {
		z.utilised(n)
	} else {
		z.inherited(n, inParent)
	}
	// Canonical XML 1.0, 2.2: namespace nodes by local name, the default first.
	slices.SortFunc(z.bindings, func(a, b Binding) int { return strings.Compare(a.Prefix, b.Prefix) })
	for _, b := range z.bindings {
		z.rendered.push(b)
		if b.Prefix == "" {
			z.out.strings(` xmlns="`)
		} else {
			z.out.strings(" xmlns:", b.Prefix, `="`)
		}
		z.out.escaped(b.URI, &valueEscapes)
		z.out.strings(`"`)
	}
}

// inherited collects what Canonical XML 1.0, 2.3 writes: every namespace in scope that the nearest element in the output
// does not have with the same value.
func (z *canonicalizer) inherited(n Node, inParent bool) {
	if inParent {
		// The parent's own axis has been written, so only the element's own declarations can differ.
		for b := range n.declared() {
			z.propose(b)
		}
		return
	}
	z.scope.each(z.propose)
}

// utilised collects what Exclusive XML Canonicalization 1.0, 3 writes: the namespaces of prefixes that the element and its
// attributes use, and those of the PrefixList.
func (z *canonicalizer) utilised(n Node) {
	z.use(n.Name().Prefix)
	e := n.element()
	for _, a := range n.doc.attributes[e.attribute : e.attribute+uint32(e.attributes)] {
		if p := n.doc.names[a.name].Prefix; p != "" {
			z.use(p)
		}
	}
	for _, p := range z.Inclusive {
		if uri := z.scope.lookup(p); uri != absent {
			z.propose(Binding{p, uri})
		}
	}
}

func (z *canonicalizer) use(prefix string) {
	uri := z.scope.lookup(prefix)
	if uri == absent {
		if prefix != "" {
			return
		}
		uri = ""
	}
	z.propose(Binding{prefix, uri})
}

// propose adds a binding unless the output has it already or it was proposed before.
func (z *canonicalizer) propose(b Binding) {
	// Canonical XML 1.0, 2.3: the declaration of the prefix xml is never written.
	if b.Prefix == "xml" {
		return
	}
	had := z.rendered.lookup(b.Prefix)
	if had == absent && b.Prefix == "" {
		had = ""
	}
	if had == b.URI || slices.Contains(z.bindings, b) {
		return
	}
	z.bindings = append(z.bindings, b)
}

func (z *canonicalizer) writeAttributes(n Node, inParent bool) {
	e := n.element()
	if e.attributes == 0 && (inParent || z.Kind == Exclusive10) {
		return
	}
	z.attributes = z.attributes[:0]
	for _, a := range n.doc.attributes[e.attribute : e.attribute+uint32(e.attributes)] {
		z.attributes = append(z.attributes, Attribute{n.doc.names[a.name], n.doc.text(a.value)})
	}
	if !inParent && z.Kind != Exclusive10 {
		z.inheritXML(n)
	}
	// Canonical XML 1.0, 2.2: attributes by namespace name, then by local name.
	slices.SortFunc(z.attributes, func(a, b Attribute) int {
		if c := strings.Compare(a.Space, b.Space); c != 0 {
			return c
		}
		return strings.Compare(a.Local, b.Local)
	})
	for _, a := range z.attributes {
		if a.Prefix != "" {
			z.out.strings(" ", a.Prefix, ":", a.Local, `="`)
		} else {
			z.out.strings(" ", a.Local, `="`)
		}
		z.out.escaped(a.Value, &valueEscapes)
		z.out.strings(`"`)
	}
}

// inheritXML adds the attributes of the xml namespace that an element without its parent in the set takes from its
// ancestors: Canonical XML 1.0, 2.4 and Canonical XML 1.1, 2.4.
func (z *canonicalizer) inheritXML(n Node) {
	for p := n.Parent(); p.Kind() == ElementNode; p = p.Parent() {
		e := p.element()
		for _, a := range n.doc.attributes[e.attribute : e.attribute+uint32(e.attributes)] {
			name := n.doc.names[a.name]
			if name.Space != NamespaceXML || z.Kind == Inclusive11 && name.Local != "lang" && name.Local != "space" {
				continue
			}
			if !slices.ContainsFunc(z.attributes, func(had Attribute) bool {
				return had.Space == NamespaceXML && had.Local == name.Local
			}) {
				z.attributes = append(z.attributes, Attribute{name, n.doc.text(a.value)})
			}
		}
	}
	if z.Kind == Inclusive11 {
		z.fixBase(n)
	}
}
