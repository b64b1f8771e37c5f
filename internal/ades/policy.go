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
	// Hashes are acceptable digest algorithms, each with the last moment it counts; a zero time has no end.
	Hashes map[crypto.Hash]time.Time
	// MinRSABits and MinECBits are the shortest keys that count.
	MinRSABits, MinECBits int
	// RequireSignedCertificate demands a signed reference to the signer's certificate, as every AdES level does.
	RequireSignedCertificate bool
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
