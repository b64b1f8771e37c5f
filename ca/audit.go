package ca

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// audit adds an entry to the chain, in the transaction of what it tells about.
func (l *Ledger) audit(tx Tx, actor, action, subject, format string, args ...any) error {
	last, err := tx.LastAudit()
	if err != nil && !errors.Is(err, ErrNoRow) {
		return fmt.Errorf("audit: %w", err)
	}
	e := AuditEntry{
		Sequence: last.Sequence + 1,
		At:       l.now().UTC().Truncate(time.Microsecond),
		Actor:    actor,
		Action:   action,
		Subject:  subject,
		Detail:   fmt.Sprintf(format, args...),
	}
	e.Hash = e.digest(last.Hash)
	if err := tx.InsertAudit(e); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// digest hashes the entry's fields, each preceded by its length so that no two entries can spell the same octets.
func (e AuditEntry) digest(previous []byte) []byte {
	h := sha256.New()
	field := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	field(previous)
	field(binary.BigEndian.AppendUint64(nil, uint64(e.Sequence)))
	field(binary.BigEndian.AppendUint64(nil, uint64(e.At.UnixMicro())))
	for _, s := range []string{e.Actor, e.Action, e.Subject, e.Detail} {
		field([]byte(s))
	}
	return h.Sum(nil)
}

// AuditBroken says where the audit log stops being what was written.
type AuditBroken struct {
	Sequence int64
	Why      string
}

func (e *AuditBroken) Error() string {
	return fmt.Sprintf("audit log broken at entry %d: %s", e.Sequence, e.Why)
}

// VerifyAudit recomputes the whole chain and returns its last entry. Whoever noted an earlier head can compare it; the
// chain alone cannot show that its end was cut off. A changed, missing or inserted entry is an *AuditBroken.
func (l *Ledger) VerifyAudit(ctx context.Context) (AuditEntry, error) {
	var last AuditEntry
	err := l.store.View(ctx, func(tx Tx) error {
		last = AuditEntry{}
		for {
			entries, err := tx.AuditAfter(last.Sequence, 1000)
			if err != nil {
				return err
			}
			if len(entries) == 0 {
				return nil
			}
			for _, e := range entries {
				if e.Sequence != last.Sequence+1 {
					return &AuditBroken{Sequence: last.Sequence + 1, Why: "the entry is missing"}
				}
				if !bytes.Equal(e.digest(last.Hash), e.Hash) {
					return &AuditBroken{Sequence: e.Sequence, Why: "the entry was changed"}
				}
				last = e
			}
		}
	})
	return last, err
}
