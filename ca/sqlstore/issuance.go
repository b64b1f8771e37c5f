package sqlstore

import (
	"database/sql"
	"time"

	"certsign/ca"
)

const enrolmentColumns = `SELECT id, account_id, person_id, csr_sha256, spki_sha256, csr, subject, terms, created_at FROM enrolments `

func scanEnrolment(r scanner) (e ca.EnrolmentRow, err error) {
	var created int64
	err = r.Scan(&e.ID, &e.AccountID, &e.PersonID, &e.CSRSHA256, &e.SPKISHA256, &e.CSR, &e.Subject, &e.Terms, &created)
	e.Created = fromMoment(created)
	return e, err
}

// InsertEnrolment implements ca.IssuanceRows.
func (x *tx) InsertEnrolment(e ca.EnrolmentRow) error {
	return x.exec(`INSERT INTO enrolments (id, account_id, person_id, csr_sha256, spki_sha256, csr, subject, terms, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		e.ID, e.AccountID, e.PersonID, e.CSRSHA256, e.SPKISHA256, e.CSR, e.Subject, e.Terms, moment(e.Created))
}

// EnrolmentByID implements ca.IssuanceRows.
func (x *tx) EnrolmentByID(id string) (ca.EnrolmentRow, error) {
	return get(x, scanEnrolment, enrolmentColumns+`WHERE id = $1`, id)
}

// EnrolmentByCSR implements ca.IssuanceRows.
func (x *tx) EnrolmentByCSR(csrSHA256 string) (ca.EnrolmentRow, error) {
	return get(x, scanEnrolment, enrolmentColumns+`WHERE csr_sha256 = $1`, csrSHA256)
}

// EnrolmentsBySPKI implements ca.IssuanceRows.
func (x *tx) EnrolmentsBySPKI(spkiSHA256 string) ([]ca.EnrolmentRow, error) {
	return list(x, scanEnrolment, enrolmentColumns+`WHERE spki_sha256 = $1 ORDER BY created_at`, spkiSHA256)
}

// InsertToken implements ca.IssuanceRows.
func (x *tx) InsertToken(t ca.TokenRow) error {
	return x.exec(`INSERT INTO tokens (id, enrolment_id, sha256, expires_at, spent_at) VALUES ($1, $2, $3, $4, $5)`,
		t.ID, orNull(t.EnrolmentID), orNull(t.SHA256), moment(t.Expires), moment(t.Spent))
}

// TokenByHash implements ca.IssuanceRows.
func (x *tx) TokenByHash(sha256 string) (ca.TokenRow, error) {
	var t ca.TokenRow
	var enrolment sql.NullString
	var expires, spent int64
	err := x.one(`SELECT id, enrolment_id, expires_at, spent_at FROM tokens WHERE sha256 = $1`, []any{sha256}, &t.ID, &enrolment, &expires, &spent)
	t.EnrolmentID, t.SHA256, t.Expires, t.Spent = enrolment.String, sha256, fromMoment(expires), fromMoment(spent)
	return t, err
}

// SpendToken implements ca.IssuanceRows.
func (x *tx) SpendToken(id string, at time.Time) (bool, error) {
	n, err := x.count(`INSERT INTO tokens (id, enrolment_id, sha256, expires_at, spent_at) VALUES ($1, NULL, NULL, $2, $2)
		ON CONFLICT (id) DO UPDATE SET spent_at = excluded.spent_at WHERE tokens.spent_at = 0`, id, moment(at))
	return n == 1, err
}

// ReleaseTokens implements ca.IssuanceRows.
func (x *tx) ReleaseTokens(now time.Time) (int64, error) {
	return x.count(`UPDATE tokens SET spent_at = 0 WHERE spent_at <> 0 AND expires_at > $1 AND enrolment_id IS NOT NULL
		AND NOT EXISTS (SELECT 1 FROM intents WHERE intents.enrolment_id = tokens.enrolment_id)`, moment(now))
}

// DeleteTokens implements ca.IssuanceRows. Tokens of enrolments stay: whoever holds one may still ask for the certificate.
func (x *tx) DeleteTokens(expiredBefore time.Time) error {
	return x.exec(`DELETE FROM tokens WHERE enrolment_id IS NULL AND expires_at < $1`, moment(expiredBefore))
}

const intentColumns = `SELECT serial, enrolment_id, spki_sha256, tbs, issuer_id, person_id, shard, not_after, state, created_at FROM intents `

func scanIntent(r scanner) (i ca.Intent, err error) {
	var after, created int64
	err = r.Scan(&i.Serial, &i.EnrolmentID, &i.SPKISHA256, &i.TBS, &i.IssuerID, &i.PersonID, &i.Shard, &after, &i.State, &created)
	i.NotAfter, i.Created = fromMoment(after), fromMoment(created)
	return i, err
}

// InsertIntent implements ca.IssuanceRows.
func (x *tx) InsertIntent(i ca.Intent) error {
	return x.exec(`INSERT INTO intents (serial, enrolment_id, spki_sha256, tbs, issuer_id, person_id, shard, not_after, state, created_at, decided_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0)`,
		i.Serial, i.EnrolmentID, i.SPKISHA256, i.TBS, i.IssuerID, i.PersonID, i.Shard, moment(i.NotAfter), string(i.State), moment(i.Created))
}

// IntentBySerial implements ca.IssuanceRows.
func (x *tx) IntentBySerial(serial string) (ca.Intent, error) {
	return get(x, scanIntent, intentColumns+`WHERE serial = $1`, serial)
}

// OpenIntents implements ca.IssuanceRows.
func (x *tx) OpenIntents() ([]ca.Intent, error) {
	return list(x, scanIntent, intentColumns+`WHERE state = 'open' ORDER BY created_at`)
}

// SetIntentState implements ca.IssuanceRows.
func (x *tx) SetIntentState(serial string, state ca.IntentState, at time.Time) error {
	return x.execOne(`UPDATE intents SET state = $2, decided_at = $3 WHERE serial = $1 AND state = 'open'`, serial, string(state), moment(at))
}

// PutIssuer implements ca.IssuanceRows.
func (x *tx) PutIssuer(id string, der []byte) error {
	return x.exec(`INSERT INTO issuers (id, der) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, id, der)
}

