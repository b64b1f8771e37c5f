package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"certsign/ca"
)

// tx is one transaction.
type tx struct {
	ctx context.Context
	t   *sql.Tx
}

var _ ca.Tx = (*tx)(nil)

func (x *tx) exec(query string, args ...any) error {
	_, err := x.t.ExecContext(x.ctx, query, args...)
	return translate(err)
}

// execOne is exec for a statement that must change exactly one row.
func (x *tx) execOne(query string, args ...any) error {
	n, err := x.count(query, args...)
	if err == nil && n != 1 {
		err = fmt.Errorf("%w: %d rows changed", ca.ErrNoRow, n)
	}
	return err
}

func (x *tx) count(query string, args ...any) (int64, error) {
	r, err := x.t.ExecContext(x.ctx, query, args...)
	if err != nil {
		return 0, translate(err)
	}
	return r.RowsAffected()
}

// one reads a single row of plain columns.
func (x *tx) one(query string, args []any, into ...any) error {
	return translate(x.t.QueryRowContext(x.ctx, query, args...).Scan(into...))
}

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(into ...any) error }

// get reads a single row with a scan function.
func get[T any](x *tx, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	v, err := scan(x.t.QueryRowContext(x.ctx, query, args...))
	return v, translate(err)
}

// list reads all rows with a scan function.
func list[T any](x *tx, scan func(scanner) (T, error), query string, args ...any) (all []T, err error) {
	rows, err := x.t.QueryContext(x.ctx, query, args...)
	if err != nil {
		return nil, translate(err)
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// moment is a time as it is stored: microseconds since 1970, 0 for the zero time.
func moment(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMoment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// orNull stores "" as NULL, so that unique columns may be empty more than once.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func idOrNull(id int64) any {
	if id == 0 {
		return nil
	}
	return id
}

// Next implements ca.Tx.
func (x *tx) Next(name string) (int64, error) {
	var n int64
	err := x.one(`INSERT INTO sequences (name, value) VALUES ($1, 1)
		ON CONFLICT (name) DO UPDATE SET value = sequences.value + 1 RETURNING value`, []any{name}, &n)
	return n, err
}

// InsertMail implements ca.Tx.
func (x *tx) InsertMail(m ca.Mail) error {
	return x.exec(`INSERT INTO mail (id, address, subject, text, created_at, sent_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		m.ID, m.To, m.Subject, m.Text, moment(m.Created), moment(m.Sent))
}

const mailColumns = `SELECT id, address, subject, text, created_at, sent_at FROM mail `

func scanMail(r scanner) (m ca.Mail, err error) {
	var created, sent int64
	err = r.Scan(&m.ID, &m.To, &m.Subject, &m.Text, &created, &sent)
	m.Created, m.Sent = fromMoment(created), fromMoment(sent)
	return m, err
}

// MailTo implements ca.Tx.
func (x *tx) MailTo(address string) ([]ca.Mail, error) {
	return list(x, scanMail, mailColumns+`WHERE address = $1 ORDER BY id DESC LIMIT 200`, address)
}

// UnsentMail implements ca.Tx.
func (x *tx) UnsentMail(limit int) ([]ca.Mail, error) {
	return list(x, scanMail, mailColumns+`WHERE sent_at = 0 ORDER BY id LIMIT $1`, limit)
}

// MarkSent implements ca.Tx.
func (x *tx) MarkSent(id int64, at time.Time) error {
	return x.execOne(`UPDATE mail SET sent_at = $2 WHERE id = $1`, id, moment(at))
}

const auditColumns = `SELECT sequence, at, actor, action, subject, detail, hash FROM audit `

func scanAudit(r scanner) (e ca.AuditEntry, err error) {
	var at int64
	err = r.Scan(&e.Sequence, &at, &e.Actor, &e.Action, &e.Subject, &e.Detail, &e.Hash)
	e.At = fromMoment(at)
	return e, err
}

// InsertAudit implements ca.Tx.
func (x *tx) InsertAudit(e ca.AuditEntry) error {
	return x.exec(`INSERT INTO audit (sequence, at, actor, action, subject, detail, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		e.Sequence, moment(e.At), e.Actor, e.Action, e.Subject, e.Detail, e.Hash)
}

// LastAudit implements ca.Tx.
func (x *tx) LastAudit() (ca.AuditEntry, error) {
	return get(x, scanAudit, auditColumns+`ORDER BY sequence DESC LIMIT 1`)
}

// AuditAfter implements ca.Tx.
func (x *tx) AuditAfter(sequence int64, limit int) ([]ca.AuditEntry, error) {
	return list(x, scanAudit, auditColumns+`WHERE sequence > $1 ORDER BY sequence LIMIT $2`, sequence, limit)
}

// prefixEnd is the first string after all that begin with the prefix, for hexadecimal text.
func prefixEnd(prefix string) string { return prefix + "g" }
