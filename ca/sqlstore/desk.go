package sqlstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"certsign/ca"
)

// Touch implements ca.StatusRows.
func (x *tx) Touch(shard int) error {
	return x.exec(`INSERT INTO shards (shard, changes) VALUES ($1, 1) ON CONFLICT (shard) DO UPDATE SET changes = shards.changes + 1`, shard)
}

// Changes implements ca.StatusRows.
func (x *tx) Changes(shard int) (int64, error) {
	var n int64
	err := x.one(`SELECT changes FROM shards WHERE shard = $1`, []any{shard}, &n)
	if errors.Is(err, ca.ErrNoRow) {
		return 0, nil
	}
	return n, err
}

func scanListing(r scanner) (l ca.Listing, err error) {
	var at int64
	err = r.Scan(&l.Serial, &l.Reason, &at)
	l.RevokedAt = fromMoment(at)
	return l, err
}

// Listed implements ca.StatusRows.
func (x *tx) Listed(issuerID string, shard int, notExpiredAt time.Time) ([]ca.Listing, error) {
	return list(x, scanListing, `SELECT serial, reason, revoked_at FROM certificates
		WHERE issuer_id = $1 AND shard = $2 AND state <> 'active' AND not_after > $3 ORDER BY serial`, issuerID, shard, moment(notExpiredAt))
}

// CRL implements ca.StatusRows.
func (x *tx) CRL(issuerID string, shard int) (ca.CRLRow, error) {
	c := ca.CRLRow{IssuerID: issuerID, Shard: shard}
	var this, next int64
	err := x.one(`SELECT number, changes, this_update, next_update, der FROM crls WHERE issuer_id = $1 AND shard = $2`, []any{issuerID, shard},
		&c.Number, &c.Changes, &this, &next, &c.DER)
	c.ThisUpdate, c.NextUpdate = fromMoment(this), fromMoment(next)
	return c, err
}

// PutCRL implements ca.StatusRows.
func (x *tx) PutCRL(c ca.CRLRow) error {
	return x.exec(`INSERT INTO crls (issuer_id, shard, number, changes, this_update, next_update, der) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (issuer_id, shard) DO UPDATE SET number = excluded.number, changes = excluded.changes,
		this_update = excluded.this_update, next_update = excluded.next_update, der = excluded.der`,
		c.IssuerID, c.Shard, c.Number, c.Changes, moment(c.ThisUpdate), moment(c.NextUpdate), c.DER)
}

// CountStates implements ca.StatusRows.
func (x *tx) CountStates(now time.Time) (map[ca.State]int64, error) {
	type count struct {
		state ca.State
		n     int64
	}
	rows, err := list(x, func(r scanner) (c count, err error) {
		err = r.Scan(&c.state, &c.n)
		return c, err
	}, `SELECT CASE WHEN state <> 'revoked' AND not_after <= $1 THEN 'expired' ELSE state END AS present, count(*)
		FROM certificates GROUP BY present`, moment(now))
	counts := map[ca.State]int64{}
	for _, r := range rows {
		counts[r.state] = r.n
	}
	return counts, err
}

const requestColumns = `SELECT ticket, kind, serial, account_id, reason, state, held, comment, decided_by, created_at, decided_at FROM requests `

func scanRequest(r scanner) (q ca.Request, err error) {
	var created, decided int64
	err = r.Scan(&q.Ticket, &q.Kind, &q.Serial, &q.AccountID, &q.Reason, &q.State, &q.Held, &q.Comment, &q.DecidedBy, &created, &decided)
	q.Created, q.Decided = fromMoment(created), fromMoment(decided)
	return q, err
}

