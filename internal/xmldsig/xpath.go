package xmldsig

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// General XPath is a programming language in a signature: two programs that differ in one function call different data
// signed. Only expressions whose meaning is plain are understood, all of them about whole subtrees.

const qName = `(?:([\pL_][\pL\pN._-]*):)?([\pL_][\pL\pN._-]*)`

var (
	leaveOut = regexp.MustCompile(`^not\(ancestor-or-self::` + qName + `\)$`)
	keepOnly = regexp.MustCompile(`^ancestor-or-self::` + qName + `$`)
	allNamed = regexp.MustCompile(`^(?://|/descendant::|/descendant-or-self::)` + qName + `$`)
	inRoot   = regexp.MustCompile(`^/\*/` + qName + `$`)
	hereIn   = regexp.MustCompile(`^here\(\)/ancestor::` + qName + `\[1\]$`)
	byID     = regexp.MustCompile(`^id\((?:'([^']+)'|"([^"]+)")\)$`)
)

var errXPath = errors.New("an XPath expression other than those that leave out or keep named elements")

// expressionName resolves a QName in an expression with the namespaces of the element it stands in: XPath 1.0, 2.3, where a name
// without prefix has no namespace.
func expressionName(at Node, prefix, local string) (space, name string, err error) {
	if prefix == "" {
		return "", local, nil
	}
	space, ok := at.Lookup(prefix)
	if !ok {
		return "", "", errors.New("an XPath expression with a prefix that is not declared")
	}
	return space, local, nil
}

// expressions returns a transform's XPath elements and their texts without white space.
func expressions(t Node, space string) (elements []Node, texts []string, err error) {
	const most = 8
	for el := range t.Elements() {
		if !el.Is(space, "XPath") || len(elements) == most {
			return nil, nil, errXPath
		}
		text, err := Content(el)
		if err != nil {
			return nil, nil, err
		}
		elements, texts = append(elements, el), append(texts, withoutSpace(text))
	}
	return elements, texts, nil
}

// xpathFilter is the XPath transform, XML Signature 1.1, 6.6.3.
func xpathFilter(in NodeSet, t Node) (NodeSet, error) {
	elements, texts, err := expressions(t, Namespace)
	if err != nil {
		return NodeSet{}, err
	}
	if len(elements) != 1 {
		return NodeSet{}, errXPath
	}
	m, keep := leaveOut.FindStringSubmatch(texts[0]), false
	if m == nil {
		if m, keep = keepOnly.FindStringSubmatch(texts[0]), true; m == nil {
			return NodeSet{}, errXPath
		}
	}
	space, local, err := expressionName(elements[0], m[1], m[2])
	if err != nil {
		return NodeSet{}, err
	}
	tops := slices.Collect(in.doc.Node().Named(space, local))
	if keep {
		return in.Within(tops...), nil
	}
	return in.Without(tops...), nil
}

// filter2 is XML-Signature XPath Filter 2.0, 3.4: the operations shape a set that begins as the whole document, and
// what is left of the input is what that set has.
func filter2(in NodeSet, t Node, sig *Signature) (NodeSet, error) {
	elements, texts, err := expressions(t, TransformFilter2)
	if err != nil {
		return NodeSet{}, err
	}
	if len(elements) == 0 {
		return NodeSet{}, errXPath
	}
	filter := Subtree(in.doc.Node())
	for i, el := range elements {
		tops, err := selected(in.doc, texts[i], el, sig)
		if err != nil {
			return NodeSet{}, err
		}
		operation, _ := el.Attr("", "Filter")
		switch operation {
		case "intersect":
			filter = filter.Within(tops...)
		case "subtract":
			filter = filter.Without(tops...)
		case "union":
			filter = filter.With(tops...)
		default:
			return NodeSet{}, errors.New("an XPath filter that is not intersect, subtract or union")
		}
	}
	in.ranges = intersect(in.ranges, filter.ranges)
	return in, nil
}

// selected returns the nodes an expression of Filter 2.0 selects.
func selected(d *Document, text string, el Node, sig *Signature) ([]Node, error) {
	if text == "/" {
		return []Node{d.Node()}, nil
	}
	if m := byID.FindStringSubmatch(text); m != nil {
		found := d.ByID(strings.Join(m[1:], ""))
		if len(found) != 1 {
			return nil, errors.New("the identifier that the XPath expression names is missing or not unique")
		}
		return found, nil
	}
	for _, form := range []struct {
		pattern *regexp.Regexp
		find    func(space, local string) ([]Node, error)
	}{
		{allNamed, func(space, local string) ([]Node, error) { return slices.Collect(d.Node().Named(space, local)), nil }},
		{inRoot, func(space, local string) (out []Node, _ error) {
			for c := range d.Root().Elements() {
				if c.Is(space, local) {
					out = append(out, c)
				}
			}
			return out, nil
		}},
		{hereIn, func(space, local string) ([]Node, error) {
			if d != sig.Element.doc {
				return nil, errors.New("the function here() outside the signature's own document")
			}
			for n := el.Parent(); n.Exists(); n = n.Parent() {
				if n.Is(space, local) {
					return []Node{n}, nil
				}
			}
			return nil, nil
		}},
	} {
		if m := form.pattern.FindStringSubmatch(text); m != nil {
			space, local, err := expressionName(el, m[1], m[2])
			if err != nil {
				return nil, err
			}
			return form.find(space, local)
		}
	}
	return nil, errXPath
}
