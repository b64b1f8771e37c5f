package pkix

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Certificate is a certificate as read: nothing of it is verified, and its byte slices point into Raw.
type Certificate struct {
	Raw, RawTBS, RawSPKI []byte
	Version              int
	Serial               *big.Int // negative in some real certificates
	Issuer, Subject      Name
	NotBefore, NotAfter  time.Time
	PublicKey            crypto.PublicKey // *rsa, *ecdsa, ed25519, *dsa, or UnsupportedKey
	SignatureAlgorithm   Algorithm
	Signature            []byte
	Extensions           []Extension

	innerAlgorithm []byte
	keyBits        []byte // the subjectPublicKey BIT STRING's octets
	fingerprint    [sha256.Size]byte
	extensions
}

// Extension is one extension as it stands.
type Extension struct {
	ID       string
	Critical bool
	Value    []byte
}

// KeyUsage is a set of key usages; bit i is the named bit i of RFC 5280, 4.2.1.3.
type KeyUsage uint32

// The key usages that are asked for here.
const (
	UsageDigitalSignature KeyUsage = 1 << 0
	UsageNonRepudiation   KeyUsage = 1 << 1
	UsageCertSign         KeyUsage = 1 << 5
	UsageCRLSign          KeyUsage = 1 << 6
)

// ParseCertificate reads one DER certificate. An extension that is known and cannot be read does not fail it: such a
// certificate can be shown, and no path through it is valid.
func ParseCertificate(der []byte) (*Certificate, error) {
	if len(der) > MaxCertificate {
		return nil, malformed("certificate: longer than %d octets", MaxCertificate)
	}
	outer, ok := sequence(der)
	if !ok {
		return nil, malformed("certificate: not one SEQUENCE")
	}
	c := &Certificate{Raw: der, Version: 1, fingerprint: sha256.Sum256(der)}
	var tbs, algorithm cryptobyte.String
	if !outer.ReadASN1Element(&tbs, cbasn1.SEQUENCE) || !outer.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) {
		return nil, malformed("certificate: no tbsCertificate or signatureAlgorithm")
	}
	c.RawTBS = tbs
	if c.SignatureAlgorithm, ok = algorithmOf(algorithm); !ok {
		return nil, malformed("certificate: signatureAlgorithm")
	}
	if c.Signature, ok = readBits(&outer, cbasn1.BIT_STRING); !ok || !outer.Empty() {
		return nil, malformed("certificate: signatureValue")
	}
	return c, c.readTBS()
}

func (c *Certificate) readTBS() error {
	tbs, _ := sequence(c.RawTBS)
	if tbs.PeekASN1Tag(context0.Constructed()) {
		var explicit cryptobyte.String
		tbs.ReadASN1(&explicit, context0.Constructed())
		version, ok := readSmall(&explicit, cbasn1.INTEGER)
		if !ok || version > 2 {
			return malformed("certificate: version")
		}
		c.Version = version + 1
	}
	var ok bool
	if c.Serial, _, ok = readInteger(&tbs); !ok {
		return malformed("certificate: serialNumber")
	}
	var inner, validity, spki cryptobyte.String
	if !tbs.ReadASN1Element(&inner, cbasn1.SEQUENCE) {
		return malformed("certificate: signature")
	}
	c.innerAlgorithm = inner
	if c.Issuer, ok = readName(&tbs); !ok {
		return malformed("certificate: issuer")
	}
	if !tbs.ReadASN1(&validity, cbasn1.SEQUENCE) {
		return malformed("certificate: validity")
	}
	if c.NotBefore, ok = readTime(&validity); !ok {
		return malformed("certificate: notBefore")
	}
	if c.NotAfter, ok = readTime(&validity); !ok || !validity.Empty() {
		return malformed("certificate: notAfter")
	}
	if c.Subject, ok = readName(&tbs); !ok {
		return malformed("certificate: subject")
	}
	if !tbs.ReadASN1Element(&spki, cbasn1.SEQUENCE) {
		return malformed("certificate: subjectPublicKeyInfo")
	}
	c.RawSPKI = spki
	if c.PublicKey, c.keyBits, ok = publicKey(spki); !ok {
		return malformed("certificate: subjectPublicKeyInfo")
	}
	for _, tag := range []cbasn1.Tag{context1, context2} { // unique identifiers, which nothing uses
		if tbs.PeekASN1Tag(tag) && !tbs.SkipASN1(tag) {
			return malformed("certificate: unique identifier")
		}
	}
	if tbs.PeekASN1Tag(context3.Constructed()) {
		var explicit cryptobyte.String
		if !tbs.ReadASN1(&explicit, context3.Constructed()) {
			return malformed("certificate: extensions")
		}
		if c.Extensions, ok = readExtensions(&explicit); !ok || !explicit.Empty() {
			return malformed("certificate: extensions")
		}
	}
	if !tbs.Empty() {
		return malformed("certificate: something follows the extensions")
	}
	c.understand()
	return nil
}

