package ca

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"

	"certsign/internal/problem"
)

// Terms returns the version of the terms that a person accepts today.
func (c *CA) Terms() string { return c.c.TermsVersion }

// AcceptTerms records that the account accepted that version.
func (c *CA) AcceptTerms(ctx context.Context, accountID int64, version string) error {
	if version != c.c.TermsVersion {
		return problem.New(problem.TermsNotAccepted, "the terms in force are version %s", c.c.TermsVersion)
	}
	return c.store.Update(ctx, func(tx Tx) error {
		if _, err := accountByID(tx, accountID); err != nil {
			return err
		}
		if err := tx.AcceptTerms(accountID, version, c.now()); err != nil {
			return err
		}
		return c.audit(tx, actorOf(accountID), "terms.accepted", version, "")
	})
}

// Enroll decides on a CSR and mints its one-time token. For a CSR that was granted to this account already and is not yet
// certified it mints another token, so that an enrolment can be taken up again.
func (c *CA) Enroll(ctx context.Context, accountID int64, csr []byte) (*Enrolment, error) {
	request, err := CheckCSR(csr)
	if err != nil {
		return nil, err
	}
	csrHash, keyHash := sha256Hex(csr), sha256Hex(request.RawSubjectPublicKeyInfo)
	var granted *Enrolment
	err = c.store.Update(ctx, func(tx Tx) error {
		a, err := accountByID(tx, accountID)
		if err != nil {
			return err
		}
		eligibility, person, err := c.eligibility(tx, a)
		if err != nil {
			return err
		}
		switch {
		case eligibility.NeedsExtendedAccount:
			return problem.New(problem.NotEligible, "the account needs the extended scope of rights")
		case eligibility.NeedsIDSISC:
			return problem.New(problem.NotEligible, "no person with an ID SISC is registered for the account")
		}
		accepted, err := tx.TermsAccepted(a.ID, c.c.TermsVersion)
		if err != nil {
			return err
		}
		if !accepted {
			return problem.New(problem.TermsNotAccepted, "the terms in force are version %s", c.c.TermsVersion)
		}
		if err := c.keyUnused(tx, keyHash, a); err != nil {
			return err
		}
		if eligibility.TooMany {
			return problem.New(problem.TooManyCertificates, "%d certificates are active or suspended already", eligibility.Max)
		}
		row, err := tx.EnrolmentByCSR(csrHash)
		switch {
		case errors.Is(err, ErrNoRow):
			if row, err = c.newEnrolment(tx, a, person, csr, csrHash, keyHash); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			if err := sameSubject(row, person); err != nil {
				return err
			}
		}
		granted, err = c.mint(ctx, tx, row, person)
		return err
	})
	if err != nil {
		return nil, err
	}
	return granted, nil
}

// keyUnused refuses a key that this CA certified, for whomever, or is about to certify for another account.
func (c *CA) keyUnused(tx Tx, keyHash string, a Account) error {
	certified, err := tx.KeyCertified(keyHash)
	if err != nil {
		return err
	}
	if !certified {
		others, err := tx.EnrolmentsBySPKI(keyHash)
		if err != nil {
			return err
		}
		for _, e := range others {
			certified = certified || e.AccountID != a.ID || e.PersonID != a.PersonID
		}
	}
	if certified {
		return problem.New(problem.KeyAlreadyCertified, "this key has a certificate already; a certificate needs a new key")
	}
	return nil
}

func (c *CA) newEnrolment(tx Tx, a Account, p Person, csr []byte, csrHash, keyHash string) (EnrolmentRow, error) {
	subject, err := SubjectOf(p)
	if err != nil {
		return EnrolmentRow{}, err
	}
	row := EnrolmentRow{
		ID: randomID(), AccountID: a.ID, PersonID: p.ID, CSRSHA256: csrHash, SPKISHA256: keyHash, CSR: csr,
		Subject: subject, Terms: c.c.TermsVersion, Created: c.now().UTC(),
	}
	if err := tx.InsertEnrolment(row); err != nil {
		return row, err
	}
	return row, c.audit(tx, actorOf(a.ID), "enrolment.granted", row.ID, "csr %s, terms %s", csrHash, row.Terms)
}

// sameSubject refuses a CSR that was granted when the registry knew the person under other data.
func sameSubject(row EnrolmentRow, p Person) error {
	subject, err := SubjectOf(p)
	if err != nil {
		return err
	}
	if !bytes.Equal(subject, row.Subject) {
		return problem.New(problem.CSRInvalid, "the person's data changed since this request was granted; start again with a new key")
	}
	return nil
}

