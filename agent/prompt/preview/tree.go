package preview

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Type is what a Node is.
type Type string

// The types.
const (
	Element     Type = "element"
	Characters  Type = "text"
	Comment     Type = "comment"
	Instruction Type = "instruction"
)

// Node is one node of an XML document. White space between elements is left out of the tree.
type Node struct {
	Type       Type
	Name       string // an element's, with its prefix; an instruction's target
	Attributes []Attribute
	Text       string // characters, comment or instruction, with references replaced
	Cut        bool   // Text is longer than Limits.Run
	Children   []*Node
}

// Attribute is an attribute or a namespace declaration, in the document's order.
type Attribute struct {
	Name, Value string
	Cut         bool
}

// Leaf reports an element that holds nothing but text, which is then its only child, or nothing at all.
func (n *Node) Leaf() bool {
	return n.Type == Element && (len(n.Children) == 0 || len(n.Children) == 1 && n.Children[0].Type == Characters)
}

var (
	errMalformed = errors.New("not well-formed")
	errDoctype   = errors.New("document type declaration")
	errDeep      = errors.New("nested too deeply")
	errEncoding  = errors.New("declares an encoding that is not shown")
)

// parser reads a whole document and keeps the first limits.Nodes nodes of it: what is left out is still checked.
type parser struct {
	text   string
	at     int
	limits Limits
	total  int
	volume int
	root   bool // seen
	top    []*Node
	stack  []open
}

// open is an element whose end tag is still to come. Its node is nil when it is not kept.
type open struct {
	name string
	node *Node
}

func parse(text string, limits Limits) ([]*Node, int, error) {
	p := &parser{text: text, limits: limits}
	if !utf8.ValidString(text) || strings.ContainsAny(text, "\f\x1b") {
		return nil, 0, p.malformed("octets that are no character")
	}
	if err := p.declaration(); err != nil {
		return nil, 0, err
	}
	for p.at < len(p.text) {
		if err := p.next(); err != nil {
			return nil, 0, err
		}
	}
	if len(p.stack) > 0 || !p.root {
		return nil, 0, p.malformed("the document ends too early")
	}
	return p.top, p.total, nil
}

func (p *parser) malformed(what string) error {
	return fmt.Errorf("%w at octet %d: %s", errMalformed, p.at, what)
}

var encoding = regexp.MustCompile(`encoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']`)

// declaration reads <?xml … ?> (XML 1.0, 2.8). An encoding that the text was not decoded with means that other letters
// would be shown than the signer's counterpart will read.
func (p *parser) declaration() error {
	if !strings.HasPrefix(p.text, "<?xml") || len(p.text) < 6 || !space(p.text[5]) {
		return nil
	}
	end := strings.Index(p.text, "?>")
	if end < 0 {
		return p.malformed("the XML declaration does not end")
	}
	if m := encoding.FindStringSubmatch(p.text[:end]); m != nil {
		switch strings.ToLower(m[1]) {
		case "utf-8", "utf-16", "us-ascii":
		default:
			return errEncoding
		}
	}
	p.at = end + 2
	return nil
}

func (p *parser) next() error {
	rest := p.text[p.at:]
	switch {
	case rest[0] != '<':
		return p.characters()
	case strings.HasPrefix(rest, "<!--"):
		return p.comment()
	case strings.HasPrefix(rest, "<![CDATA["):
		return p.cdata()
	case strings.HasPrefix(rest, "<!"):
		if strings.HasPrefix(rest, "<!DOCTYPE") {
			return errDoctype
		}
		return p.malformed("a declaration that is none")
	case strings.HasPrefix(rest, "<?"):
		return p.instruction()
	case strings.HasPrefix(rest, "</"):
		return p.endTag()
	default:
		return p.startTag()
	}
}

// add counts a node and keeps it when there is room and its parent was kept.
func (p *parser) add(n *Node) *Node {
	p.total++
	if p.total > p.limits.Nodes {
		return nil
	}
	if len(p.stack) == 0 {
		p.top = append(p.top, n)
		return n
	}
	parent := p.stack[len(p.stack)-1].node
	if parent == nil {
		return nil
	}
	parent.Children = append(parent.Children, n)
	return n
}

