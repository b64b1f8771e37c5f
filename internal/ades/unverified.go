package ades

import (
	"crypto"
	"time"
)

// Unverified is a signed document as parsed: nothing in it has been checked, and only validate turns it into a Report.
type Unverified struct {
	Document   Document
	Signatures []UnverifiedSignature
}

// UnverifiedSignature is one signature as parsed. A codec fills it with what stands in the document and with the digests
// it computed itself; it decides nothing.
type UnverifiedSignature struct {
	ID        string
	Format    Format
	Packaging Packaging
	Level     Level // as the structure claims

	Algorithm Algorithm
	Signed    []byte // the octets that Value signs: canonical SignedInfo, or the DER SET OF signed attributes
	Value     []byte // as it stands in the document, base64 removed

	// References are the digests of what is signed; in CMS that is the one in the message-digest attribute. A signature
	// that refers to nothing but its own SignedProperties covers no document.
	References []Reference
	// SigningCertificate holds the signed references to the signer's certificate (EN 319 132-1, 5.2.2; EN 319 122-1,
	// 5.2.2). Empty when the signature has none.
	SigningCertificate []CertificateReference
	Certificates       [][]byte // DER, as embedded, in document order
	CRLs               [][]byte // DER, embedded revocation values
	OCSPs              [][]byte // DER, embedded revocation values

	ClaimedSigningTime time.Time // zero when absent
	ClaimedRoles       []string
	Coverage           Coverage
	Defects            []Defect
}

// Algorithm is a signature algorithm as named in the document.
type Algorithm struct {
	Name  string // the URI or OID as it stands
	Key   KeyType
	Hash  crypto.Hash // 0 when unknown
	PSS   bool
	Salt  int  // PSS only, octets
	P1363 bool // ECDSA value is r‖s of fixed length (XML-DSig, JWS), not DER
}

// KeyType is the kind of key that an algorithm needs.
type KeyType string

// The key types.
const (
	RSA     KeyType = "RSA"
	ECDSA   KeyType = "ECDSA"
	Unknown KeyType = ""
)

// Reference is one digest over data, with the digest that the codec computed over what it found.
type Reference struct {
	ID       string
	URI      string
	Type     string // the Type attribute, or ""
	HashName string // the URI or OID as it stands
	Hash     crypto.Hash
	Expected []byte // as it stands in the document
	Computed []byte // nil when the data was not found or the transforms are not allowed
	// SignedProperties is true when the reference resolves to this signature's own SignedProperties element, found by
	// its place and not only by Type or Id.
	SignedProperties bool
	// Whole is true when this reference by itself covers the whole document, signatures and comments aside.
	Whole bool
	// NotFound says why Computed is nil.
	NotFound string
	// Data is the octets that were digested, or nil; what is shown or processed after validation must come from here.
	Data []byte
}

// CertificateReference is a signed digest of a certificate.
type CertificateReference struct {
	HashName     string
	Hash         crypto.Hash
	Digest       []byte
	SerialNumber string // decimal, v1 only; ""
	Version      int    // 1 or 2
}

// Coverage says how much of the document a signature covers.
type Coverage string

// The coverages that are not "revision N of M".
const (
	CoversWhole Coverage = "whole-document"
	CoversPart  Coverage = "part"
)

// Defect is a breach of the format that parsing saw and that must not be believed away: a duplicate Id, a second
// SignedInfo, a certificate value that is no certificate.
type Defect struct {
	SubIndication SubIndication // FORMAT_FAILURE or SIG_CONSTRAINTS_FAILURE
	Text          string
}
