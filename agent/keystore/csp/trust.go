package csp

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"certsign/internal/problem"
)

// The stores of the computer in which an authority's certificates lie, as Windows calls them.
const (
	rootStore   = "Root"
	issuerStore = "CA"
)

// purposes are the only ones for which the computer trusts what Trust puts there. A customs certificate has documentSigning
// and nothing else, and Windows checks its state with responses of the authority's OCSP responder. So neither a server, nor
// a program, nor mail is trusted because of this authority, whatever it issues.
var purposes = []asn1.ObjectIdentifier{
	{1, 3, 6, 1, 5, 5, 7, 3, 36}, // RFC 9336: id-kp-documentSigning
	{1, 3, 6, 1, 5, 5, 7, 3, 9},  // RFC 6960, 4.2.2.2: id-kp-OCSPSigning
}

// State is what came of a certificate in a store of the computer.
type State string

// The states.
const (
	Added    State = "added"
	Kept     State = "kept"     // this package put it there before
	Restored State = "restored" // so it did, and its purposes were no longer limited
	Foreign  State = "foreign"  // somebody else put it there; it was left alone
	Removed  State = "removed"
)

// Placed is a certificate in a store of the computer.
type Placed struct {
	*x509.Certificate
	Store string // Root or CA
	State State
	// Purposes are those that the store allows beside what the certificate itself says; nil: all.
	Purposes []asn1.ObjectIdentifier
}

// Limited says whether the store allows the purposes of Trust and no other.
func (p Placed) Limited() bool {
	return p.Purposes != nil && !slices.ContainsFunc(p.Purposes, func(id asn1.ObjectIdentifier) bool {
		return !slices.ContainsFunc(purposes, id.Equal)
	})
}

// Refusal is why a certificate does not get into a store of the computer.
type Refusal string

// The refusals. NotAdministrator is one of the person, the others are of certificates.
const (
	NotAdministrator Refusal = "only an administrator changes what the computer trusts"
	NotReadable      Refusal = "the file is not one certificate"
	OfATest          Refusal = "the authority is a test"
	NoAuthority      Refusal = "the certificate is not of an authority"
	NotValidNow      Refusal = "the certificate is not valid at this time"
	Weak             Refusal = "the key is too weak"
	NoRoot           Refusal = "the root is not signed with its own key"
	NotOfTheRoot     Refusal = "the root did not issue the certificate"
)

func (r Refusal) Error() string { return string(r) }

// of makes a problem of it, which names the subject. Nobody vouches for that, so it is quoted.
func (r Refusal) of(code problem.Code, c *x509.Certificate) error {
	return problem.Wrap(code, r, "%q", c.Subject.String())
}

// Authority is a certification authority whose certificates may be put into stores of the computer.
type Authority struct {
	root    *x509.Certificate
	issuers []*x509.Certificate
}

// ReadAuthority reads a root and the issuers right below it, each PEM or DER, and checks all that must be right before a
// computer trusts them. Whether they are the right ones is for the administrator to say.
func ReadAuthority(root []byte, issuers [][]byte, now time.Time) (Authority, error) {
	var a Authority
	if len(issuers) >= maxChain {
		return a, problem.New(problem.TooLarge, "more than %d issuers", maxChain-1)
	}
	var err error
	if a.root, err = readIssuer("root", root, now); err != nil {
		return Authority{}, err
	}
	if !selfIssued(a.root) || a.root.CheckSignatureFrom(a.root) != nil {
		return Authority{}, NoRoot.of(problem.CAMismatch, a.root)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.root)
	for i, file := range issuers {
		c, err := readIssuer(fmt.Sprintf("issuer %d", i+1), file, now)
		if err != nil {
			return Authority{}, err
		}
		// RFC 5280, 6.1: names, signature, path length, name constraints, critical extensions. With no intermediates at
		// hand, the root itself must have signed it.
		_, err = c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if err != nil || selfIssued(c) || a.root.MaxPathLen == 0 { // 4.2.1.9: 0 is for a root that issues end certificates only
			return Authority{}, NotOfTheRoot.of(problem.CAMismatch, c)
		}
		if !slices.ContainsFunc(a.issuers, c.Equal) {
			a.issuers = append(a.issuers, c)
		}
	}
	return a, nil
}

