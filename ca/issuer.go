package ca

import (
	"context"
	"time"
)

// Issuer turns a decision of this CA into a certificate. A new backend is a folder below issuer/ and a line in
// cmd/customs-ca.
type Issuer interface {
	// Token mints a one-time token that is bound to exactly that CSR (by its SHA-256) and carries the subject. The agent spends it at
	// the CA's own /1.0/sign.
	Token(ctx context.Context, grant Grant) (string, error)
}

// Grant is one decision to issue.
type Grant struct {
	ID        string // of the enrolment; sub of the token is "urn:customs:enrolment:"+ID
	TokenID   string // jti: what the ledger marks when the token is spent
	CSR       []byte // DER
	Subject   []byte // the DER name that the certificate gets
	Person    Person
	AccountID int64
	Terms     string
	Expires   time.Time
}
