package ca

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"certsign/internal/problem"
)

// LedgerConfig is what a ledger works with.
type LedgerConfig struct {
	Store Store // required
	// CodeKey, 32 octets, encrypts verification codes and keys the hashes of one-time codes. Without it no code can be
	// printed or checked again.
	CodeKey []byte
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	Log *slog.Logger
}

// Ledger is the CA's book. Issuers write to it before and after they sign, status services read it. It is safe for
// concurrent use.
type Ledger struct {
	store           Store
	codes           *codebook
	now             func() time.Time
	log             *slog.Logger
	maxCertificates int
	changed         []func(shard int)
}

// NewLedger returns the ledger over a store.
func NewLedger(c LedgerConfig) (*Ledger, error) {
	if c.Store == nil {
		return nil, errors.New("ca: no store")
	}
	codes, err := newCodebook(c.CodeKey)
	if err != nil {
		return nil, err
	}
	l := &Ledger{store: c.Store, codes: codes, now: c.Now, log: c.Log, maxCertificates: 3}
	if l.now == nil {
		l.now = time.Now
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	return l, nil
}

// OnChange has f called after each committed change of a shard's contents. Call it before the ledger is used.
func (l *Ledger) OnChange(f func(shard int)) { l.changed = append(l.changed, f) }

func (l *Ledger) tell(shards ...int) {
	for _, s := range shards {
		for _, f := range l.changed {
			f(s)
		}
	}
}

// SerialHex writes a serial number as this package does everywhere: lower-case hex, two digits to the octet.
func SerialHex(serial interface{ Bytes() []byte }) string { return hex.EncodeToString(serial.Bytes()) }

// ParseSerial reads a serial number that a person typed: hex, with or without 0x, colons or blanks.
func ParseSerial(s string) (string, error) {
	s = strings.ToLower(strings.NewReplacer(":", "", " ", "", "\u00a0", "").Replace(strings.TrimSpace(s)))
	s = strings.TrimPrefix(s, "0x")
	if len(s)%2 == 1 {
		s = "0" + s
	}
	if len(s) == 0 || len(s) > 40 {
		return "", problem.New(problem.BadRequest, "a serial number has 1 to 40 hexadecimal digits")
	}
	if _, err := hex.DecodeString(s); err != nil {
		return "", problem.New(problem.BadRequest, "a serial number has 1 to 40 hexadecimal digits")
	}
	return s, nil
}

// IssuerID names an issuer's certificate in the ledger: the SHA-256 of its subject and key, so that a certificate renewed
// under the same name and key stays the same issuer.
func IssuerID(c *x509.Certificate) string {
	h := sha256.New()
	h.Write(c.RawSubject)
	h.Write(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(h.Sum(nil))
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// certificate turns a row into the certificate that callers see, with its state at this moment.
func (l *Ledger) certificate(tx Tx, row CertificateRow) (*Certificate, error) {
	parsed, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return nil, fmt.Errorf("stored certificate %s: %w", row.Serial, err)
	}
	issuer, err := tx.Issuer(row.IssuerID)
	if err != nil {
		return nil, fmt.Errorf("issuer of certificate %s: %w", row.Serial, err)
	}
	origin, err := storedOrigin(row.KeyOrigin)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", row.Serial, err)
	}
	c := &Certificate{
		Serial: row.Serial, PersonID: row.PersonID, AccountID: row.AccountID, DER: row.DER, X509: parsed,
		Chain: [][]byte{issuer}, Shard: row.Shard, State: row.State, Reason: row.Reason, Since: row.Since,
		RevokedAt: row.RevokedAt, Issued: row.Issued, CSRSHA256: row.CSRSHA256, Terms: row.Terms, KeyOrigin: origin,
	}
	if s := stateAt(row, l.now()); s != row.State {
		c.State, c.Since = s, row.NotAfter
	}
	return c, nil
}

// stateAt is the state with expiry taken into account. A revoked certificate stays revoked.
func stateAt(row CertificateRow, now time.Time) State {
	if row.State != Revoked && now.After(row.NotAfter) {
		return Expired
	}
	return row.State
}

// Find returns the certificate with that serial number, or the problem not_found.
func (l *Ledger) Find(ctx context.Context, serial string) (*Certificate, error) {
	var c *Certificate
	err := l.store.View(ctx, func(tx Tx) error {
		row, err := tx.CertificateBySerial(serial)
		if err != nil {
			return notFound(err, "no certificate with serial number %s", serial)
		}
		c, err = l.certificate(tx, row)
		return err
	})
	return c, err
}

// FindByPrefix returns the certificate whose serial number begins with what a person typed: bad_request when several do.
func (l *Ledger) FindByPrefix(ctx context.Context, typed string) (*Certificate, error) {
	prefix := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(strings.TrimPrefix(strings.TrimSpace(typed), "0x")))
	if prefix == "" || strings.Trim(prefix, "0123456789abcdef") != "" {
		return nil, problem.New(problem.BadRequest, "a serial number is hexadecimal")
	}
	var serials []string
	err := l.store.View(ctx, func(tx Tx) (err error) {
		serials, err = tx.SerialsWithPrefix(prefix, 2)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case len(serials) == 0:
		return nil, problem.New(problem.NotFound, "no certificate with serial number %s…", prefix)
	case len(serials) > 1:
		return nil, problem.New(problem.BadRequest, "several serial numbers begin with %s", prefix)
	}
	return l.Find(ctx, serials[0])
}

// All returns the certificates in a state, or all with state "", newest first.
func (l *Ledger) All(ctx context.Context, state State, limit int) ([]Certificate, error) {
	var all []Certificate
	err := l.store.View(ctx, func(tx Tx) error {
		rows, err := tx.AllCertificates(limit)
		if err != nil {
			return err
		}
		for _, row := range rows {
			c, err := l.certificate(tx, row)
			if err != nil {
				return err
			}
			if state == "" || c.State == state {
				all = append(all, *c)
			}
		}
		return nil
	})
	return all, err
}

// StatusOf returns a certificate's status as an OCSP answer tells it, and false when nothing was issued with that number
// by that issuer. An expired certificate keeps its last status.
func (l *Ledger) StatusOf(ctx context.Context, issuerID, serial string) (Status, bool, error) {
	var status Status
	var known bool
	err := l.store.View(ctx, func(tx Tx) error {
		row, err := tx.CertificateBySerial(serial)
		switch {
		case errors.Is(err, ErrNoRow):
			return nil
		case err != nil:
			return err
		}
		status, known = row.Status, row.IssuerID == issuerID
		return nil
	})
	return status, known, err
}

// View gives status services and commands a consistent look at the rows.
func (l *Ledger) View(ctx context.Context, f func(Tx) error) error { return l.store.View(ctx, f) }

// PutCRL makes the CRL of a shard under a lock that excludes every other writer: make is given the entries, the next CRL
// number and the shard's count of changes.
func (l *Ledger) PutCRL(ctx context.Context, issuerID string, shard int, make func(entries []Listing, number int64) (*CRLRow, error)) (*CRLRow, error) {
	var made *CRLRow
	err := l.store.Update(ctx, func(tx Tx) error {
		changes, err := tx.Changes(shard)
		if err != nil {
			return err
		}
		// RFC 5280, 3.3: an entry stays until it appears on one regularly scheduled CRL issued beyond the certificate's
		// validity; a week is more than one CRL's life.
		entries, err := tx.Listed(issuerID, shard, l.now().Add(-7*24*time.Hour))
		if err != nil {
			return err
		}
		number, err := tx.Next(fmt.Sprintf("crl %s %d", issuerID, shard)) // RFC 5280, 5.2.3: monotonically increasing
		if err != nil {
			return err
		}
		if made, err = make(entries, number); err != nil {
			return err
		}
		made.IssuerID, made.Shard, made.Number, made.Changes = issuerID, shard, number, changes
		return tx.PutCRL(*made)
	})
	return made, err
}

// notFound turns ErrNoRow into the problem not_found and passes other errors on.
func notFound(err error, format string, args ...any) error {
	if errors.Is(err, ErrNoRow) {
		return problem.New(problem.NotFound, format, args...)
	}
	return err
}
