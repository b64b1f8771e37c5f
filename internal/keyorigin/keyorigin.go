// Package keyorigin is what an agent states in a certificate request of how its key came to be: an attribute of PKCS #10
// (RFC 2986, 4.1), described in docs/key-origin.md.
//
//	KeyOrigin ::= SEQUENCE {
//	    version           INTEGER (1),
//	    store             UTF8String (SIZE (1..16)),
//	    hardware          BOOLEAN,
//	    by                [0] IMPLICIT UTF8String (SIZE (1..100)) OPTIONAL,
//	    local             [1] IMPLICIT BOOLEAN OPTIONAL,
//	    neverExtractable  [2] IMPLICIT BOOLEAN OPTIONAL }
//
// It proves nothing: no token signs it, and whoever makes a request can state anything. What is read here is therefore
// bounded, plain text, only to be shown as the agent's word, and nothing may be decided by it.
package keyorigin

import (
	"crypto/x509"
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// OID names the attribute: an arc of its own below 2.25 (Rec. ITU-T X.667), made from the UUID
// 9d8a9cdc-0d9b-4869-ab45-c45f370b9d1c.
const OID = "2.25.209408513795014551646729457344879238428"

// Statement is what is stated.
type Statement struct {
	Store    string `json:"store"`    // "keyfile", "pkcs11", "csp"
	Hardware bool   `json:"hardware"` // the key is in a card or token
	By       string `json:"by,omitempty"`
	// Local: made where it is kept (PKCS#11: CKA_LOCAL). NeverExtractable: it could be copied out at no time. Each is "yes",
	// "no", or "" where nobody says.
	Local            string `json:"local,omitempty"`
	NeverExtractable string `json:"neverExtractable,omitempty"`
}

const (
	version  = 1
	maxValue = 512 // octets
	maxBy    = 100 // characters
)

var (
	validStore = regexp.MustCompile(`^[a-z0-9]{1,16}$`)

	tagBy               = casn1.Tag(0).ContextSpecific()
	tagLocal            = casn1.Tag(1).ContextSpecific()
	tagNeverExtractable = casn1.Tag(2).ContextSpecific()
)

var errMalformed = errors.New("malformed statement of a key's origin")

// Clean returns a driver's words of itself as By takes them: what can be seen, on one line, shortened.
func Clean(by string) string {
	kept := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(by, ""))
	kept = strings.Join(strings.Fields(kept), " ")
	if runes := []rune(kept); len(runes) > maxBy {
		kept = strings.TrimSpace(string(runes[:maxBy]))
	}
	return kept
}

func (s Statement) check() error {
	valid := func(stated string) bool { return stated == "" || stated == "yes" || stated == "no" }
	if !validStore.MatchString(s.Store) || !utf8.ValidString(s.By) || Clean(s.By) != s.By || !valid(s.Local) || !valid(s.NeverExtractable) {
		return errMalformed
	}
	return nil
}

// Attribute writes the statement as an Attribute (RFC 2986, 4.1).
func (s Statement) Attribute() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	id, err := oid()
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(id) })
		b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(version)
				b.AddASN1(casn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(s.Store)) })
				b.AddASN1Boolean(s.Hardware)
				if s.By != "" {
					b.AddASN1(tagBy, func(b *cryptobyte.Builder) { b.AddBytes([]byte(s.By)) })
				}
				addStated(b, tagLocal, s.Local)
				addStated(b, tagNeverExtractable, s.NeverExtractable)
			})
		})
	})
	return b.Bytes()
}

// X.690, 11.1: in DER TRUE is 0xff.
func addStated(b *cryptobyte.Builder, tag casn1.Tag, stated string) {
	switch stated {
	case "yes":
		b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddUint8(0xff) })
	case "no":
		b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddUint8(0) })
	}
}

// In returns what a request states; nil when it states nothing, or nothing that can be read: a malformed statement is none.
func In(csr *x509.CertificateRequest) *Statement {
	// RFC 2986, 4.1: CertificationRequestInfo.
	in := cryptobyte.String(csr.RawTBSCertificateRequest)
	var body, skip, attributes cryptobyte.String
	var number int64
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !body.ReadASN1Integer(&number) || !body.ReadASN1(&skip, casn1.SEQUENCE) ||
		!body.ReadASN1(&skip, casn1.SEQUENCE) || !body.ReadASN1(&attributes, casn1.Tag(0).Constructed().ContextSpecific()) {
		return nil
	}
	want, err := oid()
	if err != nil {
		return nil
	}
	var found *Statement
	for n := 0; !attributes.Empty(); {
		var attribute, id, values cryptobyte.String
		if !attributes.ReadASN1(&attribute, casn1.SEQUENCE) || !attribute.ReadASN1(&id, casn1.OBJECT_IDENTIFIER) {
			return nil
		}
		if string(id) != string(want) {
			continue
		}
		if n++; n > 1 || !attribute.ReadASN1(&values, casn1.SET) || !attribute.Empty() {
			return nil // two statements are none
		}
		s, err := parse(values)
		if err != nil {
			return nil
		}
		found = s
	}
	return found
}

// parse reads one KeyOrigin.
func parse(value cryptobyte.String) (*Statement, error) {
	var body, store, by cryptobyte.String
	var number int64
	var s Statement
	if len(value) > maxValue || !value.ReadASN1(&body, casn1.SEQUENCE) || !value.Empty() || !body.ReadASN1Integer(&number) || number != version ||
		!body.ReadASN1(&store, casn1.UTF8String) || !body.ReadASN1Boolean(&s.Hardware) {
		return nil, errMalformed
	}
	var hasBy bool
	if !body.ReadOptionalASN1(&by, &hasBy, tagBy) || hasBy && len(by) == 0 ||
		!readStated(&body, tagLocal, &s.Local) || !readStated(&body, tagNeverExtractable, &s.NeverExtractable) || !body.Empty() {
		return nil, errMalformed
	}
	s.Store, s.By = string(store), string(by)
	return &s, s.check()
}

func readStated(in *cryptobyte.String, tag casn1.Tag, stated *string) bool {
	var value cryptobyte.String
	var present bool
	if !in.ReadOptionalASN1(&value, &present, tag) {
		return false
	}
	switch {
	case !present:
	case len(value) == 1 && value[0] == 0xff:
		*stated = "yes"
	case len(value) == 1 && value[0] == 0:
		*stated = "no"
	default:
		return false
	}
	return true
}

// oid returns the contents octets of OID, whose second arc is too long for encoding/asn1.
func oid() ([]byte, error) {
	parsed, err := x509.ParseOID(OID)
	if err != nil {
		return nil, err
	}
	return parsed.MarshalBinary()
}
