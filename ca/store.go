package ca

import (
	"context"
	"errors"
	"time"
)

// ErrNoRow says that a store holds no such row; ErrConflict that a row with that key exists already.
var (
	ErrNoRow    = errors.New("no such row")
	ErrConflict = errors.New("row exists already")
)

// Store keeps everything that the CA remembers. What it returns is believed, so whoever can write to it owns the CA, except
// that the audit log shows a change made behind its back.
type Store interface {
	// Update runs f in one transaction that sees and excludes every other Update. It commits when f returns nil and changes
	// nothing otherwise. f may not wait for anything outside the store.
	Update(ctx context.Context, f func(Tx) error) error
	// View runs f on one consistent state, without writing.
	View(ctx context.Context, f func(Tx) error) error
	Close() error
}

// Tx is one transaction. Times are stored to the microsecond. A missing row is ErrNoRow, a second one ErrConflict.
type Tx interface {
	AccountRows
	IssuanceRows
	StatusRows
	DeskRows

	// Next returns 1, then 2, and so on, for each name.
	Next(name string) (int64, error)
	InsertMail(Mail) error
	MailTo(address string) ([]Mail, error) // newest first, at most 200
	UnsentMail(limit int) ([]Mail, error)
	MarkSent(id int64, at time.Time) error
	InsertAudit(AuditEntry) error
	LastAudit() (AuditEntry, error)
	AuditAfter(sequence int64, limit int) ([]AuditEntry, error)
}

// AccountRows keeps accounts, persons, attempts and one-time codes.
type AccountRows interface {
	InsertAccount(a Account, passwordHash string) (int64, error)
	AccountByID(id int64) (Account, error)
	AccountByEmail(email string) (Account, string, error) // with its password hash; email in lower case
	Accounts() ([]Account, error)
	SetLanguage(id int64, lang string) error
	SetPassword(id int64, passwordHash string) error
	SetPerson(id, personID int64, kind AccountKind) error

	InsertPerson(Person) (int64, error)
	PersonByID(id int64) (Person, error)
	PersonByIdentity(identity string) (Person, error)

	// Attempts are counted by key, for rate limits that survive a restart.
	Attempts(key string, since time.Time) (int, error)
	AddAttempt(key string, at time.Time) error
	ClearAttempts(key string, before time.Time) error

	PutFactor(Factor) error // replaces the one for the same account and purpose
	Factor(accountID int64, purpose string) (Factor, error)
	SetFactorTries(accountID int64, purpose string, tries int) error
	DeleteFactor(accountID int64, purpose string) error

	AcceptTerms(accountID int64, version string, at time.Time) error
	TermsAccepted(accountID int64, version string) (bool, error)
}

// Factor is an e-mailed one-time code, as a keyed hash.
type Factor struct {
	AccountID int64
	Purpose   string
	Hash      []byte
	Tries     int
	Expires   time.Time
}

// IssuanceRows keeps grants, their tokens, intents to sign and certificates.
type IssuanceRows interface {
	InsertEnrolment(EnrolmentRow) error
	EnrolmentByID(id string) (EnrolmentRow, error)
	EnrolmentByCSR(csrSHA256 string) (EnrolmentRow, error)
	EnrolmentsBySPKI(spkiSHA256 string) ([]EnrolmentRow, error)

	InsertToken(TokenRow) error
	TokenByHash(sha256 string) (TokenRow, error)
	// SpendToken marks a token spent and tells whether it was unspent until now; an unknown one is stored as spent.
	SpendToken(id string, at time.Time) (bool, error)
	// ReleaseTokens makes unspent again the unexpired tokens of enrolments for which no intent exists: whoever spent them
	// was stopped before anything could be signed. It returns how many.
	ReleaseTokens(now time.Time) (int64, error)
	DeleteTokens(expiredBefore time.Time) error

	InsertIntent(Intent) error // ErrConflict when serial, enrolment or key has one already
	IntentBySerial(serial string) (Intent, error)
	OpenIntents() ([]Intent, error)
	SetIntentState(serial string, state IntentState, at time.Time) error

	PutIssuer(id string, der []byte) error // keeps the first
	Issuer(id string) ([]byte, error)

	InsertCertificate(CertificateRow) error
	CertificateBySerial(serial string) (CertificateRow, error)
	CertificateByCSR(csrSHA256 string) (CertificateRow, error)
	CertificatesOf(personID int64) ([]CertificateRow, error) // newest first
	AllCertificates(limit int) ([]CertificateRow, error)     // newest first
	SerialsWithPrefix(prefix string, limit int) ([]string, error)
	KeyCertified(spkiSHA256 string) (bool, error)
	CountLive(personID int64, now time.Time) (int, error) // active or suspended, and open intents
	SetStatus(serial string, status Status) error
	SetCodeTries(serial string, tries int) error
}

