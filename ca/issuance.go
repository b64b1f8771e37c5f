package ca

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"certsign/internal/problem"
)

// An issuer asks the ledger in this order: SpendToken, Grant, Intend, and after the signature Record. Whatever happens
// between two of them, the store knows: a token that was spent without an intent is released at the next start, and an
// intent without a certificate is signed again, octet for octet the same, or abandoned.

// SpendToken marks a token spent. It is false when it was spent before.
func (l *Ledger) SpendToken(ctx context.Context, tokenID string) (bool, error) {
	if tokenID == "" || len(tokenID) > 128 {
		return false, errors.New("token without a usable id")
	}
	var fresh bool
	err := l.store.Update(ctx, func(tx Tx) (err error) {
		fresh, err = tx.SpendToken(tokenID, l.now())
		return err
	})
	return fresh, err
}

// Granted returns the enrolment that was granted for a CSR, or not_found.
func (l *Ledger) Granted(ctx context.Context, csr []byte) (EnrolmentRow, error) {
	var row EnrolmentRow
	err := l.store.View(ctx, func(tx Tx) (err error) {
		row, err = tx.EnrolmentByCSR(sha256Hex(csr))
		return notFound(err, "no certificate was granted for this request")
	})
	return row, err
}

// Intend records what is about to be signed. It checks the grant once more, because time has passed: the key is still
// uncertified (key_already_certified), the person has not reached the limit meanwhile (too_many_certificates), and the
// certificate names whom the registry named (forbidden).
func (l *Ledger) Intend(ctx context.Context, enrolmentID string, unsigned *x509.Certificate, issuer *x509.Certificate, shard int) (Intent, error) {
	intent := Intent{
		Serial: SerialHex(unsigned.SerialNumber), EnrolmentID: enrolmentID, SPKISHA256: sha256Hex(unsigned.RawSubjectPublicKeyInfo),
		TBS: unsigned.RawTBSCertificate, IssuerID: IssuerID(issuer), Shard: shard, NotAfter: unsigned.NotAfter.UTC(),
		State: IntentOpen, Created: l.now().UTC(),
	}
	err := l.store.Update(ctx, func(tx Tx) error {
		e, err := tx.EnrolmentByID(enrolmentID)
		if err != nil {
			return notFound(err, "no certificate was granted for this request")
		}
		if e.SPKISHA256 != intent.SPKISHA256 || !bytes.Equal(e.Subject, unsigned.RawSubject) {
			return problem.New(problem.Forbidden, "the certificate is not the one that was granted")
		}
		live, err := tx.CountLive(e.PersonID, l.now())
		if err != nil {
			return err
		}
		if live >= l.maxCertificates {
			return problem.New(problem.TooManyCertificates, "%d certificates are active or suspended already", live)
		}
		intent.PersonID = e.PersonID
		if err := tx.PutIssuer(intent.IssuerID, issuer.Raw); err != nil {
			return err
		}
		err = tx.InsertIntent(intent)
		if errors.Is(err, ErrConflict) {
			return problem.New(problem.KeyAlreadyCertified, "this key has a certificate already; a certificate needs a new key")
		}
		if err != nil {
			return err
		}
		return l.audit(tx, "system", "certificate.intended", intent.Serial, "enrolment %s, tbs sha256 %s", e.ID, sha256Hex(intent.TBS))
	})
	return intent, err
}