// InsertRequest implements ca.DeskRows.
func (x *tx) InsertRequest(q ca.Request) error {
	return x.exec(`INSERT INTO requests (ticket, kind, serial, account_id, reason, state, held, comment, decided_by, created_at, decided_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		q.Ticket, string(q.Kind), q.Serial, q.AccountID, string(q.Reason), string(q.State), q.Held, q.Comment, q.DecidedBy, moment(q.Created), moment(q.Decided))
}

// RequestByTicket implements ca.DeskRows.
func (x *tx) RequestByTicket(ticket string) (ca.Request, error) {
	return get(x, scanRequest, requestColumns+`WHERE ticket = $1`, ticket)
}

// RequestsOf implements ca.DeskRows.
func (x *tx) RequestsOf(accountID int64) ([]ca.Request, error) {
	return list(x, scanRequest, requestColumns+`WHERE account_id = $1 ORDER BY created_at DESC, ticket DESC`, accountID)
}

// RequestsIn implements ca.DeskRows.
func (x *tx) RequestsIn(state ca.RequestState, limit int) ([]ca.Request, error) {
	return list(x, scanRequest, requestColumns+`WHERE state = $1 ORDER BY created_at, ticket LIMIT $2`, string(state), limit)
}

// OpenRequestsFor implements ca.DeskRows.
func (x *tx) OpenRequestsFor(serial string) ([]ca.Request, error) {
	return list(x, scanRequest, requestColumns+`WHERE serial = $1 AND state = 'submitted' ORDER BY created_at, ticket`, serial)
}

// UpdateRequest implements ca.DeskRows.
func (x *tx) UpdateRequest(q ca.Request) error {
	return x.execOne(`UPDATE requests SET state = $2, held = $3, comment = $4, decided_by = $5, decided_at = $6 WHERE ticket = $1`,
		q.Ticket, string(q.State), q.Held, q.Comment, q.DecidedBy, moment(q.Decided))
}

// InsertDocument implements ca.DeskRows.
func (x *tx) InsertDocument(d ca.Document) error {
	report, err := encodeReport(d)
	if err != nil {
		return err
	}
	return x.exec(`INSERT INTO documents (id, account_id, name, mime, state, reference, problem, detail, report, created_at, sent_at, content, signed, receipt)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		d.ID, d.AccountID, d.Name, d.MIME, string(d.State), d.Reference, d.Problem, d.Detail, report, moment(d.Created), moment(d.Sent),
		d.Content, bytesOrNull(d.Signed), bytesOrNull(d.Receipt))
}

func bytesOrNull(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func encodeReport(d ca.Document) (string, error) {
	if d.Report == nil {
		return "", nil
	}
	b, err := json.Marshal(d.Report)
	if err != nil {
		return "", fmt.Errorf("report of document %s: %w", d.ID, err)
	}
	return string(b), nil
}

const documentColumns = `id, account_id, name, mime, state, reference, problem, detail, report, created_at, sent_at`

func documentFields(d *ca.Document, report *string, created, sent *int64) []any {
	return []any{&d.ID, &d.AccountID, &d.Name, &d.MIME, &d.State, &d.Reference, &d.Problem, &d.Detail, report, created, sent}
}

func finishDocument(d *ca.Document, report string, created, sent int64) error {
	d.Created, d.Sent = fromMoment(created), fromMoment(sent)
	if report == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(report), &d.Report); err != nil {
		return fmt.Errorf("report of document %s: %w", d.ID, err)
	}
	return nil
}

func scanWholeDocument(r scanner) (d ca.Document, err error) {
	var report string
	var created, sent int64
	if err = r.Scan(append(documentFields(&d, &report, &created, &sent), &d.Content, &d.Signed, &d.Receipt)...); err != nil {
		return d, err
	}
	return d, finishDocument(&d, report, created, sent)
}

func scanDocument(r scanner) (d ca.Document, err error) {
	var report string
	var created, sent int64
	if err = r.Scan(documentFields(&d, &report, &created, &sent)...); err != nil {
		return d, err
	}
	return d, finishDocument(&d, report, created, sent)
}

// DocumentByID implements ca.DeskRows.
func (x *tx) DocumentByID(id string) (ca.Document, error) {
	return get(x, scanWholeDocument, `SELECT `+documentColumns+`, content, signed, receipt FROM documents WHERE id = $1`, id)
}

// DocumentsOf implements ca.DeskRows.
func (x *tx) DocumentsOf(accountID int64) ([]ca.Document, error) {
	return list(x, scanDocument, `SELECT `+documentColumns+` FROM documents WHERE account_id = $1 ORDER BY created_at DESC, id`, accountID)
}

// DeleteDocument implements ca.DeskRows.
func (x *tx) DeleteDocument(id string) error {
	return x.execOne(`DELETE FROM documents WHERE id = $1`, id)
}

// UpdateDocument implements ca.DeskRows.
func (x *tx) UpdateDocument(d ca.Document) error {
	report, err := encodeReport(d)
	if err != nil {
		return err
	}
	return x.execOne(`UPDATE documents SET state = $2, reference = $3, problem = $4, detail = $5, report = $6, sent_at = $7, signed = $8, receipt = $9 WHERE id = $1`,
		d.ID, string(d.State), d.Reference, d.Problem, d.Detail, report, moment(d.Sent), bytesOrNull(d.Signed), bytesOrNull(d.Receipt))
}
