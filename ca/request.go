package ca

import "time"

// RequestKind is a wish about a certificate's status.
type RequestKind string

// The kinds.
const (
	Suspend RequestKind = "suspend"
	Resume  RequestKind = "resume"
	Revoke  RequestKind = "revoke"
)

// RequestState is where a request stands.
type RequestState string

// The states. A request with a wrong verification code is rejected at once and changes nothing.
const (
	Submitted RequestState = "submitted" // waits for the help desk
	Resolved  RequestState = "resolved"
	Rejected  RequestState = "rejected"
)

// WishReason is the reason that a person picked for suspension or revocation, in the portal's own list.
type WishReason string

// The reasons, with the CRLReason that each one becomes in a revocation; every suspension is certificateHold.
const (
	KeyDisclosed   WishReason = "key-disclosed"    // disclosed or suspected: keyCompromise
	CarrierLost    WishReason = "carrier-lost"     // card, file or password lost: cessationOfOperation; in a suspension may turn up again
	DataWrong      WishReason = "data-wrong"       // the data in the certificate are wrong: superseded
	DataChanged    WishReason = "data-changed"     // the person's data changed: affiliationChanged
	Replaced       WishReason = "replaced"         // by a newer certificate: superseded
	NoLongerNeeded WishReason = "no-longer-needed" // cessationOfOperation
	OnRequest      WishReason = "on-request"       // suspension only: at the holder's wish
	OtherReason    WishReason = "other"            // no reason code
)

// Decision is who decides a kind of request.
type Decision string

// The decisions.
const (
	DecisionAuto     Decision = "auto"
	DecisionHelpDesk Decision = "helpdesk"
)

// Request is one wish, its ticket and its fate.
type Request struct {
	Ticket    string // for people and e-mails: "CSD-2026-000123"
	Kind      RequestKind
	Serial    string
	AccountID int64
	Reason    WishReason // "" for a resumption
	State     RequestState
	// Held is true when a revocation request suspended the certificate at once; a rejection resumes it then.
	Held      bool
	Comment   string // why it was rejected, in the help desk's words, or what the clerk noted
	DecidedBy string // "auto" or the clerk's login
	Created   time.Time
	Decided   time.Time
}

// OpenRequest is a request as the help desk sees it: with whom it is about, so that a clerk can check who is calling.
type OpenRequest struct {
	Request
	Certificate *Certificate
	Holder      Person
	Email       string // of the account that made the request
}
