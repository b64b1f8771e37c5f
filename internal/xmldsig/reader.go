package xmldsig

import (
	"strings"
	"unicode/utf8"

	"certsign/internal/problem"
)

// Read parses a whole document. What is wrong with it is a *problem.Error: xml_malformed with line and column,
// xml_doctype, or too_large. The document keeps no reference to input.
func Read(input []byte, limits Limits) (*Document, error) {
	limits = limits.filled()
	if int64(len(input)) > limits.Bytes {
		return nil, problem.New(problem.TooLarge, "the document has %d octets, more than the %d allowed", len(input), limits.Bytes)
	}
	text, enc, err := decode(input)
	if err != nil {
		return nil, err
	}
	r := &reader{src: text, limits: limits, names: map[nameKey]uint32{}, prefixes: map[string]uint32{}}
	r.doc = &Document{src: text, enc: enc, limits: limits}
	if err := r.document(); err != nil {
		return nil, err
	}
	r.doc.extra = r.extra.String()
	r.doc.indexIDs()
	return r.doc, nil
}

type reader struct {
	doc    *Document
	src    string
	pos    int
	limits Limits
	used   int // nodes, attributes and declarations so far

	scope    scope
	stack    []open
	names    map[nameKey]uint32
	prefixes map[string]uint32
	extra    strings.Builder
	pending  []pending
}

// open is an element whose end tag has not come yet; the first is the document.
type open struct {
	node uint32
	last uint32 // last child so far
	name string
	mark int
}

type nameKey struct{ qualified, space string }

// pending is an attribute of the start tag being read, before prefixes are resolved.
type pending struct {
	at            int
	prefix, local string
	value         span
}

func (r *reader) fail(at int, what string) error { return malformed(r.src, at, what) }

func (r *reader) tooMany(what string, limit int) error {
	line, column := position(r.src, r.pos)
	return problem.New(problem.TooLarge, "line %d, column %d: %s, more than the %d allowed", line, column, what, limit)
}

// XML 1.0, 2.1 [1]: document ::= prolog element Misc*.
func (r *reader) document() error {
	d, at, what := parseDeclaration(r.src)
	if what != "" {
		return r.fail(at, what)
	}
	r.pos = d.length
	if _, err := r.add(DocumentNode, 0, 0); err != nil {
		return err
	}
	r.stack = append(r.stack, open{})
	for r.pos < len(r.src) {
		var err error
		if len(r.stack) > 1 {
			err = r.content()
		} else {
			err = r.outside()
		}
		if err != nil {
			return err
		}
	}
	switch {
	case len(r.stack) > 1:
		return r.fail(r.pos, "the document ends inside an element")
	case r.doc.root == 0 && len(strings.TrimSpace(r.src)) == 0:
		return r.fail(r.pos, "the document is empty")
	case r.doc.root == 0:
		return r.fail(r.pos, "the document has no element")
	}
	return nil
}

// outside reads one construct of the prolog or behind the root element.
func (r *reader) outside() error {
	rest := r.src[r.pos:]
	switch {
	case isSpace(rest[0]):
		r.space()
		return nil
	case strings.HasPrefix(rest, "<!--"):
		return r.comment()
	case strings.HasPrefix(rest, "<?"):
		return r.instruction()
	case strings.HasPrefix(rest, "<!DOCTYPE"):
		line, column := position(r.src, r.pos)
		return problem.New(problem.XMLDoctype, "line %d, column %d: a document type declaration is not accepted", line, column)
	case rest[0] != '<':
		return r.fail(r.pos, "text outside the root element")
	case r.doc.root != 0:
		return r.fail(r.pos, "a second root element")
	}
	return r.startTag()
}

// content reads one construct inside an element: XML 1.0, 3.1 [43].
func (r *reader) content() error {
	rest := r.src[r.pos:]
	switch {
	case rest[0] != '<' || strings.HasPrefix(rest, "<![CDATA["):
		return r.characters()
	case strings.HasPrefix(rest, "</"):
		return r.endTag()
	case strings.HasPrefix(rest, "<!--"):
		return r.comment()
	case strings.HasPrefix(rest, "<?"):
		return r.instruction()
	}
	return r.startTag()
}

// add appends a node and links it behind the last child of the open element.
func (r *reader) add(kind Kind, a, b uint32) (uint32, error) {
	if err := r.spend(1); err != nil {
		return 0, err
	}
	d := r.doc
	i := d.count
	if i%slab == 0 {
		d.nodes = append(d.nodes, make([]node, 0, slab))
	}
	n := node{kind: kind, a: a, b: b}
	if len(r.stack) > 0 {
		top := &r.stack[len(r.stack)-1]
		n.parent = top.node
		if top.last == 0 {
			d.at(top.node).b = i
		} else {
			d.at(top.last).next = i
		}
		top.last = i
	}
	chunk := &d.nodes[len(d.nodes)-1]
	*chunk = append(*chunk, n)
	d.count++
	return i, nil
}

