package ca

import (
	"context"
	"time"

	"certsign/internal/ades"
)

// Sealer seals what the CA answers with its electronic seal.
type Sealer interface {
	// Seal returns the sealed receipt, a document that anybody can keep and verify.
	Seal(ctx context.Context, receipt Receipt) ([]byte, error)
}

// Receipt says that a signed document was received and accepted.
type Receipt struct {
	Reference    string // the portal's number, "DOC-2026-000123"
	Received     time.Time
	DocumentID   string
	DocumentName string
	MIME         string
	Size         int64  // of the signed document, octets
	SHA256       string // of the signed document, hex
	DraftSHA256  string // of the document as it was put on the desk, hex
	Sender       string // the account's e-mail address
	Person       Person
	Certificate  string // the signer's serial number, hex
	Report       *ades.Report
}

// EvidenceSource answers for the status of the CA's own certificates.
type EvidenceSource interface {
	// Evidence returns what a validation at that moment may use about certificates issued here: the chain and status
	// answers that are not older than the last change of any of the serial numbers (hex).
	Evidence(ctx context.Context, at time.Time, serials ...string) (ades.Evidence, error)
}