// StatusRows is what CRLs are made from and kept in.
type StatusRows interface {
	// Touch counts one change of a shard, so that its CRL is no longer the newest truth.
	Touch(shard int) error
	Changes(shard int) (int64, error)
	// Listed returns the revoked and suspended certificates of a shard that had not expired at that moment, by serial.
	Listed(issuerID string, shard int, notExpiredAt time.Time) ([]Listing, error)
	CRL(issuerID string, shard int) (CRLRow, error)
	PutCRL(CRLRow) error
	CountStates(now time.Time) (map[State]int64, error)
}

// DeskRows keeps requests and documents.
type DeskRows interface {
	InsertRequest(Request) error
	RequestByTicket(ticket string) (Request, error)
	RequestsOf(accountID int64) ([]Request, error) // newest first
	RequestsIn(state RequestState, limit int) ([]Request, error)
	OpenRequestsFor(serial string) ([]Request, error)
	UpdateRequest(Request) error

	InsertDocument(Document) error
	DocumentByID(id string) (Document, error)
	DocumentsOf(accountID int64) ([]Document, error) // newest first, without Content, Signed and Receipt
	UpdateDocument(Document) error
	DeleteDocument(id string) error
}

// EnrolmentRow is one decision to issue.
type EnrolmentRow struct {
	ID         string
	AccountID  int64
	PersonID   int64
	CSRSHA256  string // hex
	SPKISHA256 string // hex
	CSR        []byte
	Subject    []byte // the DER name that the certificate must have
	Terms      string
	Created    time.Time
}

// TokenRow is a minted one-time token. Only its hash is kept.
type TokenRow struct {
	ID          string // jti
	EnrolmentID string // "" for a token that was not minted for an enrolment
	SHA256      string // hex, of the token as it was handed out
	Expires     time.Time
	Spent       time.Time // zero until then
}

// IntentState is how far an intent came.
type IntentState string

// The states of an intent. Open ones were about to be signed when their process ended, or are right now.
const (
	IntentOpen      IntentState = "open"
	IntentIssued    IntentState = "issued"
	IntentAbandoned IntentState = "abandoned"
)

// Intent is written before the CA's key signs: exactly these octets and for whom.
type Intent struct {
	Serial      string // hex
	EnrolmentID string
	SPKISHA256  string
	TBS         []byte // the DER tbsCertificate
	IssuerID    string
	PersonID    int64
	Shard       int
	NotAfter    time.Time
	State       IntentState
	Created     time.Time
}

// Status is where a certificate stands, as it is stored. Expired is not stored but follows from notAfter.
type Status struct {
	State     State
	Reason    Reason
	Since     time.Time
	RevokedAt time.Time // zero when good
	HeldBy    string    // the ticket that suspended it, "" when none did
}

// CertificateRow is a certificate as it is stored.
type CertificateRow struct {
	Serial      string
	EnrolmentID string
	IssuerID    string
	PersonID    int64
	AccountID   int64
	DER         []byte
	SPKISHA256  string
	CSRSHA256   string
	Shard       int
	NotAfter    time.Time
	Issued      time.Time
	Terms       string
	KeyOrigin   string // what the agent stated, in JSON; "" for nothing
	Status
	Code      []byte // the verification code, sealed with the code key
	CodeTries int
}

// Listing is one entry of a CRL.
type Listing struct {
	Serial    string
	Reason    Reason
	RevokedAt time.Time
}

// CRLRow is an issued CRL.
type CRLRow struct {
	IssuerID   string
	Shard      int
	Number     int64
	Changes    int64 // of the shard, when it was made
	ThisUpdate time.Time
	NextUpdate time.Time
	DER        []byte
}

// AuditEntry is one line of the audit log. Hash covers every other field and the hash of the entry before.
type AuditEntry struct {
	Sequence int64
	At       time.Time
	Actor    string // "account 4", "operator", "system"
	Action   string // "certificate.issued"
	Subject  string // a serial number, a ticket, an account
	Detail   string
	Hash     []byte
}