func (r *reader) spend(n int) error {
	if r.used += n; r.used > r.limits.Nodes {
		return r.tooMany("the document has too many nodes", r.limits.Nodes)
	}
	return nil
}

func (r *reader) space() bool {
	from := r.pos
	for r.pos < len(r.src) && isSpace(r.src[r.pos]) {
		r.pos++
	}
	return r.pos > from
}

// ncName reads a name without colons: Namespaces in XML 1.0, [4]. It returns "" where there is none.
func (r *reader) ncName() string {
	from := r.pos
	for r.pos < len(r.src) {
		c, n := rune(r.src[r.pos]), 1
		if c >= utf8.RuneSelf {
			c, n = utf8.DecodeRuneInString(r.src[r.pos:])
		}
		if r.pos == from && !isNameStart(c) || !isNameChar(c) {
			break
		}
		r.pos += n
	}
	return r.src[from:r.pos]
}

// qName reads a qualified name: Namespaces in XML 1.0, [7].
func (r *reader) qName() (prefix, local string, err error) {
	at := r.pos
	if local = r.ncName(); local == "" {
		return "", "", r.fail(at, "a name was expected")
	}
	if r.pos < len(r.src) && r.src[r.pos] == ':' {
		r.pos++
		prefix = local
		if local = r.ncName(); local == "" || r.pos < len(r.src) && r.src[r.pos] == ':' {
			return "", "", r.fail(at, "a name with a misplaced colon")
		}
	}
	return prefix, local, nil
}

func (r *reader) startTag() error {
	start := r.pos
	if len(r.stack) > r.limits.Depth {
		return r.tooMany("elements are nested too deeply", r.limits.Depth)
	}
	r.pos++
	at := r.pos
	prefix, local, err := r.qName()
	if err != nil {
		return err
	}
	qualified := r.src[at:r.pos]
	empty, err := r.attributeList()
	if err != nil {
		return err
	}
	if r.doc.count > 1<<30 || len(r.doc.attributes) > 1<<30 {
		return r.tooMany("the document has too many nodes", r.limits.Nodes)
	}
	mark := r.scope.mark()
	d := r.doc
	e := element{start: uint32(start), open: uint32(r.pos), attribute: uint32(len(d.attributes)), declaration: uint32(len(d.declarations))}
	if err := r.declare(&e); err != nil {
		return err
	}
	space, err := r.resolve(at, prefix, true)
	if err != nil {
		return err
	}
	e.name = r.name(prefix, local, qualified, space)
	if err := r.attach(&e); err != nil {
		return err
	}
	d.elements = append(d.elements, e)
	i, err := r.add(ElementNode, uint32(len(d.elements)-1), 0)
	if err != nil {
		return err
	}
	if d.root == 0 {
		d.root = i
	}
	r.stack = append(r.stack, open{node: i, name: qualified, mark: mark})
	if empty {
		r.close(e.open)
	}
	return nil
}

// close ends the open element whose end tag begins at end.
func (r *reader) close(end uint32) {
	top := r.stack[len(r.stack)-1]
	e := &r.doc.elements[r.doc.at(top.node).a]
	e.end, e.last = end, r.doc.count
	r.scope.restore(top.mark)
	r.stack = r.stack[:len(r.stack)-1]
}

func (r *reader) endTag() error {
	at := r.pos
	r.pos += 2
	name := r.stack[len(r.stack)-1].name
	if !strings.HasPrefix(r.src[r.pos:], name) {
		return r.fail(at, "an end tag that does not match its start tag")
	}
	r.pos += len(name)
	r.space()
	if r.pos >= len(r.src) || r.src[r.pos] != '>' {
		return r.fail(at, "an end tag that does not match its start tag")
	}
	r.pos++
	r.close(uint32(at))
	return nil
}

// attributeList reads the attributes of a start tag and its end into pending: XML 1.0, 3.1 [40], [44].
func (r *reader) attributeList() (empty bool, err error) {
	r.pending = r.pending[:0]
	for {
		spaced := r.space()
		rest := r.src[r.pos:]
		switch {
		case rest == "":
			return false, r.fail(r.pos, "the document ends inside a tag")
		case rest[0] == '>':
			r.pos++
			return false, nil
		case strings.HasPrefix(rest, "/>"):
			r.pos += 2
			return true, nil
		case !spaced:
			return false, r.fail(r.pos, "no space before an attribute")
		}
		if len(r.pending) >= r.limits.Attributes {
			return false, r.tooMany("an element has too many attributes", r.limits.Attributes)
		}
		p := pending{at: r.pos}
		if p.prefix, p.local, err = r.qName(); err != nil {
			return false, err
		}
		r.space()
		if r.pos >= len(r.src) || r.src[r.pos] != '=' {
			return false, r.fail(r.pos, "an attribute without a value")
		}
		r.pos++
		r.space()
		if p.value, err = r.attributeValue(); err != nil {
			return false, err
		}
		r.pending = append(r.pending, p)
	}
}

