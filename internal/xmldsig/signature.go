package xmldsig

import (
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Bounds on what one signature may hold.
const (
	maxReferences = 1024
	maxTransforms = 8
)

// Signature is a ds:Signature element as it stands: nothing in it has been checked. A signature with a fault must not be
// believed whatever its value says.
type Signature struct {
	Element          Node
	ID               string
	SignedInfo       Node
	Canonicalization Canonicalization
	Method           Method
	References       []Reference
	Value            []byte
	ValueElement     Node
	KeyInfo          Node   // the zero Node when there is none
	Objects          []Node // ds:Object
	Faults           []string
}

// Reference is a ds:Reference element.
type Reference struct {
	Element    Node
	ID         string
	URI        string
	HasURI     bool // whether there is a URI attribute at all
	Type       string
	Transforms []Node
	HashName   string
	Hash       crypto.Hash // 0 when HashName is not known
	Expected   []byte
}

// Signatures returns the ds:Signature elements of a document in document order, nested ones too.
func Signatures(d *Document) []Node {
	var out []Node
	for s := range d.Node().Named(Namespace, "Signature") {
		out = append(out, s)
	}
	return out
}

// maxFaults is how many breaches of one signature are told.
const maxFaults = 16

// ParseSignature reads a ds:Signature element. What breaks the schema of XML Signature 1.1 is in Faults; the rest is
// filled in as far as it goes.
func ParseSignature(el Node) *Signature {
	s := &Signature{Element: el}
	s.ID, _ = el.Attr("", "Id")
	if !el.Is(Namespace, "Signature") {
		s.fault("the element is no ds:Signature")
		return s
	}
	// XML Signature 1.1, 4.1: SignedInfo, SignatureValue, KeyInfo?, Object*.
	for c := range s.structure(el) {
		switch {
		case c.Is(Namespace, "SignedInfo"):
			if s.SignedInfo.Exists() {
				s.fault("a second SignedInfo")
				continue
			}
			if s.ValueElement.Exists() || s.KeyInfo.Exists() || len(s.Objects) > 0 {
				s.fault("SignedInfo is not the first part of its signature")
			}
			s.SignedInfo = c
		case c.Is(Namespace, "SignatureValue"):
			if s.ValueElement.Exists() {
				s.fault("a second SignatureValue")
				continue
			}
			if s.KeyInfo.Exists() || len(s.Objects) > 0 {
				s.fault("SignatureValue is misplaced")
			}
			s.ValueElement = c
		case c.Is(Namespace, "KeyInfo"):
			if s.KeyInfo.Exists() {
				s.fault("a second KeyInfo")
				continue
			}
			if len(s.Objects) > 0 {
				s.fault("KeyInfo is misplaced")
			}
			s.KeyInfo = c
		case c.Is(Namespace, "Object"):
			s.Objects = append(s.Objects, c)
		default:
			s.fault("a signature has a part that XML Signature does not know")
		}
	}
	if s.ValueElement.Exists() {
		s.Value = s.octets(s.ValueElement, "SignatureValue")
	} else {
		s.fault("a signature without SignatureValue")
	}
	if s.SignedInfo.Exists() {
		s.signedInfo()
	} else {
		s.fault("a signature without SignedInfo")
	}
	return s
}

func (s *Signature) fault(format string, args ...any) {
	// One is enough not to believe the signature; a document must not make a report longer than itself.
	if len(s.Faults) >= maxFaults {
		return
	}
	s.Faults = append(s.Faults, fmt.Sprintf(format, args...))
}

// structure yields the child elements of an element that has no text of its own.
func (s *Signature) structure(el Node) func(func(Node) bool) {
	for c := range el.Children() {
		if c.Kind() == TextNode && strings.Trim(c.Value(), " \t\r\n") != "" {
			s.fault("text between the parts of %s", el.Name().Local)
			break
		}
	}
	return el.Elements()
}

// signedInfo reads XML Signature 1.1, 4.4: CanonicalizationMethod, SignatureMethod, Reference+.
func (s *Signature) signedInfo() {
	var canonicalization, method Node
	for c := range s.structure(s.SignedInfo) {
		switch {
		case c.Is(Namespace, "CanonicalizationMethod"):
			if canonicalization.Exists() || method.Exists() {
				s.fault("CanonicalizationMethod is repeated or misplaced")
				continue
			}
			canonicalization = c
		case c.Is(Namespace, "SignatureMethod"):
			if method.Exists() || len(s.References) > 0 {
				s.fault("SignatureMethod is repeated or misplaced")
				continue
			}
			method = c
		case c.Is(Namespace, "Reference"):
			if len(s.References) == maxReferences {
				s.fault("a signature has more than %d references", maxReferences)
				return
			}
			s.References = append(s.References, s.reference(c))
		default:
			s.fault("SignedInfo has a part that XML Signature does not know")
		}
	}
	known := false
	if s.Canonicalization, known = CanonicalizationFor(canonicalization); !known {
		s.fault("a canonicalization method that is missing or not known")
	}
	var fault string
	if s.Method, fault = methodFor(method); fault != "" {
		s.fault("%s", fault)
	}
	if !method.Exists() {
		s.fault("SignedInfo without SignatureMethod")
	}
	if len(s.References) == 0 {
		s.fault("SignedInfo without a reference")
	}
}

// reference reads XML Signature 1.1, 4.4.3: Transforms?, DigestMethod, DigestValue.
func (s *Signature) reference(el Node) Reference {
	r := Reference{Element: el}
	r.ID, _ = el.Attr("", "Id")
	r.URI, r.HasURI = el.Attr("", "URI")
	r.Type, _ = el.Attr("", "Type")
	var transforms, method, value Node
	for c := range s.structure(el) {
		switch {
		case c.Is(Namespace, "Transforms") && !transforms.Exists() && !method.Exists() && !value.Exists():
			transforms = c
		case c.Is(Namespace, "DigestMethod") && !method.Exists() && !value.Exists():
			method = c
		case c.Is(Namespace, "DigestValue") && !value.Exists():
			value = c
		default:
			s.fault("a reference has a part that is unknown, repeated or misplaced")
		}
	}
	for t := range s.structure(transforms) {
		if !t.Is(Namespace, "Transform") {
			s.fault("Transforms has a part that is no Transform")
			continue
		}
		r.Transforms = append(r.Transforms, t)
	}
	r.HashName, _ = method.Attr("", "Algorithm")
	r.Hash = DigestFor(r.HashName)
	if value.Exists() {
		r.Expected = s.octets(value, "DigestValue")
	} else {
		s.fault("a reference without DigestValue")
	}
	return r
}

func (s *Signature) octets(el Node, what string) []byte {
	v, err := Base64(el)
	if err != nil {
		s.fault("%s: %s", what, err)
	}
	return v
}

// Content returns the text of an element that may hold nothing else. A comment, an instruction or an element inside it
// is an error: programs that disagree on what such a value is can be played off against each other.
func Content(el Node) (string, error) {
	for c := range el.Children() {
		if c.Kind() != TextNode {
			return "", errors.New("something other than text inside the value")
		}
	}
	return el.Text(), nil
}

// Base64 returns what an element's base64 content stands for; white space does not count.
func Base64(el Node) ([]byte, error) {
	text, err := Content(el)
	if err != nil {
		return nil, err
	}
	out, err := base64.StdEncoding.Strict().DecodeString(withoutSpace(text))
	if err != nil {
		return nil, errors.New("the value is not base64")
	}
	if len(out) == 0 {
		return nil, errors.New("the value is empty")
	}
	return out, nil
}

func withoutSpace(s string) string {
	if !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < 0x80 && isSpace(byte(r)) {
			return -1
		}
		return r
	}, s)
}

// SignedOctets returns canonical SignedInfo, the octets that the signature value is made over.
func (s *Signature) SignedOctets() ([]byte, error) {
	if !s.SignedInfo.Exists() {
		return nil, errors.New("a signature without SignedInfo")
	}
	return s.Canonicalization.Bytes(Subtree(s.SignedInfo))
}

// X509 returns the contents of the X509Certificate and X509CRL elements in KeyInfo, in document order. Values that
// cannot be read are in faults.
func (s *Signature) X509() (certificates, crls [][]byte, faults []string) {
	for data := range s.KeyInfo.Elements() {
		if !data.Is(Namespace, "X509Data") {
			continue
		}
		for el := range data.Elements() {
			isCertificate := el.Is(Namespace, "X509Certificate")
			if !isCertificate && !el.Is(Namespace, "X509CRL") {
				continue
			}
			switch der, err := Base64(el); {
			case err != nil:
				faults = append(faults, el.Name().Local+": "+err.Error())
			case isCertificate:
				certificates = append(certificates, der)
			default:
				crls = append(crls, der)
			}
		}
	}
	return certificates, crls, faults
}
