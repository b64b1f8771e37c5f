package agent

import (
	"context"
	"time"
)

// Prompter asks the person. Everything in a request comes from the agent itself or is marked as the page's; a Prompter
// shows it as text and never as markup. A person who says no, or closes the window, is the problem user_cancelled; no way to
// ask is prompt_unavailable. The agent asks one question at a time, and cancels ctx when the page is gone. What a question
// lets a Prompter look at and watch is for the time until it is answered.
type Prompter interface {
	// ApproveOrigin asks whether a site that is not on the list may talk to the agent.
	ApproveOrigin(ctx context.Context, q OriginQuestion) error
	// ConfigureStore is the window "Cryptographic service configuration": where shall the new key live?
	ConfigureStore(ctx context.Context, q StoreQuestion) (StoreAnswer, error)
	// ApproveSigning shows the documents and lets the person choose the certificate and sign, or refuse.
	ApproveSigning(ctx context.Context, q SigningQuestion) (SigningAnswer, error)
	// Notify tells without waiting: a certificate has arrived, a signature was made, something failed.
	Notify(ctx context.Context, n Notice)
}

// PINPrompter asks for a PIN or password in a window that no page and no browser takes part in.
type PINPrompter interface {
	AskPIN(ctx context.Context, req PINRequest) (*Secret, error)
}

// OriginQuestion is an unknown site that wants to talk.
type OriginQuestion struct {
	Origin Origin
}

// StoreQuestion asks where a new key shall live.
type StoreQuestion struct {
	Origin    Origin
	Site      string       // the site's name, from the agent's own list
	CA        string       // the certification authority's name and address, from the agent's own list
	Stores    []StoreOffer // hardware first; only what this computer really has
	Wish      string       // the store that the page suggested, already checked; it is only preselected
	Algorithm KeyAlgorithm // preselected
	// Look returns what Stores would be now; the answer is checked against what it returned last. Nil: Stores is all.
	Look func(context.Context) []StoreOffer
	// Watch sends whenever it is worth looking again, until ctx ends: then the channel is closed. It may take as long as a
	// look, and what changed before it returned is not sent. Nil: no store tells.
	Watch func(context.Context) <-chan struct{}
}

// StoreOffer is one store, and its places.
type StoreOffer struct {
	Store       string
	Places      []Place
	Unavailable string // a problem.Code: shown greyed out with the reason
}

// StoreAnswer is where the person wants the key.
type StoreAnswer struct {
	Store     string
	Place     string
	Algorithm KeyAlgorithm
	Label     string
}

// SigningQuestion asks for a signature.
type SigningQuestion struct {
	Origin       Origin
	Site         string
	Documents    []DocumentView
	Format       string
	Level        string
	Certificates []CertificateView // those that may be used, best first
	// Look returns what Certificates would be now, and Watch tells when, as in a StoreQuestion.
	Look  func(context.Context) []CertificateView
	Watch func(context.Context) <-chan struct{}
}

// DocumentView is a document as the person must see it. Name and MIME are the page's words.
type DocumentView struct {
	Name   string
	MIME   string
	Size   int64
	SHA256 string // hex
	// Content is the document itself, for showing; nil when it is too long to be shown (more than 16 MiB).
	Content []byte
}

// CertificateView is a certificate that a person may choose.
type CertificateView struct {
	Key       string    `json:"key"` // store + "/" + key ID
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Serial    string    `json:"serial"` // hex
	Store     string    `json:"store"`
	Where     string    `json:"where"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	DaysLeft  int       `json:"daysLeft"`
	Hardware  bool      `json:"hardware"`
	Problem   string    `json:"problem,omitempty"` // a problem.Code: shown, and cannot be chosen
}

// SigningAnswer is the person's consent: this certificate, for exactly the documents asked about.
type SigningAnswer struct {
	Key string // CertificateView.Key
}

// Notice is something to tell the person.
type Notice struct {
	Kind        NoticeKind
	Origin      Origin
	Certificate *CertificateView
	Documents   int
	Problem     error
	// Copy returns a new key as its store keeps it, encrypted, and a name for the file; nil where no store can copy it.
	Copy func(context.Context) (file []byte, name string, err error)
}

// NoticeKind is what a Notice is about.
type NoticeKind string

// The notices.
const (
	NoticeEnrolled NoticeKind = "enrolled"
	NoticeSigned   NoticeKind = "signed"
	NoticeFailed   NoticeKind = "failed"
)
