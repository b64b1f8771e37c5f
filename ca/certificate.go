package ca

import (
	"crypto/x509"
	"time"

	"certsign/internal/keyorigin"
)

// State is where a certificate stands. Revoked and expired are final.
type State string

// The states.
const (
	Active    State = "active"
	Suspended State = "suspended"
	Revoked   State = "revoked"
	Expired   State = "expired"
)

// Reason is a CRLReason (RFC 5280, 5.3.1).
type Reason int

// The reasons.
const (
	Unspecified          Reason = 0
	KeyCompromise        Reason = 1
	CACompromise         Reason = 2
	AffiliationChanged   Reason = 3
	Superseded           Reason = 4
	CessationOfOperation Reason = 5
	CertificateHold      Reason = 6
	RemoveFromCRL        Reason = 8
	PrivilegeWithdrawn   Reason = 9
)

// Certificate is an issued customs certificate and its status.
type Certificate struct {
	Serial    string // hex, lower case, as x509 prints it without separators
	PersonID  int64
	AccountID int64
	DER       []byte
	X509      *x509.Certificate
	Chain     [][]byte // DER, issuer first, without the root's own when it is not needed
	Shard     int      // of the CRL it is listed in, written in the certificate
	State     State
	Reason    Reason
	// Since is when the present state began; for a revocation that followed a suspension, RevokedAt keeps the
	// suspension's moment.
	Since     time.Time
	RevokedAt time.Time // revocationDate as CRL and OCSP tell it; zero when the certificate is good
	Issued    time.Time
	CSRSHA256 string // hex
	Terms     string // the version of the terms accepted for it
	// KeyOrigin is what the agent stated in the request of how the key came to be; nil when it stated nothing that can be
	// read. It is nobody's proof, and nothing is decided by it.
	KeyOrigin *keyorigin.Statement
}

// DaysLeft counts whole days until notAfter; negative afterwards.
func (c Certificate) DaysLeft(now time.Time) int {
	return int(c.X509.NotAfter.Sub(now).Hours()) / 24
}