// places are the certificates with the store of each. The root comes last: trust begins when all is there.
func (a Authority) places() []Placed {
	all := make([]Placed, 0, len(a.issuers)+1)
	for _, c := range a.issuers {
		all = append(all, Placed{Certificate: c, Store: issuerStore})
	}
	return append(all, Placed{Certificate: a.root, Store: rootStore})
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// readIssuer reads a certificate that may issue others, now, and is of no test.
func readIssuer(what string, file []byte, now time.Time) (*x509.Certificate, error) {
	if len(file) > 2*maxCertificate {
		return nil, problem.New(problem.TooLarge, "%s: a file of %d octets", what, len(file))
	}
	c, err := oneCertificate(file)
	if err != nil {
		return nil, problem.Wrap(problem.DocumentUnreadable, errors.Join(NotReadable, err), "%s", what)
	}
	key, isRSA := c.PublicKey.(*rsa.PublicKey)
	switch {
	case ofATest(c):
		return nil, OfATest.of(problem.Forbidden, c)
	case !c.BasicConstraintsValid, !c.IsCA, c.KeyUsage&x509.KeyUsageCertSign == 0: // RFC 5280, 4.2.1.3 and 4.2.1.9
		return nil, NoAuthority.of(problem.BadRequest, c)
	case now.Before(c.NotBefore), now.After(c.NotAfter):
		return nil, NotValidNow.of(problem.CertificateExpired, c)
	case isRSA && key.N.BitLen() < 2048:
		return nil, Weak.of(problem.KeyWeak, c)
	}
	return c, nil
}

// oneCertificate reads a file of one certificate, DER or PEM.
func oneCertificate(file []byte) (*x509.Certificate, error) {
	block, rest := pem.Decode(file)
	if block == nil {
		return x509.ParseCertificate(file)
	}
	if another, _ := pem.Decode(rest); another != nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("more than a certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// ofATest tells a test hierarchy, which has the word TEST in each name.
func ofATest(c *x509.Certificate) bool {
	for _, attribute := range slices.Concat(c.Subject.Names, c.Issuer.Names) {
		words := strings.FieldsFunc(fmt.Sprint(attribute.Value), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if slices.ContainsFunc(words, func(word string) bool { return strings.EqualFold(word, "TEST") }) {
			return true
		}
	}
	return false
}

// mark is the description that a certificate of ours has in the store. It is one property among those that Windows writes
// and deletes together with the certificate, where administrators alone can write, and they see it in the certificate's
// properties; so there is no second record that could name a certificate which is not ours. It holds the certificate's
// own fingerprint: copied to another one it says nothing.
func mark(der []byte) string {
	return fmt.Sprintf("CertSign: certsign trust add, certsign trust remove. SHA-256 %x", sha256.Sum256(der))
}

// decodePurposes reads what CERT_ENHKEY_USAGE_PROP_ID holds: ExtKeyUsageSyntax (RFC 5280, 4.2.1.12), DER. What cannot be
// read counts as no limit.
func decodePurposes(b []byte) ([]asn1.ObjectIdentifier, bool) {
	ids := []asn1.ObjectIdentifier{}
	rest, err := asn1.Unmarshal(b, &ids)
	return ids, err == nil && len(rest) == 0 && ids != nil
}

// Codes of a store that the caller may read and not write.
const (
	errAccessDenied = 5          // ERROR_ACCESS_DENIED
	eAccessDenied   = 0x80070005 // E_ACCESSDENIED
)

// explain translates the errors of a computer's stores as translate does those of the person's.
func explain(err error) error {
	var f *failure
	if errors.As(err, &f) && (f.code == errAccessDenied || f.code == eAccessDenied) && problem.CodeOf(err) == problem.Internal {
		return problem.Wrap(problem.Forbidden, errors.Join(NotAdministrator, err), "")
	}
	return translate(err)
}