// Issuer implements ca.IssuanceRows.
func (x *tx) Issuer(id string) ([]byte, error) {
	var der []byte
	err := x.one(`SELECT der FROM issuers WHERE id = $1`, []any{id}, &der)
	return der, err
}

const certificateColumns = `SELECT serial, enrolment_id, issuer_id, person_id, account_id, der, spki_sha256, csr_sha256, shard,
	not_after, issued_at, terms, key_origin, state, reason, since, revoked_at, held_by, code, code_tries FROM certificates `

func scanCertificate(r scanner) (c ca.CertificateRow, err error) {
	var after, issued, since, revoked int64
	err = r.Scan(&c.Serial, &c.EnrolmentID, &c.IssuerID, &c.PersonID, &c.AccountID, &c.DER, &c.SPKISHA256, &c.CSRSHA256, &c.Shard,
		&after, &issued, &c.Terms, &c.KeyOrigin, &c.State, &c.Reason, &since, &revoked, &c.HeldBy, &c.Code, &c.CodeTries)
	c.NotAfter, c.Issued, c.Since, c.RevokedAt = fromMoment(after), fromMoment(issued), fromMoment(since), fromMoment(revoked)
	return c, err
}

// InsertCertificate implements ca.IssuanceRows.
func (x *tx) InsertCertificate(c ca.CertificateRow) error {
	return x.exec(`INSERT INTO certificates (serial, enrolment_id, issuer_id, person_id, account_id, der, spki_sha256, csr_sha256, shard,
		not_after, issued_at, terms, key_origin, state, reason, since, revoked_at, held_by, code, code_tries)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
		c.Serial, c.EnrolmentID, c.IssuerID, c.PersonID, c.AccountID, c.DER, c.SPKISHA256, c.CSRSHA256, c.Shard,
		moment(c.NotAfter), moment(c.Issued), c.Terms, c.KeyOrigin, string(c.State), int(c.Reason), moment(c.Since), moment(c.RevokedAt), c.HeldBy, c.Code, c.CodeTries)
}

// CertificateBySerial implements ca.IssuanceRows.
func (x *tx) CertificateBySerial(serial string) (ca.CertificateRow, error) {
	return get(x, scanCertificate, certificateColumns+`WHERE serial = $1`, serial)
}

// CertificateByCSR implements ca.IssuanceRows.
func (x *tx) CertificateByCSR(csrSHA256 string) (ca.CertificateRow, error) {
	return get(x, scanCertificate, certificateColumns+`WHERE csr_sha256 = $1`, csrSHA256)
}

// CertificatesOf implements ca.IssuanceRows.
func (x *tx) CertificatesOf(personID int64) ([]ca.CertificateRow, error) {
	return list(x, scanCertificate, certificateColumns+`WHERE person_id = $1 ORDER BY issued_at DESC, serial`, personID)
}

// AllCertificates implements ca.IssuanceRows.
func (x *tx) AllCertificates(limit int) ([]ca.CertificateRow, error) {
	return list(x, scanCertificate, certificateColumns+`ORDER BY issued_at DESC, serial LIMIT $1`, limit)
}

func scanText(r scanner) (s string, err error) {
	err = r.Scan(&s)
	return s, err
}

// SerialsWithPrefix implements ca.IssuanceRows.
func (x *tx) SerialsWithPrefix(prefix string, limit int) ([]string, error) {
	return list(x, scanText, `SELECT serial FROM certificates WHERE serial >= $1 AND serial < $2 ORDER BY serial LIMIT $3`,
		prefix, prefixEnd(prefix), limit)
}

// KeyCertified implements ca.IssuanceRows.
func (x *tx) KeyCertified(spkiSHA256 string) (bool, error) {
	var n int
	err := x.one(`SELECT count(*) FROM intents WHERE spki_sha256 = $1 AND state <> 'abandoned'`, []any{spkiSHA256}, &n)
	return n > 0, err
}

// CountLive implements ca.IssuanceRows.
func (x *tx) CountLive(personID int64, now time.Time) (int, error) {
	var n int
	err := x.one(`SELECT (SELECT count(*) FROM certificates WHERE person_id = $1 AND state <> 'revoked' AND not_after > $2)
		+ (SELECT count(*) FROM intents WHERE person_id = $1 AND state = 'open')`, []any{personID, moment(now)}, &n)
	return n, err
}

// SetStatus implements ca.IssuanceRows.
func (x *tx) SetStatus(serial string, s ca.Status) error {
	return x.execOne(`UPDATE certificates SET state = $2, reason = $3, since = $4, revoked_at = $5, held_by = $6 WHERE serial = $1`,
		serial, string(s.State), int(s.Reason), moment(s.Since), moment(s.RevokedAt), s.HeldBy)
}

// SetCodeTries implements ca.IssuanceRows.
func (x *tx) SetCodeTries(serial string, tries int) error {
	return x.execOne(`UPDATE certificates SET code_tries = $2 WHERE serial = $1`, serial, tries)
}