func readExtensions(s *cryptobyte.String) ([]Extension, bool) {
	var list cryptobyte.String
	if !s.ReadASN1(&list, cbasn1.SEQUENCE) {
		return nil, false
	}
	var out []Extension
	for !list.Empty() {
		var one, value cryptobyte.String
		if !list.ReadASN1(&one, cbasn1.SEQUENCE) || len(out) == maxExtensions {
			return nil, false
		}
		e, ok := Extension{}, false
		if e.ID, ok = readOID(&one); !ok {
			return nil, false
		}
		if one.PeekASN1Tag(cbasn1.BOOLEAN) {
			if e.Critical, ok = readBoolean(&one, cbasn1.BOOLEAN); !ok {
				return nil, false
			}
		}
		if !one.ReadASN1(&value, cbasn1.OCTET_STRING) || !one.Empty() {
			return nil, false
		}
		e.Value = value
		out = append(out, e)
	}
	return out, true
}

// Fingerprint returns the SHA-256 of the whole certificate.
func (c *Certificate) Fingerprint() [sha256.Size]byte { return c.fingerprint }

// SelfIssued tells whether subject and issuer are the same name.
func (c *Certificate) SelfIssued() bool { return c.Subject.Equal(c.Issuer) }

// ValidAt tells whether a moment lies within the validity, both ends included (RFC 5280, 4.1.2.5).
func (c *Certificate) ValidAt(at time.Time) bool {
	return !at.Before(c.NotBefore) && !at.Truncate(time.Second).After(c.NotAfter)
}

// HasUsage tells whether the key may be used so: the usage is set, or the certificate says nothing about usage.
func (c *Certificate) HasUsage(usage KeyUsage) bool {
	return c.usage == nil || *c.usage&usage != 0
}

// HasExtendedUsage tells whether the certificate names that extended key usage.
func (c *Certificate) HasExtendedUsage(oid string) bool {
	return slices.Contains(c.extendedUsages, oid)
}

// IsCA tells whether basicConstraints are there and say so.
func (c *Certificate) IsCA() bool { return c.isCA }

// Policies returns the certificate policies, dotted.
func (c *Certificate) Policies() []string { return c.policies }

// CRLURLs returns the URLs of the CRL distribution points.
func (c *Certificate) CRLURLs() []string {
	var out []string
	for _, p := range c.distributionPoints {
		out = append(out, uris(p.names)...)
	}
	return out
}

// OCSPURLs returns the URLs of the OCSP responders (RFC 5280, 4.2.2.1).
func (c *Certificate) OCSPURLs() []string { return c.ocspURLs }

// IssuerURLs returns the URLs of the issuer's certificate (RFC 5280, 4.2.2.1).
func (c *Certificate) IssuerURLs() []string { return c.issuerURLs }

// PersonID returns the subject's serialNumber attribute, as EN 319 412-1, 5.1.3 writes it, or "".
func (c *Certificate) PersonID() string { return c.Subject.Find(TypeSerialNumber) }

func (c *Certificate) same(d *Certificate) bool { return c == d || bytes.Equal(c.Raw, d.Raw) }

// sameEntity tells whether two certificates certify the same name and key, and so could stand for each other in a path.
func (c *Certificate) sameEntity(d *Certificate) bool {
	return c.Subject.Equal(d.Subject) && bytes.Equal(c.RawSPKI, d.RawSPKI)
}
