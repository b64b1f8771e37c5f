package xmldsig

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Resolver finds and digests what references of one document's signatures refer to. It never fetches anything. It keeps
// count of the octets digested, so it serves one parsing of one document and no two goroutines at once.
type Resolver struct {
	// External returns the document a URI stands for that is not a reference into the document itself; nil knows none.
	External func(uri string) (content []byte, found bool)

	doc  *Document
	left int64
}

// NewResolver returns a resolver for the signatures of d.
func NewResolver(d *Document, external func(uri string) ([]byte, bool)) *Resolver {
	return &Resolver{External: external, doc: d, left: d.limits.Digested}
}

// Digested is what a reference stands for.
type Digested struct {
	Octets []byte // what was digested, to the octet
	Sum    []byte
	// Target is the element, or the document node, that the URI names; the zero Node for an external document.
	Target Node
	// Covered is the set of nodes whose canonical form Octets are. It is empty where octets went through anything else
	// than one canonicalization.
	Covered NodeSet
}

// Empty tells whether nothing is in the set.
func (s NodeSet) Empty() bool { return len(s.ranges) == 0 }

// Digest resolves a reference of sig, applies its transforms and digests the result. The error says why that is not
// possible or not allowed; it is never a *problem.Error and makes no statement about other references.
func (r *Resolver) Digest(sig *Signature, ref Reference) (Digested, error) {
	if ref.Hash == 0 || !ref.Hash.Available() {
		return Digested{}, errors.New("the digest method is not supported")
	}
	if err := r.spend(0); err != nil {
		return Digested{}, err
	}
	if len(ref.Transforms) > maxTransforms {
		return Digested{}, fmt.Errorf("more than %d transforms", maxTransforms)
	}
	flow, target, err := r.dereference(ref)
	if err != nil {
		return Digested{}, err
	}
	for _, t := range ref.Transforms {
		if flow, err = r.transform(flow, t, sig); err != nil {
			return Digested{}, err
		}
	}
	// XML Signature 1.1, 4.4.3.2: a node-set that is left over is canonicalized with Canonical XML 1.0.
	if flow.isSet {
		if flow, err = r.canonicalize(flow.set, Canonicalization{}); err != nil {
			return Digested{}, err
		}
	}
	out := Digested{Octets: flow.octets, Sum: digest(ref.Hash, flow.octets), Target: target}
	if flow.covered.doc == r.doc {
		out.Covered = flow.covered
	}
	return out, nil
}

// flow is what passes from one transform to the next: a node-set or octets.
type flow struct {
	isSet   bool
	set     NodeSet
	octets  []byte
	covered NodeSet // octets: the set they are the canonical form of
}

func ofSet(s NodeSet) flow { return flow{isSet: true, set: s} }

// ErrNotFound is the error for a reference to something that is not there.
var ErrNotFound = errors.New("the data that the reference names was not found")

// dereference follows XML Signature 1.1, 4.4.3.2 and 4.4.3.3.
func (r *Resolver) dereference(ref Reference) (flow, Node, error) {
	fragment, same := strings.CutPrefix(ref.URI, "#")
	pointer, isPointer := strings.CutPrefix(fragment, "xpointer(")
	switch {
	case !ref.HasURI, ref.URI != "" && !same:
		if r.External == nil {
			return flow{}, Node{}, ErrNotFound
		}
		content, found := r.External(ref.URI)
		if !found {
			return flow{}, Node{}, ErrNotFound
		}
		if err := r.spend(len(content)); err != nil {
			return flow{}, Node{}, err
		}
		return flow{octets: content}, Node{}, nil
	case ref.URI == "":
		return ofSet(Subtree(r.doc.Node()).WithoutComments()), r.doc.Node(), nil
	case fragment == "xpointer(/)":
		return ofSet(Subtree(r.doc.Node())), r.doc.Node(), nil
	case isPointer:
		id, ok := pointerID(pointer)
		if !ok {
			return flow{}, Node{}, errors.New("an XPointer other than / and id()")
		}
		n, err := r.unique(id)
		return ofSet(Subtree(n)), n, err
	}
	n, err := r.unique(fragment)
	return ofSet(Subtree(n).WithoutComments()), n, err
}

