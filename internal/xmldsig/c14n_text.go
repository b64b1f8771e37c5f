package xmldsig

import (
	"io"
	"slices"
	"strings"

	"certsign/internal/problem"
)

// writer gathers output into pieces worth handing on, and remembers the first error.
type writer struct {
	w   io.Writer
	buf []byte
	err error
}

const piece = 32 << 10

func (w *writer) strings(parts ...string) {
	for _, s := range parts {
		w.buf = append(w.buf, s...)
	}
	if len(w.buf) >= piece {
		w.err = w.flush()
	}
}

func (w *writer) flush() error {
	if w.err == nil && len(w.buf) > 0 {
		_, w.err = w.w.Write(w.buf)
	}
	w.buf = w.buf[:0]
	return w.err
}

// Canonical XML 1.0, 2.3: what is replaced in text nodes and in attribute and namespace values.
var (
	textEscapes  = [256]string{'&': "&amp;", '<': "&lt;", '>': "&gt;", '\r': "&#xD;"}
	valueEscapes = [256]string{'&': "&amp;", '<': "&lt;", '"': "&quot;", '\t': "&#x9;", '\n': "&#xA;", '\r': "&#xD;"}
)

func (w *writer) escaped(s string, escapes *[256]string) {
	run := 0
	for i := range len(s) {
		if e := escapes[s[i]]; e != "" {
			w.buf = append(w.buf, s[run:i]...)
			w.buf = append(w.buf, e...)
			run = i + 1
			if len(w.buf) >= piece {
				w.err = w.flush()
			}
		}
	}
	w.strings(s[run:])
}

// isRelative tells whether a namespace name is a relative reference: not empty, and without a scheme.
func isRelative(uri string) bool {
	if uri == "" {
		return false
	}
	colon := strings.IndexAny(uri, ":/?#")
	if colon <= 0 || uri[colon] != ':' {
		return true
	}
	for i := range colon {
		c := uri[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return true
		}
	}
	return false
}

func relativeNamespace(line, column int) error {
	return problem.New(problem.XMLMalformed, "line %d, column %d: a relative namespace name, which has no canonical form", line, column)
}

// fixBase gives an element the xml:base that its omitted ancestors gave it: Canonical XML 1.1, 2.4.
func (z *canonicalizer) fixBase(n Node) {
	isBase := func(a Attribute) bool { return a.Space == NamespaceXML && a.Local == "base" }
	own := slices.IndexFunc(z.attributes, isBase)
	base, found := "", false
	if own >= 0 {
		base = z.attributes[own].Value
	}
	for p := n.Parent(); p.Kind() == ElementNode && !z.set.Has(p); p = p.Parent() {
		if above, has := p.Attr(NamespaceXML, "base"); has {
			if found || own >= 0 {
				base = joinReferences(above, base)
			} else {
				base = above
			}
			found = true
		}
	}
	if !found {
		return
	}
	if own >= 0 {
		z.attributes = slices.DeleteFunc(z.attributes, isBase)
	}
	if base != "" {
		z.attributes = append(z.attributes, Attribute{Name{NamespaceXML, "xml", "base"}, base})
	}
}

type reference struct {
	scheme, authority, path, query, fragment string
	hasScheme, hasAuthority, hasQuery        bool
}

// RFC 3986, appendix B.
func splitReference(s string) (r reference) {
	if i := strings.IndexAny(s, ":/?#"); i > 0 && s[i] == ':' {
		r.scheme, r.hasScheme, s = s[:i], true, s[i+1:]
	}
	if rest, ok := strings.CutPrefix(s, "//"); ok {
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		r.authority, r.hasAuthority, s = rest[:end], true, rest[end:]
	}
	s, r.fragment, _ = strings.Cut(s, "#")
	r.path, r.query, r.hasQuery = strings.Cut(s, "?")
	return r
}

// joinReferences is the join-URI-References function of Canonical XML 1.1, 2.4: RFC 3986, 5.2, where the base may be
// relative itself, and without the fragment, which a base has none of.
func joinReferences(base, ref string) string {
	b, r := splitReference(base), splitReference(ref)
	t := r
	if !r.hasScheme {
		t.scheme, t.hasScheme = b.scheme, b.hasScheme
		if !r.hasAuthority {
			t.authority, t.hasAuthority = b.authority, b.hasAuthority
			switch {
			case r.path == "":
				t.path = b.path
				if !r.hasQuery {
					t.query, t.hasQuery = b.query, b.hasQuery
				}
			case !strings.HasPrefix(r.path, "/"):
				t.path = mergePaths(b, r.path)
			}
		}
	}
	t.path = removeDots(t.path)
	var out strings.Builder
	if t.hasScheme {
		out.WriteString(t.scheme + ":")
	}
	if t.hasAuthority {
		out.WriteString("//" + t.authority)
	}
	out.WriteString(t.path)
	if t.hasQuery {
		out.WriteString("?" + t.query)
	}
	return out.String()
}

// RFC 3986, 5.2.3; a last segment ".." is a directory.
func mergePaths(b reference, path string) string {
	if b.hasAuthority && b.path == "" {
		return "/" + path
	}
	if b.path == ".." || strings.HasSuffix(b.path, "/..") {
		return b.path + "/" + path
	}
	return b.path[:strings.LastIndexByte(b.path, '/')+1] + path
}

// removeDots is RFC 3986, 5.2.4 as Canonical XML 1.1 changes it: leading ".." of a relative path stay, a trailing ".."
// gets its slash, and several slashes count as one.
func removeDots(path string) string {
	if path == "" {
		return ""
	}
	rooted := path[0] == '/'
	var kept []string
	slash := false // the result ends as a directory
	for segment := range strings.SplitSeq(path, "/") {
		slash = true
		switch {
		case segment == "" || segment == ".":
		case segment != "..":
			kept, slash = append(kept, segment), false
		case len(kept) > 0 && kept[len(kept)-1] != "..":
			kept = kept[:len(kept)-1]
		case !rooted:
			kept = append(kept, "..")
		}
	}
	out := strings.Join(kept, "/")
	if rooted {
		out = "/" + out
	}
	if slash && len(kept) > 0 {
		out += "/"
	}
	return out
}
