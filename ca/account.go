package ca

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"time"

	"certsign/internal/problem"
)

// Limits on guessing. They are counted in the store, so that a restart forgives nothing.
const (
	loginTries   = 10
	loginWindow  = 15 * time.Minute
	factorTries  = 5
	factorLife   = 10 * time.Minute
	factorSends  = 5
	factorWindow = 15 * time.Minute
)

// The purposes of a second factor.
const (
	PurposeGenerate = "generate"
	PurposeResume   = "resume"
)

// Login checks a password. Wrong login and wrong password are the same login_failed, in the same time; after ten failures
// within 15 minutes the address is rate_limited, whether it has an account or not: except for a device that it knows, which
// has ten failures of its own.
func (c *CA) Login(ctx context.Context, email, password, device string) (*Account, error) {
	email = normalEmail(email)
	if email == "" || len(email) > 254 || len(password) > maxPassword {
		email, password = "-", ""
	}
	key := "login " + email
	if c.KnowsDevice(email, device) {
		key = "device " + device
	}
	var account Account
	var hash string
	var failures int
	err := c.store.View(ctx, func(tx Tx) (err error) {
		if failures, err = tx.Attempts(key, c.now().Add(-loginWindow)); err != nil {
			return err
		}
		account, hash, err = tx.AccountByEmail(email)
		if errors.Is(err, ErrNoRow) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	if failures >= loginTries {
		return nil, problem.New(problem.RateLimited, "too many failed logins for this address; try again in %d minutes", int(loginWindow.Minutes()))
	}
	ok, err := c.passwords.check(ctx, hash, password)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	err = c.store.Update(ctx, func(tx Tx) error {
		if !ok {
			if err := tx.ClearAttempts(key, c.now().Add(-loginWindow)); err != nil {
				return err
			}
			return tx.AddAttempt(key, c.now())
		}
		if err := tx.ClearAttempts(key, c.now().Add(time.Second)); err != nil {
			return err
		}
		return c.audit(tx, actorOf(account.ID), "account.login", account.Email, "")
	})
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	if !ok {
		return nil, problem.New(problem.LoginFailed, "")
	}
	return &account, nil
}

// NewDevice implements Desk.
func (c *CA) NewDevice(email string) string { return c.codes.newDevice(normalEmail(email)) }

// KnowsDevice implements Desk.
func (c *CA) KnowsDevice(email, device string) bool {
	return c.codes.knowsDevice(normalEmail(email), device)
}

// Account returns an account, or not_found.
func (c *CA) Account(ctx context.Context, id int64) (*Account, error) {
	var a Account
	err := c.store.View(ctx, func(tx Tx) (err error) {
		a, err = accountByID(tx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &a, nil
}

func accountByID(tx Tx, id int64) (Account, error) {
	a, err := tx.AccountByID(id)
	return a, notFound(err, "no such account")
}

// SetLanguage sets the language of pages and e-mails: "pl" or "en".
func (c *CA) SetLanguage(ctx context.Context, accountID int64, lang string) error {
	if lang != "pl" && lang != "en" {
		return problem.New(problem.BadRequest, "language is pl or en")
	}
	return c.store.Update(ctx, func(tx Tx) error {
		if _, err := accountByID(tx, accountID); err != nil {
			return err
		}
		return tx.SetLanguage(accountID, lang)
	})
}

// Person returns who an account belongs to; not_found until a person is registered for it.
func (c *CA) Person(ctx context.Context, accountID int64) (*Person, error) {
	var p Person
	err := c.store.View(ctx, func(tx Tx) error {
		a, err := accountByID(tx, accountID)
		if err != nil {
			return err
		}
		if a.PersonID == 0 {
			return problem.New(problem.NotFound, "no person is registered for this account")
		}
		p, err = tx.PersonByID(a.PersonID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &p, nil
}

// Eligibility says whether the account may have a further certificate, and what is missing.
func (c *CA) Eligibility(ctx context.Context, accountID int64) (Eligibility, error) {
	var e Eligibility
	err := c.store.View(ctx, func(tx Tx) (err error) {
		a, err := accountByID(tx, accountID)
		if err != nil {
			return err
		}
		e, _, err = c.eligibility(tx, a)
		return err
	})
	return e, err
}

func (c *CA) eligibility(tx Tx, a Account) (Eligibility, Person, error) {
	e := Eligibility{Max: c.c.MaxCertificates, NeedsExtendedAccount: a.Kind != Extended}
	var p Person
	if a.PersonID != 0 {
		var err error
		if p, err = tx.PersonByID(a.PersonID); err != nil {
			return e, p, err
		}
		live, err := tx.CountLive(p.ID, c.now())
		if err != nil {
			return e, p, err
		}
		e.TooMany = live >= e.Max
	}
	e.NeedsIDSISC = p.IDSISC == ""
	return e, p, nil
}

// SendFactor e-mails a one-time code for one purpose; an earlier one for that purpose is worth nothing from then on. More
// than five codes within 15 minutes are rate_limited.
func (c *CA) SendFactor(ctx context.Context, accountID int64, purpose string) error {
	if purpose != PurposeGenerate && purpose != PurposeResume {
		return problem.New(problem.BadRequest, "no second factor for %q", purpose)
	}
	code, err := newFactor()
	if err != nil {
		return err
	}
	key := fmt.Sprintf("factor %d", accountID)
	return c.store.Update(ctx, func(tx Tx) error {
		a, err := accountByID(tx, accountID)
		if err != nil {
			return err
		}
		n, err := tx.Attempts(key, c.now().Add(-factorWindow))
		if err != nil {
			return err
		}
		if n >= factorSends {
			return problem.New(problem.RateLimited, "%d codes were sent already; try again in %d minutes", n, int(factorWindow.Minutes()))
		}
		if err := tx.ClearAttempts(key, c.now().Add(-factorWindow)); err != nil {
			return err
		}
		if err := tx.AddAttempt(key, c.now()); err != nil {
			return err
		}
		f := Factor{AccountID: a.ID, Purpose: purpose, Hash: c.codes.factorHash(a.ID, purpose, code), Expires: c.now().Add(factorLife)}
		if err := tx.PutFactor(f); err != nil {
			return err
		}
		return c.mail(tx, a, factorMail(purpose, code))
	})
}

// CheckFactor spends the code. second_factor_required when none was sent or it is too old, second_factor_failed when it is
// another; the fifth wrong one spends it too.
func (c *CA) CheckFactor(ctx context.Context, accountID int64, purpose, code string) error {
	code = strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, code)
	outcome := error(nil) // kept outside the transaction: a failed try must be stored
	err := c.store.Update(ctx, func(tx Tx) error {
		f, err := tx.Factor(accountID, purpose)
		if errors.Is(err, ErrNoRow) {
			outcome = problem.New(problem.SecondFactorRequired, "no code was sent, or it was used")
			return nil
		}
		if err != nil {
			return err
		}
		if c.now().After(f.Expires) {
			outcome = problem.New(problem.SecondFactorRequired, "the code is older than %d minutes", int(factorLife.Minutes()))
			return tx.DeleteFactor(accountID, purpose)
		}
		if !constantTimeEqual(f.Hash, c.codes.factorHash(accountID, purpose, code)) {
			if f.Tries++; f.Tries >= factorTries {
				outcome = problem.New(problem.SecondFactorFailed, "wrong code, and no tries are left: have a new one sent")
				return errors.Join(tx.DeleteFactor(accountID, purpose), c.audit(tx, actorOf(accountID), "factor.exhausted", purpose, ""))
			}
			outcome = problem.New(problem.SecondFactorFailed, "wrong code; %d tries left", factorTries-f.Tries)
			return tx.SetFactorTries(accountID, purpose, f.Tries)
		}
		outcome = nil
		return tx.DeleteFactor(accountID, purpose)
	})
	if err != nil {
		return fmt.Errorf("check second factor: %w", err)
	}
	return outcome
}

// NewAccount is what an operator registers.
type NewAccount struct {
	Email    string
	Password string
	Kind     AccountKind
	Role     Role
	Language string
	PersonID int64 // 0 for none
}

// AddAccount registers an account. The password must meet the portal's rules.
func (l *Ledger) AddAccount(ctx context.Context, n NewAccount) (*Account, error) {
	address, err := mail.ParseAddress(n.Email)
	if err != nil || address.Address != n.Email || len(n.Email) > 254 {
		return nil, problem.New(problem.BadRequest, "%q is not an e-mail address", n.Email)
	}
	if err := CheckPasswordRules(n.Password); err != nil {
		return nil, err
	}
	a := Account{Email: normalEmail(n.Email), Kind: n.Kind, Role: n.Role, Language: n.Language, PersonID: n.PersonID, Created: l.now().UTC()}
	switch {
	case a.Kind != Basic && a.Kind != Extended:
		return nil, problem.New(problem.BadRequest, "an account is basic or extended")
	case a.Role != RoleUser && a.Role != RoleHelpDesk:
		return nil, problem.New(problem.BadRequest, "a role is user or helpdesk")
	case a.Language != "pl" && a.Language != "en":
		return nil, problem.New(problem.BadRequest, "language is pl or en")
	}
	hash := HashPassword(n.Password)
	err = l.store.Update(ctx, func(tx Tx) error {
		if n.PersonID != 0 {
			if _, err := tx.PersonByID(n.PersonID); err != nil {
				return notFound(err, "no person %d", n.PersonID)
			}
		}
		id, err := tx.InsertAccount(a, hash)
		if errors.Is(err, ErrConflict) {
			return problem.New(problem.BadRequest, "an account %s exists already", a.Email)
		}
		if err != nil {
			return err
		}
		a.ID = id
		return l.audit(tx, "operator", "account.added", a.Email, "%s %s", a.Kind, a.Role)
	})
	if err != nil {
		return nil, err
	}
	return &a, nil
}

// Accounts lists every account.
func (l *Ledger) Accounts(ctx context.Context) ([]Account, error) {
	var all []Account
	err := l.store.View(ctx, func(tx Tx) (err error) {
		all, err = tx.Accounts()
		return err
	})
	return all, err
}

var (
	// EN 319 412-1, 5.1.3: three letters of type, the country, a hyphen, the identifier.
	identityForm = regexp.MustCompile(`^(PNO|IDC|PAS|TIN)[A-Z]{2}-[A-Z0-9]{1,32}$`)
	idSISCForm   = regexp.MustCompile(`^[A-Z0-9]{17}$`)
	countryForm  = regexp.MustCompile(`^[A-Z]{2}$`)
)

// AddPerson enters a person as the registry knows them.
func (l *Ledger) AddPerson(ctx context.Context, p Person) (*Person, error) {
	switch {
	case !plainName(p.GivenName) || !plainName(p.Surname):
		return nil, problem.New(problem.BadRequest, "given name and surname have 1 to 64 characters")
	case !countryForm.MatchString(p.Country):
		return nil, problem.New(problem.BadRequest, "country is two capital letters")
	case !identityForm.MatchString(p.Identity):
		return nil, problem.New(problem.BadRequest, "identity is written like PNOPL-44051401359, IDCDE-…, PASUA-… or TINPL-…")
	case p.IDSISC != "" && !idSISCForm.MatchString(p.IDSISC):
		return nil, problem.New(problem.BadRequest, "an ID SISC has 17 capital letters and digits")
	}
	if pesel, ok := strings.CutPrefix(p.Identity, "PNOPL-"); ok && !validPESEL(pesel) {
		return nil, problem.New(problem.BadRequest, "the PESEL number's check digit is wrong")
	}
	err := l.store.Update(ctx, func(tx Tx) error {
		id, err := tx.InsertPerson(p)
		if errors.Is(err, ErrConflict) {
			return problem.New(problem.BadRequest, "a person with this identity or ID SISC exists already")
		}
		if err != nil {
			return err
		}
		p.ID = id
		return l.audit(tx, "operator", "person.added", fmt.Sprintf("person %d", id), "")
	})
	if err != nil {
		return nil, err
	}
	return &p, nil
}

// Register links an account to a person and gives it that kind.
func (l *Ledger) Register(ctx context.Context, email string, personID int64, kind AccountKind) error {
	if kind != Basic && kind != Extended {
		return problem.New(problem.BadRequest, "an account is basic or extended")
	}
	return l.store.Update(ctx, func(tx Tx) error {
		a, _, err := tx.AccountByEmail(normalEmail(email))
		if err != nil {
			return notFound(err, "no account %s", email)
		}
		if _, err := tx.PersonByID(personID); err != nil {
			return notFound(err, "no person %d", personID)
		}
		if err := tx.SetPerson(a.ID, personID, kind); err != nil {
			return err
		}
		return l.audit(tx, "operator", "account.registered", a.Email, "person %d, %s", personID, kind)
	})
}

// validPESEL checks the weighted sum of the eleven digits.
func validPESEL(s string) bool {
	if len(s) != 11 {
		return false
	}
	weights := [11]int{1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1}
	sum := 0
	for i, w := range weights {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		sum += w * int(s[i]-'0')
	}
	return sum%10 == 0
}

func plainName(s string) bool {
	n := 0
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return false
		}
		n++
	}
	return n >= 1 && n <= 64 && strings.TrimSpace(s) == s
}

func normalEmail(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

func actorOf(accountID int64) string { return fmt.Sprintf("account %d", accountID) }

// EnsurePerson returns the person with that identity, entering them when they are not there.
func (l *Ledger) EnsurePerson(ctx context.Context, p Person) (*Person, error) {
	var present Person
	err := l.store.View(ctx, func(tx Tx) (err error) {
		present, err = tx.PersonByIdentity(p.Identity)
		return err
	})
	if errors.Is(err, ErrNoRow) {
		return l.AddPerson(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	return &present, nil
}
