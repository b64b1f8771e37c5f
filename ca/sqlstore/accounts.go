package sqlstore

import (
	"database/sql"
	"time"

	"certsign/ca"
)

const accountColumns = `SELECT id, email, kind, role, language, person_id, created_at, password FROM accounts `

// account is a row with its password hash.
type account struct {
	ca.Account
	hash string
}

func scanAccount(r scanner) (a account, err error) {
	var person sql.NullInt64
	var created int64
	err = r.Scan(&a.ID, &a.Email, &a.Kind, &a.Role, &a.Language, &person, &created, &a.hash)
	a.PersonID, a.Created = person.Int64, fromMoment(created)
	return a, err
}

// InsertAccount implements ca.AccountRows.
func (x *tx) InsertAccount(a ca.Account, passwordHash string) (int64, error) {
	id, err := x.Next("account")
	if err != nil {
		return 0, err
	}
	return id, x.exec(`INSERT INTO accounts (id, email, password, kind, role, language, person_id, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		id, a.Email, passwordHash, string(a.Kind), string(a.Role), a.Language, idOrNull(a.PersonID), moment(a.Created))
}

// AccountByID implements ca.AccountRows.
func (x *tx) AccountByID(id int64) (ca.Account, error) {
	a, err := get(x, scanAccount, accountColumns+`WHERE id = $1`, id)
	return a.Account, err
}

// AccountByEmail implements ca.AccountRows.
func (x *tx) AccountByEmail(email string) (ca.Account, string, error) {
	a, err := get(x, scanAccount, accountColumns+`WHERE email = $1`, email)
	return a.Account, a.hash, err
}

// Accounts implements ca.AccountRows.
func (x *tx) Accounts() ([]ca.Account, error) {
	rows, err := list(x, scanAccount, accountColumns+`ORDER BY id`)
	all := make([]ca.Account, len(rows))
	for i, a := range rows {
		all[i] = a.Account
	}
	return all, err
}

// SetLanguage implements ca.AccountRows.
func (x *tx) SetLanguage(id int64, lang string) error {
	return x.execOne(`UPDATE accounts SET language = $2 WHERE id = $1`, id, lang)
}

// SetPassword implements ca.AccountRows.
func (x *tx) SetPassword(id int64, passwordHash string) error {
	return x.execOne(`UPDATE accounts SET password = $2 WHERE id = $1`, id, passwordHash)
}

// SetPerson implements ca.AccountRows.
func (x *tx) SetPerson(id, personID int64, kind ca.AccountKind) error {
	return x.execOne(`UPDATE accounts SET person_id = $2, kind = $3 WHERE id = $1`, id, personID, string(kind))
}

const personColumns = `SELECT id, given_name, surname, country, identity, id_sisc FROM persons `

func scanPerson(r scanner) (p ca.Person, err error) {
	var sisc sql.NullString
	err = r.Scan(&p.ID, &p.GivenName, &p.Surname, &p.Country, &p.Identity, &sisc)
	p.IDSISC = sisc.String
	return p, err
}

// InsertPerson implements ca.AccountRows.
func (x *tx) InsertPerson(p ca.Person) (int64, error) {
	id, err := x.Next("person")
	if err != nil {
		return 0, err
	}
	return id, x.exec(`INSERT INTO persons (id, given_name, surname, country, identity, id_sisc) VALUES ($1, $2, $3, $4, $5, $6)`,
		id, p.GivenName, p.Surname, p.Country, p.Identity, orNull(p.IDSISC))
}

// PersonByID implements ca.AccountRows.
func (x *tx) PersonByID(id int64) (ca.Person, error) {
	return get(x, scanPerson, personColumns+`WHERE id = $1`, id)
}

// PersonByIdentity implements ca.AccountRows.
func (x *tx) PersonByIdentity(identity string) (ca.Person, error) {
	return get(x, scanPerson, personColumns+`WHERE identity = $1`, identity)
}

// Attempts implements ca.AccountRows.
func (x *tx) Attempts(key string, since time.Time) (int, error) {
	var n int
	err := x.one(`SELECT count(*) FROM attempts WHERE key = $1 AND at > $2`, []any{key, moment(since)}, &n)
	return n, err
}

// AddAttempt implements ca.AccountRows.
func (x *tx) AddAttempt(key string, at time.Time) error {
	return x.exec(`INSERT INTO attempts (key, at) VALUES ($1, $2)`, key, moment(at))
}

// ClearAttempts implements ca.AccountRows.
func (x *tx) ClearAttempts(key string, before time.Time) error {
	return x.exec(`DELETE FROM attempts WHERE key = $1 AND at < $2`, key, moment(before))
}

// PutFactor implements ca.AccountRows.
func (x *tx) PutFactor(f ca.Factor) error {
	return x.exec(`INSERT INTO factors (account_id, purpose, hash, tries, expires_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account_id, purpose) DO UPDATE SET hash = excluded.hash, tries = excluded.tries, expires_at = excluded.expires_at`,
		f.AccountID, f.Purpose, f.Hash, f.Tries, moment(f.Expires))
}

// Factor implements ca.AccountRows.
func (x *tx) Factor(accountID int64, purpose string) (ca.Factor, error) {
	f := ca.Factor{AccountID: accountID, Purpose: purpose}
	var expires int64
	err := x.one(`SELECT hash, tries, expires_at FROM factors WHERE account_id = $1 AND purpose = $2`, []any{accountID, purpose},
		&f.Hash, &f.Tries, &expires)
	f.Expires = fromMoment(expires)
	return f, err
}

// SetFactorTries implements ca.AccountRows.
func (x *tx) SetFactorTries(accountID int64, purpose string, tries int) error {
	return x.execOne(`UPDATE factors SET tries = $3 WHERE account_id = $1 AND purpose = $2`, accountID, purpose, tries)
}

// DeleteFactor implements ca.AccountRows.
func (x *tx) DeleteFactor(accountID int64, purpose string) error {
	return x.exec(`DELETE FROM factors WHERE account_id = $1 AND purpose = $2`, accountID, purpose)
}

// AcceptTerms implements ca.AccountRows.
func (x *tx) AcceptTerms(accountID int64, version string, at time.Time) error {
	return x.exec(`INSERT INTO terms (account_id, version, at) VALUES ($1, $2, $3)
		ON CONFLICT (account_id, version) DO UPDATE SET at = excluded.at`, accountID, version, moment(at))
}

// TermsAccepted implements ca.AccountRows.
func (x *tx) TermsAccepted(accountID int64, version string) (bool, error) {
	var n int
	err := x.one(`SELECT count(*) FROM terms WHERE account_id = $1 AND version = $2`, []any{accountID, version}, &n)
	return n > 0, err
}
