package ca

import (
	"time"

	"certsign/internal/ades"
)

// Document is something that a person wants to send to customs: a draft, then signed, then sent and answered.
type Document struct {
	ID        string
	AccountID int64
	Name      string
	MIME      string
	State     DocumentState
	Content   []byte // as it was put on the desk, unsigned
	Signed    []byte // as it was submitted; nil before
	Receipt   []byte // sealed; nil before
	Reference string // the portal's number for a submission that was accepted or refused
	Report    *ades.Report
	// Problem and Detail say why a submission was refused: one of the refusals below, or the problem code of a document
	// that cannot be read. The document can be signed and sent again.
	Problem string
	Detail  string
	Created time.Time
	Sent    time.Time
}

// DocumentState is where a document stands.
type DocumentState string

// The states.
const (
	Draft   DocumentState = "draft"
	Sent    DocumentState = "sent"    // accepted, stored, receipt sealed
	Refused DocumentState = "refused" // stored with the reason
)

// The refusals of a signed document, in Document.Problem.
const (
	RefusedChanged   = "document_changed"      // altered after signing, or not the document that was on the desk
	RefusedSignature = "signature_invalid"     // wrong for another reason, or not exactly one signature
	RefusedUnknown   = "signer_unknown"        // the signer's certificate was not issued here
	RefusedOther     = "signer_other"          // it is another person's
	RefusedSuspended = "certificate_suspended" //
	RefusedRevoked   = "certificate_revoked"   //
	RefusedExpired   = "certificate_expired"   // expired, or not valid yet
)

// Mail is a message to a person, kept in an outbox in the same transaction as what it tells about.
type Mail struct {
	ID      int64
	To      string
	Subject string
	Text    string
	Created time.Time
	Sent    time.Time // zero while it waits
}
