package ca

import (
	"context"

	"certsign/internal/ades"
)

// Desk is what the portal may do on a person's behalf; *CA implements it. Each method checks that the account may do so.
// Failures that a person can act on are problems: login_failed, rate_limited, not_eligible, terms_not_accepted,
// second_factor_required, second_factor_failed, csr_invalid, key_weak, key_already_certified, code_incorrect, code_locked,
// state_forbids, reason_forbidden, not_found, forbidden, too_large.
type Desk interface {
	// Login checks a password. Wrong login and wrong password are the same login_failed, in the same time.
	// device is the mark that NewDevice gave this browser, or "": guesses are counted apart for a browser that knew the
	// password once, so that nobody else can lock its person out.
	Login(ctx context.Context, email, password, device string) (*Account, error)
	// NewDevice returns the mark for a browser that has just logged in; KnowsDevice says whether a mark is one of that address.
	NewDevice(email string) string
	KnowsDevice(email, device string) bool
	Account(ctx context.Context, id int64) (*Account, error)
	SetLanguage(ctx context.Context, accountID int64, lang string) error
	Person(ctx context.Context, accountID int64) (*Person, error)
	Eligibility(ctx context.Context, accountID int64) (Eligibility, error)

	// SendFactor e-mails a one-time code (6 digits, 10 minutes, 5 tries) for one purpose: "generate" or "resume".
	SendFactor(ctx context.Context, accountID int64, purpose string) error
	// CheckFactor spends it.
	CheckFactor(ctx context.Context, accountID int64, purpose, code string) error

	// AcceptTerms records that the account accepted that version; Terms returns the current one.
	AcceptTerms(ctx context.Context, accountID int64, version string) error
	Terms() string

	// Enroll decides on a CSR and mints its one-time token. The caller has checked the second factor.
	Enroll(ctx context.Context, accountID int64, csr []byte) (*Enrolment, error)
	// Issued returns the certificate that was issued for that CSR, once it is; the bearer is the enrolment's token, spent or
	// not, expired or not. not_found otherwise, whatever is wrong.
	Issued(ctx context.Context, csrSHA256, bearer string) (*Certificate, error)

	Certificates(ctx context.Context, accountID int64) ([]Certificate, error)
	Certificate(ctx context.Context, accountID int64, serial string) (*Certificate, error)
	// VerificationCode returns the code that the confirmation prints.
	VerificationCode(ctx context.Context, accountID int64, serial string) (string, error)

	// Wish files a request. With the right verification code a suspension acts at once; a revocation holds at once and
	// waits for the help desk; a resumption waits. decision: auto in the configuration decides that kind at once.
	// Wrong codes are counted per certificate: after 5, code_locked until the help desk unlocks it.
	Wish(ctx context.Context, accountID int64, serial string, kind RequestKind, reason WishReason, code string) (*Request, error)
	Requests(ctx context.Context, accountID int64) ([]Request, error)

	// The help desk.
	OpenRequests(ctx context.Context, clerkID int64) ([]OpenRequest, error)
	Decide(ctx context.Context, clerkID int64, ticket string, approve bool, comment string) (*Request, error)

	// Documents.
	Documents(ctx context.Context, accountID int64) ([]Document, error)
	Document(ctx context.Context, accountID int64, id string) (*Document, error)
	AddDocument(ctx context.Context, accountID int64, name, mime string, content []byte) (*Document, error)
	// RemoveDocument takes a draft off the desk; state_forbids once it was submitted.
	RemoveDocument(ctx context.Context, accountID int64, id string) error
	// Submit validates a signed document, stores it, and answers with a sealed receipt. A document that is refused is an
	// outcome, not an error: state Refused with Problem and Detail.
	Submit(ctx context.Context, accountID int64, id string, signed []byte) (*Document, error)

	// Mailbox is the outbox for one address; for the demo's mailbox page.
	Mailbox(ctx context.Context, address string) ([]Mail, error)

	// Check validates any signed document for anybody ("/verify").
	Check(ctx context.Context, name string, content []byte) (*ades.Report, error)
}

// Enrolment is a decision to issue for one CSR.
type Enrolment struct {
	ID        string
	Token     string
	CSRSHA256 string // hex
	CA        string // the CA's URL, for display; an agent takes it from its own site entry
}
