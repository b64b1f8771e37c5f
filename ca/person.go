package ca

import "time"

// Person is a natural person as the registry (SZPROT in the real world) knows them. Certificates are issued to persons,
// never to the entities that they represent.
type Person struct {
	ID        int64
	GivenName string
	Surname   string
	Country   string // ISO 3166-1 alpha-2, of the identity document
	// Identity is the subject serialNumber as EN 319 412-1, 5.1.3 writes it: PNOPL-44051401359, IDCDE-…, PASUA-…, TINPL-…
	Identity string
	IDSISC   string // 17 characters; "" until the person is registered
}

// FullName returns given name and surname.
func (p Person) FullName() string { return p.GivenName + " " + p.Surname }

// AccountKind is an account's scope of rights.
type AccountKind string

// The kinds.
const (
	Basic    AccountKind = "basic"
	Extended AccountKind = "extended"
)

// Role is what an account may do beside its own affairs.
type Role string

// The roles.
const (
	RoleUser     Role = "user"
	RoleHelpDesk Role = "helpdesk"
)

// Account is a portal login. Its e-mail address is its login name and the address that messages go to.
type Account struct {
	ID       int64
	Email    string
	Kind     AccountKind
	Role     Role
	Language string // "pl" or "en"
	PersonID int64  // 0 until a person is registered
	Created  time.Time
}

// Eligibility says whether an account may have a customs certificate, and if not, why: each flag is one thing to do.
type Eligibility struct {
	NeedsExtendedAccount bool
	NeedsIDSISC          bool
	TooMany              bool // Max certificates are active already
	Max                  int
}

// OK tells whether nothing is missing.
func (e Eligibility) OK() bool { return !e.NeedsExtendedAccount && !e.NeedsIDSISC && !e.TooMany }