func (c *CA) mint(ctx context.Context, tx Tx, row EnrolmentRow, p Person) (*Enrolment, error) {
	g := Grant{
		ID: row.ID, TokenID: randomID(), CSR: row.CSR, Subject: row.Subject, Person: p, AccountID: row.AccountID,
		Terms: row.Terms, Expires: c.now().Add(TokenLife).UTC(),
	}
	token, err := c.c.Issuer.Token(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("mint token: %w", err)
	}
	err = tx.InsertToken(TokenRow{ID: g.TokenID, EnrolmentID: row.ID, SHA256: sha256Hex([]byte(token)), Expires: g.Expires})
	if err != nil {
		return nil, err
	}
	if err := c.audit(tx, actorOf(row.AccountID), "token.minted", row.ID, "until %s", g.Expires.Format("2006-01-02T15:04:05Z")); err != nil {
		return nil, err
	}
	return &Enrolment{ID: row.ID, Token: token, CSRSHA256: row.CSRSHA256, CA: c.c.CAURL}, nil
}

// Issued returns the certificate that was issued for that CSR. The bearer must be a token that was minted for it, spent or
// not, expired or not. Whatever is wrong is the same not_found.
func (l *Ledger) Issued(ctx context.Context, csrSHA256, bearer string) (*Certificate, error) {
	none := problem.New(problem.NotFound, "no certificate for this request and token")
	if len(csrSHA256) != 64 || len(bearer) > 8<<10 {
		return nil, none
	}
	var found *Certificate
	err := l.store.View(ctx, func(tx Tx) error {
		token, err := tx.TokenByHash(sha256Hex([]byte(bearer)))
		if err != nil {
			return notFound(err, "%s", none.Detail)
		}
		enrolment, err := tx.EnrolmentByID(token.EnrolmentID)
		if err != nil {
			return notFound(err, "%s", none.Detail)
		}
		if !constantTimeEqual([]byte(enrolment.CSRSHA256), []byte(csrSHA256)) {
			return none
		}
		row, err := tx.CertificateByCSR(csrSHA256)
		if err != nil {
			return notFound(err, "%s", none.Detail)
		}
		found, err = l.certificate(tx, row)
		return err
	})
	return found, err
}

// Certificates returns the certificates of the account's person, newest first.
func (c *CA) Certificates(ctx context.Context, accountID int64) ([]Certificate, error) {
	var all []Certificate
	err := c.store.View(ctx, func(tx Tx) error {
		a, err := accountByID(tx, accountID)
		if err != nil || a.PersonID == 0 {
			return err
		}
		rows, err := tx.CertificatesOf(a.PersonID)
		if err != nil {
			return err
		}
		for _, row := range rows {
			one, err := c.certificate(tx, row)
			if err != nil {
				return err
			}
			all = append(all, *one)
		}
		return nil
	})
	return all, err
}

// Certificate returns one of the certificates of the account's person; another person's is not_found.
func (c *CA) Certificate(ctx context.Context, accountID int64, serial string) (*Certificate, error) {
	var one *Certificate
	err := c.store.View(ctx, func(tx Tx) error {
		row, _, err := ownCertificate(tx, accountID, serial)
		if err != nil {
			return err
		}
		one, err = c.certificate(tx, row)
		return err
	})
	return one, err
}

func ownCertificate(tx Tx, accountID int64, serial string) (CertificateRow, Account, error) {
	a, err := accountByID(tx, accountID)
	if err != nil {
		return CertificateRow{}, a, err
	}
	row, err := tx.CertificateBySerial(serial)
	if err == nil && (a.PersonID == 0 || row.PersonID != a.PersonID) {
		err = ErrNoRow
	}
	return row, a, notFound(err, "no certificate with serial number %s", serial)
}

// VerificationCode returns the code that the confirmation prints.
func (c *CA) VerificationCode(ctx context.Context, accountID int64, serial string) (string, error) {
	var code string
	err := c.store.View(ctx, func(tx Tx) error {
		row, _, err := ownCertificate(tx, accountID, serial)
		if err != nil {
			return err
		}
		code, err = c.codes.open(row.Serial, row.Code)
		return err
	})
	return code, err
}

func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails
	return hex.EncodeToString(b[:])
}

func constantTimeEqual(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
