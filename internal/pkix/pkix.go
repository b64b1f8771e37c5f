// Package pkix reads certificates, CRLs and OCSP responses and judges certification paths and certificate status by
// RFC 5280 section 6 (with the policy graph of RFC 9618) and RFC 6960.
//
// The readers are tolerant where real certificates break DER or RFC 5280 without doing harm (negative serial numbers, RSA
// moduli without a sign octet, absent NULL parameters, letters that a string type does not have) and keep the bytes as
// they stand; the engine then decides over what was read. They do not read BER with indefinite lengths.
//
// Keys: RSA, ECDSA on the NIST curves, Ed25519, and DSA for old hierarchies. Any other key, Brainpool curves included, is
// an UnsupportedKey, with which no signature verifies.
//
// Nothing given to this package is trusted except the anchors of a Verifier: an embedded certificate is never one. Nothing
// is fetched. Work is bounded: sizes, path length, number of paths and of signature checks.
package pkix

import (
	"errors"
	"fmt"
)

// Limits on unverified input.
const (
	MaxCertificate = 256 << 10 // octets
	MaxCRL         = 64 << 20  // octets
	MaxOCSP        = 1 << 20   // octets
	MaxPool        = 2000      // certificates that a pool takes
	MaxPath        = 12        // certificates in a path, both ends included
	MaxPaths       = 64        // paths that are tried for one certificate
	MaxSteps       = 5000      // certificates that the search for paths visits, by one Verifier
	MaxSignatures  = 2000      // signature checks by one Verifier
	maxExtensions  = 128
	maxNames       = 1024
)

// ErrMalformed is in the chain of each error of a reader.
var ErrMalformed = errors.New("malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w "+format, append([]any{ErrMalformed}, args...)...)
}