// pointerID reads what follows "xpointer(" in xpointer(id('name')).
func pointerID(s string) (string, bool) {
	s, ok := strings.CutSuffix(s, "))")
	if !ok {
		return "", false
	}
	if s, ok = strings.CutPrefix(s, "id("); !ok || len(s) < 2 {
		return "", false
	}
	quote := s[0]
	if quote != '\'' && quote != '"' || s[len(s)-1] != quote {
		return "", false
	}
	id := s[1 : len(s)-1]
	return id, id != "" && strings.IndexByte(id, quote) < 0
}

func (r *Resolver) unique(id string) (Node, error) {
	switch found := r.doc.ByID(id); {
	case id == "" || len(found) == 0:
		return Node{}, ErrNotFound
	case len(found) > 1:
		return Node{}, errors.New("the identifier that the reference names is not unique in the document")
	default:
		return found[0], nil
	}
}

func (r *Resolver) spend(octets int) error {
	if r.left -= int64(octets); r.left < 0 {
		return fmt.Errorf("the references of the document digest more than %d octets together", r.doc.limits.Digested)
	}
	return nil
}

// counting stops a canonicalization that would exceed what may be digested.
type counting struct {
	bytes.Buffer
	r *Resolver
}

func (c *counting) Write(p []byte) (int, error) {
	if err := c.r.spend(len(p)); err != nil {
		return 0, err
	}
	return c.Buffer.Write(p)
}

func (r *Resolver) canonicalize(set NodeSet, c Canonicalization) (flow, error) {
	out := &counting{r: r}
	if err := c.Write(out, set); err != nil {
		return flow{}, err
	}
	return flow{octets: out.Bytes(), covered: set}, nil
}

// nodes makes a node-set of octets where a transform needs one: XML Signature 1.1, 4.4.3.2.
func (r *Resolver) nodes(f flow) (NodeSet, error) {
	if f.isSet {
		return f.set, nil
	}
	limits := r.doc.limits
	limits.Digested = 0
	d, err := Read(f.octets, limits)
	if err != nil {
		return NodeSet{}, errors.New("a transform for XML over data that is not well-formed XML")
	}
	return Subtree(d.Node()), nil
}

func (r *Resolver) transform(in flow, t Node, sig *Signature) (flow, error) {
	algorithm, _ := t.Attr("", "Algorithm")
	if c, ok := CanonicalizationFor(t); ok {
		set, err := r.nodes(in)
		if err != nil {
			return flow{}, err
		}
		return r.canonicalize(set, c)
	}
	switch algorithm {
	case TransformEnveloped:
		// XML Signature 1.1, 6.6.4: the node-set must come from the document that the signature is in.
		if !in.isSet || in.set.doc != sig.Element.doc {
			return flow{}, errors.New("the enveloped-signature transform outside the signature's own document")
		}
		return ofSet(in.set.Without(sig.Element)), nil
	case TransformXPath:
		set, err := r.nodes(in)
		if err != nil {
			return flow{}, err
		}
		// Looking for names costs time even where nothing comes out.
		if err := r.spend(int(set.doc.count)); err != nil {
			return flow{}, err
		}
		set, err = xpathFilter(set, t)
		return ofSet(set), err
	case TransformFilter2:
		set, err := r.nodes(in)
		if err != nil {
			return flow{}, err
		}
		if err := r.spend(int(set.doc.count)); err != nil {
			return flow{}, err
		}
		set, err = filter2(set, t, sig)
		return ofSet(set), err
	case TransformBase64:
		return r.unBase64(in)
	}
	return flow{}, errors.New("a transform that is not allowed")
}

// unBase64 follows XML Signature 1.1, 6.6.2: of a node-set, the text.
func (r *Resolver) unBase64(in flow) (flow, error) {
	text := string(in.octets)
	if in.isSet {
		var b strings.Builder
		for _, part := range in.set.ranges {
			for i := part.from; i < part.to; i++ {
				if n := in.set.doc.at(i); n.kind == TextNode {
					b.WriteString(in.set.doc.text(span{n.a, n.b}))
				}
			}
		}
		text = b.String()
	}
	out, err := base64.StdEncoding.DecodeString(withoutSpace(text))
	if err != nil {
		return flow{}, errors.New("the base64 transform over data that is not base64")
	}
	return flow{octets: out}, r.spend(len(out))
}
