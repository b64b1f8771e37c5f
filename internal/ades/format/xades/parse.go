package xades

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"certsign/internal/ades"
	"certsign/internal/problem"
	"certsign/internal/xmldsig"
)

// Parse reads every ds:Signature of the document, counter-signatures and others that stand inside signatures included: an
// element of that name that is no proper signature is one with defects, never overlooked.
func (c Codec) Parse(ctx context.Context, doc ades.Document, detached ...ades.Document) (*ades.Unverified, error) {
	_, parsed, err := c.read(ctx, doc)
	if err != nil {
		return nil, err
	}
	elements := xmldsig.Signatures(parsed)
	switch {
	case len(elements) == 0:
		return nil, problem.New(problem.NoSignature, "the document holds no XML signature")
	case len(elements) > maxSignatures:
		return nil, tooManySignatures()
	}
	p := &parser{doc: parsed, signatures: elements, resolver: xmldsig.NewResolver(parsed, c.external(ctx, detached))}
	out := &ades.Unverified{Document: doc}
	for i, el := range elements {
		s, err := p.signature(ctx, el, i)
		if err != nil {
			return nil, err
		}
		out.Signatures = append(out.Signatures, *s)
	}
	return out, nil
}

// external finds a document that was handed in by its name; a reference without URI is for the only one.
func (c Codec) external(ctx context.Context, detached []ades.Document) func(string) ([]byte, bool) {
	return func(uri string) ([]byte, bool) {
		name, err := url.PathUnescape(uri)
		if err != nil {
			name = uri
		}
		var found []ades.Document
		for _, d := range detached {
			if d.Name == uri || d.Name == name || uri == "" {
				found = append(found, d)
			}
		}
		if len(found) != 1 {
			return nil, false
		}
		raw, err := c.load(ctx, found[0])
		return raw, err == nil
	}
}

type parser struct {
	doc        *xmldsig.Document
	signatures []xmldsig.Node
	resolver   *xmldsig.Resolver
}

// parsing is one signature being read.
type parsing struct {
	*parser
	sig   *xmldsig.Signature
	props properties
	out   ades.UnverifiedSignature
}

// maxDefects is how many breaches of one signature are told: one is enough not to believe it.
const maxDefects = 32

func (p *parsing) defect(format string, args ...any) {
	if len(p.out.Defects) >= maxDefects {
		return
	}
	p.out.Defects = append(p.out.Defects, ades.Defect{SubIndication: ades.FormatFailure, Text: fmt.Sprintf(format, args...)})
}

func (p *parser) signature(ctx context.Context, el xmldsig.Node, index int) (*ades.UnverifiedSignature, error) {
	s := &parsing{parser: p, sig: xmldsig.ParseSignature(el)}
	s.out = ades.UnverifiedSignature{ID: s.sig.ID, Format: ades.XAdES, Value: s.sig.Value, Coverage: ades.CoversPart}
	if s.out.ID == "" {
		s.out.ID = fmt.Sprintf("signature-%d", index+1)
	}
	for _, f := range s.sig.Faults {
		s.defect("%s", f)
	}
	if s.sig.ID != "" && len(p.doc.ByID(s.sig.ID)) > 1 {
		s.defect("the signature's Id is not unique in the document")
	}
	m := s.sig.Method
	s.out.Algorithm = ades.Algorithm{Name: m.URI, Key: ades.KeyType(m.Key), Hash: m.Hash, PSS: m.PSS, Salt: m.Salt, P1363: m.Key == xmldsig.ECDSA}
	var err error
	if s.out.Signed, err = s.sig.SignedOctets(); err != nil && s.sig.SignedInfo.Exists() {
		s.defect("SignedInfo has no canonical form")
	}
	s.props = s.qualifying()
	targets, err := s.references(ctx)
	if err != nil {
		return nil, err
	}
	s.out.Packaging = s.packaging(targets)
	s.countersigns(targets)
	s.certificates()
	if s.signsProperties() {
		s.signedProperties()
	}
	s.out.Level = s.level()
	return &s.out, nil
}

