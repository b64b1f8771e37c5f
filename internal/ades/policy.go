package ades

import (
	"crypto"
	"time"
)

// Policy is the constraints a validation is made under (EN 319 102-1, 5.1.4).
type Policy struct {
	Name  string // as it stands in the report
	Trust Trust
	// Revocation: status of every certificate below the anchor must be known from the evidence.
	Revocation RevocationPolicy
	// MaxStatusAge is how old a CRL or OCSP response may be beyond its own nextUpdate; 0 uses nextUpdate alone.
	MaxStatusAge time.Duration
	// Time is what counts as the moment of signing; "" is ProofOfExistence.
	Time TimePolicy
	// Hashes are acceptable digest algorithms, each with the last moment it counts; a zero time has no end.
	Hashes map[crypto.Hash]time.Time
	// MinRSABits and MinECBits are the shortest keys that count.
	MinRSABits, MinECBits int
	// RequireSignedCertificate demands a signed reference to the signer's certificate, as every AdES level does.
	RequireSignedCertificate bool
	// RequireSigningTime demands the signed claim of a signing time, as every baseline level does.
	RequireSigningTime bool
	// RequireWhole refuses a signature that does not cover the whole document.
	RequireWhole bool
	// PolicyOIDs, when not empty, are the certificate policies of which the signer's certificate must have one.
	PolicyOIDs []string
}

// RevocationPolicy says what is done about certificate status.
type RevocationPolicy string

// The revocation policies.
const (
	RevocationRequired RevocationPolicy = "required" // unknown status is TRY_LATER
	RevocationIgnored  RevocationPolicy = "ignored"  // for callers that ask the CA's own database
)

// TimePolicy says what counts as the moment of signing.
type TimePolicy string

// The time policies.
const (
	// ProofOfExistence is EN 319 102-1: the signature may have been made at any time before its earliest proof of
	// existence, so a certificate that has since expired or been revoked leaves the verdict open.
	ProofOfExistence TimePolicy = "proof-of-existence"
	// MomentOfCheck takes the moment of validation for the moment of signing, as the portal's verification page does: a
	// certificate that is then expired, revoked or on hold makes the signature invalid.
	MomentOfCheck TimePolicy = "moment-of-check"
)