func (p pending) declares() (prefix string, yes bool) {
	switch {
	case p.prefix == "xmlns":
		return p.local, true
	case p.prefix == "" && p.local == "xmlns":
		return "", true
	}
	return "", false
}

// declare takes the namespace declarations out of pending: Namespaces in XML 1.0, 3 and 5.
func (r *reader) declare(e *element) error {
	d := r.doc
	for _, p := range r.pending {
		prefix, yes := p.declares()
		if !yes {
			continue
		}
		uri := r.value(p.value)
		switch {
		case prefix == "xmlns":
			return r.fail(p.at, "a declaration of the prefix xmlns")
		case (prefix == "xml") != (uri == NamespaceXML):
			return r.fail(p.at, "a namespace declaration that misuses the prefix or the name of the XML namespace")
		case uri == namespaceXMLNS:
			return r.fail(p.at, "a declaration of the namespace of declarations")
		case prefix != "" && uri == "":
			return r.fail(p.at, "a prefix that is declared without a namespace name")
		}
		for _, had := range d.declarations[e.declaration:] {
			if d.prefixes[had.name] == prefix {
				return r.fail(p.at, "an attribute that is given twice")
			}
		}
		if err := r.spend(1); err != nil {
			return err
		}
		i, known := r.prefixes[prefix]
		if !known {
			i = uint32(len(d.prefixes))
			d.prefixes = append(d.prefixes, prefix)
			r.prefixes[prefix] = i
		}
		d.declarations = append(d.declarations, attribute{i, p.value})
		r.scope.push(Binding{prefix, uri})
		if len(r.scope.top) > r.limits.Namespaces {
			return r.tooMany("too many namespaces are in scope", r.limits.Namespaces)
		}
	}
	e.declarations = uint16(uint32(len(d.declarations)) - e.declaration)
	return nil
}

// attach resolves the other attributes. Namespaces in XML 1.0, 6.3: no two of one expanded name.
func (r *reader) attach(e *element) error {
	d := r.doc
	const few = 12
	var seen map[[2]string]bool
	if len(r.pending) > few {
		seen = make(map[[2]string]bool, len(r.pending))
	}
	for _, p := range r.pending {
		if _, yes := p.declares(); yes {
			continue
		}
		space, err := r.resolve(p.at, p.prefix, false)
		if err != nil {
			return err
		}
		twice := seen[[2]string{space, p.local}]
		if seen != nil {
			seen[[2]string{space, p.local}] = true
		} else {
			for _, had := range d.attributes[e.attribute:] {
				if n := &d.names[had.name]; n.Local == p.local && n.Space == space {
					twice = true
				}
			}
		}
		if twice {
			return r.fail(p.at, "an attribute that is given twice")
		}
		if err := r.spend(1); err != nil {
			return err
		}
		qualified := p.local
		if p.prefix != "" {
			qualified = r.src[p.at : p.at+len(p.prefix)+1+len(p.local)]
		}
		d.attributes = append(d.attributes, attribute{r.name(p.prefix, p.local, qualified, space), p.value})
	}
	e.attributes = uint16(uint32(len(d.attributes)) - e.attribute)
	return nil
}

// resolve returns the namespace of a prefix. Namespaces in XML 1.0, 6.2: the default does not apply to attributes.
func (r *reader) resolve(at int, prefix string, isElement bool) (string, error) {
	switch {
	case prefix == "xml":
		return NamespaceXML, nil
	case prefix == "xmlns":
		return "", r.fail(at, "a name with the prefix xmlns")
	case prefix == "" && !isElement:
		return "", nil
	}
	uri := r.scope.lookup(prefix)
	if uri != absent {
		return uri, nil
	}
	if prefix == "" {
		return "", nil
	}
	return "", r.fail(at, "a prefix that is not declared")
}

func (r *reader) name(prefix, local, qualified, space string) uint32 {
	key := nameKey{qualified, space}
	i, known := r.names[key]
	if !known {
		i = uint32(len(r.doc.names))
		r.doc.names = append(r.doc.names, Name{Space: space, Prefix: prefix, Local: local})
		r.names[key] = i
	}
	return i
}

// value returns the text of a span while the document is still being read.
func (r *reader) value(s span) string {
	if s.from&inExtra != 0 {
		return strings.Clone(r.extra.String()[s.from&^inExtra : s.to&^inExtra])
	}
	return r.src[s.from:s.to]
}