// references resolves and digests the references and returns the target of each that was found.
func (p *parsing) references(ctx context.Context) (targets []xmldsig.Node, err error) {
	for _, ref := range p.sig.References {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r := ades.Reference{ID: ref.ID, URI: ref.URI, Type: ref.Type, HashName: ref.HashName, Hash: ref.Hash, Expected: ref.Expected}
		d, err := p.resolver.Digest(p.sig, ref)
		if err == nil {
			err = p.misplaced(ref, d.Target)
		}
		if err != nil {
			r.NotFound = err.Error()
			if isSignedPropertiesType(ref.Type) {
				p.defect("the reference to the signed properties does not lead to them")
			}
			p.out.References = append(p.out.References, r)
			targets = append(targets, xmldsig.Node{})
			continue
		}
		r.Computed, r.Data = d.Sum, d.Octets
		r.SignedProperties = p.ownProperties(ref, d)
		if r.Whole = p.coversWhole(d); r.Whole {
			p.out.Coverage = ades.CoversWhole
		}
		p.out.References = append(p.out.References, r)
		targets = append(targets, d.Target)
	}
	return targets, nil
}

// misplaced tells why a reference's target must not be taken although its identifier fits: data of the signature's own
// that was moved to a place where a program that reads the document does not look for it.
func (p *parsing) misplaced(ref xmldsig.Reference, target xmldsig.Node) error {
	const typeObject, typeManifest = xmldsig.Namespace + "Object", xmldsig.Namespace + "Manifest"
	isObject, own := target.Is(xmldsig.Namespace, "Object"), target.Parent() == p.sig.Element
	switch {
	case isObject && !own && target.Inside(p.sig.Element),
		// Some signatures call their KeyInfo an object.
		ref.Type == typeObject && !(own && (isObject || target == p.sig.KeyInfo)):
		return errors.New("the reference leads to something other than an object of its own signature")
	case ref.Type == typeManifest && (!target.Is(xmldsig.Namespace, "Manifest") || target.Parent().Parent() != p.sig.Element):
		return errors.New("the reference leads to something other than a manifest of its own signature")
	}
	return nil
}

// ownProperties tells whether a reference signs the signature's own SignedProperties: by type, and by place.
func (p *parsing) ownProperties(ref xmldsig.Reference, d xmldsig.Digested) bool {
	said, there := isSignedPropertiesType(ref.Type), p.props.signed.Exists() && d.Target == p.props.signed
	switch {
	case !said && !there:
		return false
	case !said:
		// EN 319 132-1, 4.4.2.
		p.defect("the reference to the signed properties does not say so in its Type")
		return false
	case !there:
		p.defect("the reference to the signed properties leads to something else")
		return false
	case d.Covered.Empty() || !d.Covered.HoldsAllOf(xmldsig.Subtree(p.props.signed)):
		p.defect("the reference to the signed properties leaves out a part of them")
		return false
	case p.signsProperties():
		p.defect("a second reference to the signed properties")
		return false
	}
	return true
}

func (p *parsing) signsProperties() bool {
	for _, r := range p.out.References {
		if r.SignedProperties {
			return true
		}
	}
	return false
}

// coversWhole tells whether a reference covers the whole document, signatures and comments aside.
func (p *parsing) coversWhole(d xmldsig.Digested) bool {
	root := p.doc.Root()
	if d.Target != p.doc.Node() && d.Target != root || root.Is(xmldsig.Namespace, "Signature") || d.Covered.Empty() {
		return false
	}
	return d.Covered.HoldsAllOf(xmldsig.Subtree(root).Without(p.parser.signatures...))
}

func (p *parsing) packaging(targets []xmldsig.Node) ades.Packaging {
	packaging := ades.Detached
	for i, t := range targets {
		switch {
		case !t.Exists() || p.out.References[i].SignedProperties || t.Inside(p.sig.KeyInfo):
		case t != p.sig.Element && t.Inside(p.sig.Element):
			return ades.Enveloping
		case p.sig.Element.Inside(t):
			packaging = ades.Enveloped
		}
	}
	return packaging
}

// countersigns checks that a signature inside CounterSignature signs the value it stands with, as EN 319 132-1, 5.2.7
// demands, so that one that signs something else is not taken for it.
func (p *parsing) countersigns(targets []xmldsig.Node) {
	parent := p.sig.Element.Parent()
	if parent.Name().Local != "CounterSignature" || !isETSI(parent.Name().Space) {
		for _, r := range p.out.References {
			if r.Type == typeCountersigned {
				p.defect("a reference to a countersigned signature outside CounterSignature")
				return
			}
		}
		return
	}
	above := parent.Parent()
	for above.Exists() && !above.Is(xmldsig.Namespace, "Signature") {
		above = above.Parent()
	}
	value := above.Child(xmldsig.Namespace, "SignatureValue")
	for i, t := range targets {
		if value.Exists() && t == value && len(p.out.References[i].Computed) > 0 {
			return
		}
	}
	p.defect("a counter-signature that does not sign the signature value it stands with")
}
