package pkix

import (
	"encoding/hex"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Attribute is one attribute of a name.
type Attribute struct {
	Type  string // object identifier, dotted
	Value string // decoded; the DER in hexadecimal after "#" when it is no string
	key   string
}

// Name is a distinguished name, as written and as compared.
type Name struct {
	Raw  []byte // DER
	RDNs [][]Attribute
	keys []string // one per RDN
}

// Types of attribute (X.520, RFC 4519, EN 319 412-1).
const (
	TypeCommonName             = "2.5.4.3"
	TypeSerialNumber           = "2.5.4.5"
	TypeOrganizationIdentifier = "2.5.4.97"
	TypeUserID                 = "0.9.2342.19200300.100.1.1"
	typeEmail                  = "1.2.840.113549.1.9.1"
)

var shortNames = map[string]string{ // RFC 4514, 3, and the descriptors that RFC 4519 and EN 319 412 use
	TypeCommonName: "CN", "2.5.4.4": "surname", TypeSerialNumber: "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
	"2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.42": "givenName", "2.5.4.65": "pseudonym",
	TypeOrganizationIdentifier: "organizationIdentifier", TypeUserID: "UID", "0.9.2342.19200300.100.1.25": "DC",
	typeEmail: "emailAddress",
}

// Equal compares as RFC 5280, 7.1 has it: type by type, letter case and runs of spaces apart, whatever the string types.
func (n Name) Equal(m Name) bool { return slices.Equal(n.keys, m.keys) }

// Within tells whether the name lies in the subtree of base (RFC 5280, 4.2.1.10).
func (n Name) Within(base Name) bool {
	return len(n.keys) >= len(base.keys) && slices.Equal(n.keys[:len(base.keys)], base.keys)
}

// Empty tells whether the name has no attribute.
func (n Name) Empty() bool { return len(n.keys) == 0 }

func (n Name) key() string { return strings.Join(n.keys, "\x00") }

// Find returns the first value of an attribute, the most significant one first, or "".
func (n Name) Find(attributeType string) string {
	for _, rdn := range n.RDNs {
		for _, a := range rdn {
			if a.Type == attributeType {
				return a.Value
			}
		}
	}
	return ""
}

// String returns the name as RFC 4514 writes it, the last RDN first.
func (n Name) String() string {
	parts := make([]string, 0, len(n.RDNs))
	for _, rdn := range slices.Backward(n.RDNs) {
		attributes := make([]string, len(rdn))
		for i, a := range rdn {
			name, known := shortNames[a.Type]
			if !known {
				name = a.Type
			}
			attributes[i] = name + "=" + escape(a.Value)
		}
		parts = append(parts, strings.Join(attributes, "+"))
	}
	return strings.Join(parts, ",")
}

// escape is RFC 4514, 2.4. Control and format characters are escaped too: they could reorder what a person reads.
func escape(value string) string {
	var b strings.Builder
	for i, r := range value {
		last := i+len(string(r)) == len(value)
		switch {
		case strings.ContainsRune(`"+,;<>\`, r), r == '#' && i == 0, r == ' ' && (i == 0 || last):
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			for _, octet := range []byte(string(r)) {
				b.WriteByte('\\')
				b.WriteString(hex.EncodeToString([]byte{octet}))
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// readName reads a Name: SEQUENCE OF SET OF SEQUENCE { type, value }.
func readName(s *cryptobyte.String) (Name, bool) {
	var element cryptobyte.String
	if !s.ReadASN1Element(&element, cbasn1.SEQUENCE) {
		return Name{}, false
	}
	return nameOf(element)
}

// ParseName reads one DER Name, such as a certificate request's subject.
func ParseName(der []byte) (Name, error) {
	n, ok := nameOf(der)
	if !ok || len(der) > MaxCertificate {
		return Name{}, malformed("name: not a Name")
	}
	return n, nil
}

func nameOf(element []byte) (Name, bool) {
	n := Name{Raw: element}
	rdns, ok := sequence(element)
	if !ok {
		return Name{}, false
	}
	for !rdns.Empty() {
		rdn, key, ok := readRDN(&rdns, cbasn1.SET)
		if !ok || len(n.RDNs) == maxNames {
			return Name{}, false
		}
		n.RDNs = append(n.RDNs, rdn)
		n.keys = append(n.keys, key)
	}
	return n, true
}

func readRDN(s *cryptobyte.String, tag cbasn1.Tag) (rdn []Attribute, key string, ok bool) {
	var set cryptobyte.String
	if !s.ReadASN1(&set, tag) {
		return nil, "", false
	}
	var keys []string
	for !set.Empty() {
		var pair, value, element cryptobyte.String
		var valueTag cbasn1.Tag
		if !set.ReadASN1(&pair, cbasn1.SEQUENCE) || len(rdn) == maxNames {
			return nil, "", false
		}
		a := Attribute{}
		if a.Type, ok = readOID(&pair); !ok {
			return nil, "", false
		}
		if element = pair; !pair.ReadAnyASN1(&value, &valueTag) || !pair.Empty() {
			return nil, "", false
		}
		var isString bool
		if a.Value, isString = text(valueTag, value); isString {
			a.key = a.Type + "=" + fold(a.Value)
		} else {
			a.Value = "#" + hex.EncodeToString(element)
			a.key = a.Type + a.Value
		}
		rdn = append(rdn, a)
		keys = append(keys, a.key)
	}
	slices.Sort(keys)
	return rdn, strings.Join(keys, "\x01"), len(rdn) > 0
}

// fold is the comparison form of RFC 4518 as far as RFC 5280, 7.1 needs it.
func fold(s string) string {
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < 0x80
	}
	if ascii {
		s = strings.ToLower(s)
	} else {
		s = cases.Fold().String(norm.NFKC.String(s))
	}
	return strings.Join(strings.Fields(s), " ")
}

// Groups writes a long hexadecimal string for reading aloud and comparing: in upper case, in groups of four digits.
func Groups(digits string) string {
	var b strings.Builder
	for i, r := range strings.ToUpper(digits) {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