// Record stores a signed certificate for its intent, makes its verification code, and mails the person. Recording the same
// certificate again changes nothing; another one under the same serial number is an error.
func (l *Ledger) Record(ctx context.Context, der []byte) (*Certificate, error) {
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("record certificate: %w", err)
	}
	serial := SerialHex(parsed.SerialNumber)
	var certificate *Certificate
	err = l.store.Update(ctx, func(tx Tx) error {
		intent, err := tx.IntentBySerial(serial)
		if err != nil {
			return fmt.Errorf("certificate %s without an intent: %w", serial, err)
		}
		if !bytes.Equal(intent.TBS, parsed.RawTBSCertificate) {
			return fmt.Errorf("certificate %s is not what was intended", serial)
		}
		if row, err := tx.CertificateBySerial(serial); err == nil {
			certificate, err = l.certificate(tx, row)
			return err
		} else if !errors.Is(err, ErrNoRow) {
			return err
		}
		e, err := tx.EnrolmentByID(intent.EnrolmentID)
		if err != nil {
			return err
		}
		origin, err := statedOrigin(e.CSR)
		if err != nil {
			return err
		}
		now := l.now().UTC()
		row := CertificateRow{
			Serial: serial, EnrolmentID: e.ID, IssuerID: intent.IssuerID, PersonID: e.PersonID, AccountID: e.AccountID, DER: der,
			SPKISHA256: intent.SPKISHA256, CSRSHA256: e.CSRSHA256, Shard: intent.Shard, NotAfter: parsed.NotAfter.UTC(),
			Issued: now, Terms: e.Terms, KeyOrigin: origin, Status: Status{State: Active, Since: now},
			Code: l.codes.seal(serial, newVerificationCode()),
		}
		if err := tx.InsertCertificate(row); err != nil {
			return err
		}
		if err := tx.SetIntentState(serial, IntentIssued, now); err != nil {
			return err
		}
		if err := l.audit(tx, "system", "certificate.issued", serial, "enrolment %s, sha256 %s", e.ID, sha256Hex(der)); err != nil {
			return err
		}
		a, err := tx.AccountByID(e.AccountID)
		if err != nil {
			return err
		}
		if certificate, err = l.certificate(tx, row); err != nil {
			return err
		}
		return l.mail(tx, a, issuedMail(certificate))
	})
	if err != nil {
		return nil, err
	}
	return certificate, nil
}

// Recovery is what Recover did.
type Recovery struct {
	Completed, Abandoned int
	Released             int64 // tokens that may be spent again
}

// Recover deals with what a stopped process left: it has sign finish each open intent of its issuer older than age, and
// makes tokens usable again that were spent for nothing. sign returns the certificate for an intent, or nil when it
// cannot produce the same octets again; such an intent is abandoned, its serial number stays taken for ever and is never
// answered as good.
func (l *Ledger) Recover(ctx context.Context, issuerID string, age time.Duration, sign func(Intent) ([]byte, error)) (Recovery, error) {
	var r Recovery
	var open []Intent
	err := l.store.View(ctx, func(tx Tx) (err error) {
		open, err = tx.OpenIntents()
		return err
	})
	if err != nil {
		return r, fmt.Errorf("recover: %w", err)
	}
	for _, intent := range open {
		if intent.IssuerID != issuerID || l.now().Sub(intent.Created) < age {
			continue
		}
		der, err := sign(intent)
		if err != nil {
			return r, fmt.Errorf("recover certificate %s: %w", intent.Serial, err)
		}
		if der != nil {
			if _, err := l.Record(ctx, der); err != nil {
				return r, fmt.Errorf("recover: %w", err)
			}
			r.Completed++
			continue
		}
		err = l.store.Update(ctx, func(tx Tx) error {
			if err := tx.SetIntentState(intent.Serial, IntentAbandoned, l.now()); err != nil {
				return err
			}
			return l.audit(tx, "system", "certificate.abandoned", intent.Serial, "enrolment %s", intent.EnrolmentID)
		})
		if err != nil {
			return r, fmt.Errorf("recover: %w", err)
		}
		r.Abandoned++
	}
	return r, nil
}

// ReleaseTokens makes usable again the tokens that a stopped process spent without reaching an intent. Call it before
// tokens are accepted. Even if another process were just using one of them, the enrolment could have one intent only.
func (l *Ledger) ReleaseTokens(ctx context.Context) (int64, error) {
	var n int64
	err := l.store.Update(ctx, func(tx Tx) (err error) {
		if err = tx.DeleteTokens(l.now().Add(-31 * 24 * time.Hour)); err != nil {
			return err
		}
		if n, err = tx.ReleaseTokens(l.now()); err != nil || n == 0 {
			return err
		}
		return l.audit(tx, "system", "token.released", "", "%d", n)
	})
	return n, err
}