// cut shortens s to the limits, between characters.
func (p *parser) cut(s string) (string, bool) {
	n := min(p.limits.Run, p.limits.Volume-p.volume)
	if len(s) <= n {
		p.volume += len(s)
		return s, false
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	p.volume += n
	return s[:n], true
}

func (p *parser) characters() error {
	end := strings.IndexByte(p.text[p.at:], '<')
	if end < 0 {
		end = len(p.text) - p.at
	}
	raw := p.text[p.at : p.at+end]
	if strings.Contains(raw, "]]>") {
		return p.malformed("]]> in text")
	}
	text, err := p.references(raw)
	if err != nil {
		return err
	}
	if len(p.stack) == 0 && strings.Trim(raw, " \t\r\n") != "" {
		return p.malformed("text outside the root element")
	}
	p.at += end
	p.write(text)
	return nil
}

func (p *parser) cdata() error {
	if len(p.stack) == 0 {
		return p.malformed("text outside the root element")
	}
	end := strings.Index(p.text[p.at:], "]]>")
	if end < 0 {
		return p.malformed("a CDATA section does not end")
	}
	text := p.text[p.at+len("<![CDATA[") : p.at+end]
	p.at += end + 3
	p.write(text)
	return nil
}

// write adds text to the element that is open, as one run with the text before it.
func (p *parser) write(text string) {
	if len(p.stack) == 0 || strings.Trim(text, " \t\r\n") == "" {
		return
	}
	if parent := p.stack[len(p.stack)-1].node; parent != nil && len(parent.Children) > 0 {
		if last := parent.Children[len(parent.Children)-1]; last.Type == Characters {
			if !last.Cut {
				last.Text, last.Cut = p.cut(last.Text + text)
			}
			return
		}
	}
	shown, cut := p.cut(text)
	p.add(&Node{Type: Characters, Text: shown, Cut: cut})
}

func (p *parser) comment() error {
	body := p.text[p.at+4:]
	end := strings.Index(body, "--")
	if end < 0 || !strings.HasPrefix(body[end:], "-->") {
		return p.malformed("-- in a comment, or a comment that does not end")
	}
	shown, cut := p.cut(body[:end])
	p.add(&Node{Type: Comment, Text: shown, Cut: cut})
	p.at += 4 + end + 3
	return nil
}

func (p *parser) instruction() error {
	end := strings.Index(p.text[p.at+2:], "?>")
	if end < 0 {
		return p.malformed("a processing instruction does not end")
	}
	body := p.text[p.at+2 : p.at+2+end]
	name := body[:nameLength(body)]
	if name == "" || strings.EqualFold(name, "xml") || len(body) > len(name) && !space(body[len(name)]) {
		return p.malformed("a processing instruction without a proper name")
	}
	shown, cut := p.cut(strings.Trim(body[len(name):], " \t\r\n"))
	p.add(&Node{Type: Instruction, Name: name, Text: shown, Cut: cut})
	p.at += 2 + end + 2
	return nil
}

func (p *parser) endTag() error {
	rest := p.text[p.at+2:]
	name := rest[:nameLength(rest)]
	after := strings.TrimLeft(rest[len(name):], " \t\r\n")
	if len(p.stack) == 0 || p.stack[len(p.stack)-1].name != name || !strings.HasPrefix(after, ">") {
		return p.malformed("an end tag that does not match")
	}
	p.stack = p.stack[:len(p.stack)-1]
	p.at = len(p.text) - len(after) + 1
	return nil
}

func (p *parser) startTag() error {
	if len(p.stack) == 0 && p.root {
		return p.malformed("a second root element")
	}
	if len(p.stack) >= p.limits.Depth {
		return errDeep
	}
	p.root = true
	p.at++
	name := p.name()
	if name == "" {
		return p.malformed("an element without a name")
	}
	node := &Node{Type: Element, Name: name}
	seen := map[string]bool{}
	for {
		spaces := p.spaces()
		switch {
		case strings.HasPrefix(p.text[p.at:], "/>"):
			p.add(node)
			p.at += 2
			return nil
		case strings.HasPrefix(p.text[p.at:], ">"):
			p.stack = append(p.stack, open{name: name, node: p.add(node)})
			p.at++
			return nil
		case spaces == 0:
			return p.malformed("a start tag that does not end")
		}
		a, err := p.attribute()
		if err != nil {
			return err
		}
		if seen[a.Name] { // XML 1.0, 3.1: unique att spec
			return p.malformed("an attribute twice")
		}
		seen[a.Name] = true
		if p.total++; p.total <= p.limits.Nodes {
			node.Attributes = append(node.Attributes, a)
		}
	}
}

func (p *parser) attribute() (Attribute, error) {
	name := p.name()
	p.spaces()
	if name == "" || !strings.HasPrefix(p.text[p.at:], "=") {
		return Attribute{}, p.malformed("an attribute without a name or a value")
	}
	p.at++
	p.spaces()
	if p.at >= len(p.text) || (p.text[p.at] != '"' && p.text[p.at] != '\'') {
		return Attribute{}, p.malformed("an attribute's value is not quoted")
	}
	value := p.text[p.at+1:]
	end := strings.IndexByte(value, p.text[p.at])
	if end < 0 || strings.Contains(value[:end], "<") {
		return Attribute{}, p.malformed("an attribute's value does not end, or holds <")
	}
	text, err := p.references(value[:end])
	if err != nil {
		return Attribute{}, err
	}
	p.at += end + 2
	shown, cut := p.cut(text)
	return Attribute{Name: name, Value: shown, Cut: cut}, nil
}

var predefined = map[string]string{"lt": "<", "gt": ">", "amp": "&", "quot": `"`, "apos": "'"}

// references replaces character references and the five entities that exist without a DTD (XML 1.0, 4.1, 4.6).
func (p *parser) references(s string) (string, error) {
	if !strings.Contains(s, "&") {
		return s, nil
	}
	var b strings.Builder
	for {
		amp := strings.IndexByte(s, '&')
		if amp < 0 {
			b.WriteString(s)
			return b.String(), nil
		}
		b.WriteString(s[:amp])
		s = s[amp+1:]
		end := strings.IndexByte(s[:min(len(s), 12)], ';')
		if end < 0 {
			return "", p.malformed("a reference does not end")
		}
		ref := s[:end]
		s = s[end+1:]
		if text, ok := predefined[ref]; ok {
			b.WriteString(text)
			continue
		}
		r, ok := character(ref)
		if !ok {
			return "", p.malformed("a reference to nothing")
		}
		b.WriteRune(r)
	}
}

// character reads #10 or #xA as a Char (XML 1.0, 2.2).
func character(ref string) (rune, bool) {
	digits, ok := strings.CutPrefix(ref, "#")
	base := 10
	if hex, isHex := strings.CutPrefix(digits, "x"); isHex {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if !ok || err != nil || n > utf8.MaxRune {
		return 0, false
	}
	r := rune(n)
	switch {
	case r == '\t', r == '\n', r == '\r', r >= ' ' && r <= 0xD7FF, r >= 0xE000 && r <= 0xFFFD, r >= 0x10000:
		return r, true
	default:
		return 0, false
	}
}

func (p *parser) name() string {
	n := nameLength(p.text[p.at:])
	name := p.text[p.at : p.at+n]
	p.at += n
	return name
}

func (p *parser) spaces() int {
	from := p.at
	for p.at < len(p.text) && space(p.text[p.at]) {
		p.at++
	}
	return p.at - from
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// longestName bounds a name, which is shown whole.
const longestName = 1000

// nameLength returns how many octets at the start of s are a Name (XML 1.0, 2.3).
func nameLength(s string) int {
	for i, r := range s {
		start := r == ':' || r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' ||
			r >= 0xC0 && r <= 0xD6 || r >= 0xD8 && r <= 0xF6 || r >= 0xF8 && r <= 0x2FF || r >= 0x370 && r <= 0x37D ||
			r >= 0x37F && r <= 0x1FFF || r == 0x200C || r == 0x200D || r >= 0x2070 && r <= 0x218F ||
			r >= 0x2C00 && r <= 0x2FEF || r >= 0x3001 && r <= 0xD7FF || r >= 0xF900 && r <= 0xFDCF ||
			r >= 0xFDF0 && r < 0xFFFD || r >= 0x10000 && r <= 0xEFFFF
		later := r == '-' || r == '.' || r >= '0' && r <= '9' || r == 0xB7 || r >= 0x300 && r <= 0x36F || r == 0x203F || r == 0x2040
		if !start && (i == 0 || !later) {
			return i
		}
		if i > longestName {
			return 0
		}
	}
	return len(s)
}
