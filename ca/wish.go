package ca

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"certsign/internal/problem"
)

// codeTries is how often a wrong verification code may be given for one certificate.
const codeTries = 5

// decidedAuto stands in Request.DecidedBy where the configuration decided, operatorName where a command did.
const (
	decidedAuto  = "auto"
	operatorName = "operator"
)

// Wish files a request for one of the person's own certificates. With a wrong verification code it returns the request,
// rejected, together with code_incorrect, or with code_locked when that was the last try; a locked code files nothing.
func (c *CA) Wish(ctx context.Context, accountID int64, serial string, kind RequestKind, reason WishReason, code string) (*Request, error) {
	typed, _ := readVerificationCode(code)
	var filed *Request
	var refusal error // kept outside the transaction: a failed try must be stored
	var shard int
	err := c.store.Update(ctx, func(tx Tx) error {
		filed, refusal = nil, nil
		row, a, err := ownCertificate(tx, accountID, serial)
		if err != nil {
			return err
		}
		shard = row.Shard
		if row.CodeTries >= codeTries {
			return problem.New(problem.CodeLocked, "the verification code is locked; only the help desk can unlock it")
		}
		if err := allows(kind, reason, stateAt(row, c.now())); err != nil {
			return err
		}
		if err := noneOpen(tx, row.Serial, kind, ""); err != nil {
			return err
		}
		right, err := c.codes.matches(row.Serial, row.Code, typed)
		if err != nil {
			return err
		}
		r := Request{Kind: kind, Serial: row.Serial, AccountID: a.ID, Reason: reason, State: Submitted, Created: c.now().UTC()}
		if r.Ticket, err = c.newTicket(tx); err != nil {
			return err
		}
		filed = &r
		if !right {
			refusal, err = c.wrongCode(tx, a, &row, &r)
			return err
		}
		if row.CodeTries > 0 {
			if err := tx.SetCodeTries(row.Serial, 0); err != nil {
				return err
			}
		}
		return c.file(tx, a, &row, &r)
	})
	if err != nil {
		return nil, err
	}
	if refusal == nil {
		c.tell(shard)
	}
	return filed, refusal
}

// noneOpen refuses a second request of a kind beside the one with that ticket, and a resumption while a revocation waits.
func noneOpen(tx Tx, serial string, kind RequestKind, ticket string) error {
	open, err := tx.OpenRequestsFor(serial)
	if err != nil {
		return err
	}
	for _, r := range open {
		if r.Ticket == ticket {
			continue
		}
		if r.Kind == kind || kind == Resume && r.Kind == Revoke {
			return problem.New(problem.StateForbids, "request %s about this certificate waits for the help desk", r.Ticket)
		}
	}
	return nil
}

func (c *CA) wrongCode(tx Tx, a Account, row *CertificateRow, r *Request) (refusal, err error) {
	row.CodeTries++
	left := codeTries - row.CodeTries
	r.State, r.Decided, r.DecidedBy, r.Comment = Rejected, c.now().UTC(), decidedAuto, "the verification code is incorrect"
	if err := errors.Join(
		tx.SetCodeTries(row.Serial, row.CodeTries),
		tx.InsertRequest(*r),
		c.audit(tx, actorOf(a.ID), "request.rejected", r.Ticket, "%s of %s: wrong verification code, %d tries left", r.Kind, r.Serial, left),
		c.mail(tx, a, rejectedMail(*r, false)),
	); err != nil {
		return nil, err
	}
	if left > 0 {
		return problem.New(problem.CodeIncorrect, "the verification code is wrong; %d tries left", left), nil
	}
	return problem.New(problem.CodeLocked, "the verification code was wrong %d times and is locked now", codeTries),
		c.mail(tx, a, lockedMail(row.Serial))
}

// file stores a request with the right code and lets it act as far as it may.
func (c *CA) file(tx Tx, a Account, row *CertificateRow, r *Request) error {
	actor := actorOf(a.ID)
	if c.c.Decisions[r.Kind] == DecisionAuto {
		if err := c.carryOut(tx, row, *r, actor); err != nil {
			return err
		}
		r.State, r.Decided, r.DecidedBy = Resolved, c.now().UTC(), decidedAuto
		return errors.Join(
			tx.InsertRequest(*r),
			c.audit(tx, actor, "request.resolved", r.Ticket, "%s of %s, decided at once", r.Kind, r.Serial),
			c.mail(tx, a, resolvedMail(*r)),
		)
	}
	// What protects the person does not wait for anybody: suspension and revocation both hold the certificate now.
	if r.Kind != Resume && row.State == Active {
		if err := c.change(tx, row, Suspended, CertificateHold, actor, r.Ticket); err != nil {
			return err
		}
		r.Held = true
	}
	return errors.Join(
		tx.InsertRequest(*r),
		c.audit(tx, actor, "request.submitted", r.Ticket, "%s of %s", r.Kind, r.Serial),
		c.mail(tx, a, receivedMail(*r)),
	)
}

// Requests returns the account's requests, newest first.
func (c *CA) Requests(ctx context.Context, accountID int64) ([]Request, error) {
	var all []Request
	err := c.store.View(ctx, func(tx Tx) (err error) {
		all, err = tx.RequestsOf(accountID)
		return err
	})
	return all, err
}

// OpenRequests returns what waits for the help desk, oldest first.
func (c *CA) OpenRequests(ctx context.Context, clerkID int64) ([]OpenRequest, error) {
	var all []OpenRequest
	err := c.store.View(ctx, func(tx Tx) error {
		if _, err := clerk(tx, clerkID); err != nil {
			return err
		}
		waiting, err := tx.RequestsIn(Submitted, 500)
		if err != nil {
			return err
		}
		for _, r := range waiting {
			open, err := c.openRequest(tx, r)
			if err != nil {
				return fmt.Errorf("request %s: %w", r.Ticket, err)
			}
			all = append(all, open)
		}
		return nil
	})
	return all, err
}

func (c *CA) openRequest(tx Tx, r Request) (OpenRequest, error) {
	row, err := tx.CertificateBySerial(r.Serial)
	if err != nil {
		return OpenRequest{}, err
	}
	certificate, err := c.certificate(tx, row)
	if err != nil {
		return OpenRequest{}, err
	}
	holder, err := tx.PersonByID(row.PersonID)
	if err != nil {
		return OpenRequest{}, err
	}
	account, err := tx.AccountByID(r.AccountID)
	if err != nil {
		return OpenRequest{}, err
	}
	return OpenRequest{Request: r, Certificate: certificate, Holder: holder, Email: account.Email}, nil
}

func clerk(tx Tx, id int64) (Account, error) {
	a, err := accountByID(tx, id)
	if err == nil && a.Role != RoleHelpDesk {
		err = problem.New(problem.Forbidden, "this is for the help desk")
	}
	return a, err
}

// Decide approves or rejects a request. A rejection needs a comment, which the person gets to read. Nobody decides on a
// request about a certificate of their own.
func (c *CA) Decide(ctx context.Context, clerkID int64, ticket string, approve bool, comment string) (*Request, error) {
	var name string
	err := c.store.View(ctx, func(tx Tx) error {
		a, err := clerk(tx, clerkID)
		if err != nil {
			return err
		}
		name = a.Email
		r, err := tx.RequestByTicket(ticket)
		if err != nil {
			return notFound(err, "no request %s", ticket)
		}
		row, err := tx.CertificateBySerial(r.Serial)
		if err != nil {
			return err
		}
		if r.AccountID == a.ID || a.PersonID != 0 && a.PersonID == row.PersonID {
			return problem.New(problem.Forbidden, "a clerk does not decide on their own certificate")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c.decide(ctx, name, ticket, approve, comment)
}

// DecideAsOperator is Decide for whoever runs commands on the CA's own computer.
func (l *Ledger) DecideAsOperator(ctx context.Context, ticket string, approve bool, comment string) (*Request, error) {
	return l.decide(ctx, operatorName, ticket, approve, comment)
}

func (l *Ledger) decide(ctx context.Context, by, ticket string, approve bool, comment string) (*Request, error) {
	comment = strings.TrimSpace(comment)
	if len(comment) > 2000 {
		return nil, problem.New(problem.TooLarge, "a comment has at most 2000 octets")
	}
	if !approve && comment == "" {
		return nil, problem.New(problem.BadRequest, "a rejection needs a reason that the person can read")
	}
	var r Request
	var shard int
	err := l.store.Update(ctx, func(tx Tx) error {
		var err error
		if r, err = tx.RequestByTicket(ticket); err != nil {
			return notFound(err, "no request %s", ticket)
		}
		if r.State != Submitted {
			return problem.New(problem.StateForbids, "request %s is %s already", ticket, r.State)
		}
		row, err := tx.CertificateBySerial(r.Serial)
		if err != nil {
			return err
		}
		shard = row.Shard
		a, err := tx.AccountByID(r.AccountID)
		if err != nil {
			return err
		}
		r.Comment, r.DecidedBy, r.Decided = comment, by, l.now().UTC()
		if approve {
			// Time has passed since the request was filed: what it asks for must still be possible.
			if err := noneOpen(tx, r.Serial, r.Kind, r.Ticket); err != nil {
				return err
			}
			if err := l.carryOut(tx, &row, r, by); err != nil {
				return err
			}
			r.State = Resolved
			return errors.Join(tx.UpdateRequest(r), l.settle(tx, row, r), l.audit(tx, by, "request.resolved", r.Ticket, "%s of %s", r.Kind, r.Serial), l.mail(tx, a, resolvedMail(r)))
		}
		resumed, err := l.lift(tx, &row, &r, by)
		if err != nil {
			return err
		}
		r.State = Rejected
		return errors.Join(tx.UpdateRequest(r), l.audit(tx, by, "request.rejected", r.Ticket, "%s of %s", r.Kind, r.Serial), l.mail(tx, a, rejectedMail(r, resumed)))
	})
	if err != nil {
		return nil, err
	}
	l.tell(shard)
	return &r, nil
}

// lift ends the suspension that a rejected request began, unless another request waits that wants the certificate held:
// that one holds it from now on.
func (l *Ledger) lift(tx Tx, row *CertificateRow, r *Request, by string) (resumed bool, err error) {
	if !r.Held || stateAt(*row, l.now()) != Suspended || row.HeldBy != r.Ticket {
		return false, nil
	}
	open, err := tx.OpenRequestsFor(row.Serial)
	if err != nil {
		return false, err
	}
	for _, other := range open {
		if other.Ticket == r.Ticket || other.Kind == Resume {
			continue
		}
		other.Held = true
		next := row.Status
		next.HeldBy = other.Ticket
		return false, errors.Join(tx.UpdateRequest(other), tx.SetStatus(row.Serial, next),
			l.audit(tx, by, "certificate.held", row.Serial, "by %s instead of %s", other.Ticket, r.Ticket))
	}
	return true, l.change(tx, row, Active, 0, by, r.Ticket)
}

// Order is what the help desk does to a certificate on its own account, for example after a telephone call: a request that
// is filed and resolved in one step. Open requests that it makes pointless are resolved or rejected with it.
func (l *Ledger) Order(ctx context.Context, serial string, kind RequestKind, reason WishReason, comment string) (*Request, error) {
	var r Request
	var shard int
	err := l.store.Update(ctx, func(tx Tx) error {
		row, err := tx.CertificateBySerial(serial)
		if err != nil {
			return notFound(err, "no certificate with serial number %s", serial)
		}
		shard = row.Shard
		if err := allows(kind, reason, stateAt(row, l.now())); err != nil {
			return err
		}
		if kind != Revoke {
			if err := noneOpen(tx, serial, kind, ""); err != nil {
				return err
			}
		}
		a, err := tx.AccountByID(row.AccountID)
		if err != nil {
			return err
		}
		now := l.now().UTC()
		r = Request{Kind: kind, Serial: serial, AccountID: a.ID, Reason: reason, State: Resolved, Comment: strings.TrimSpace(comment),
			DecidedBy: operatorName, Created: now, Decided: now}
		if r.Ticket, err = l.newTicket(tx); err != nil {
			return err
		}
		if err := l.carryOut(tx, &row, r, operatorName); err != nil {
			return err
		}
		if err := l.settle(tx, row, r); err != nil {
			return err
		}
		return errors.Join(tx.InsertRequest(r), l.audit(tx, operatorName, "request.resolved", r.Ticket, "%s of %s", r.Kind, r.Serial), l.mail(tx, a, resolvedMail(r)))
	})
	if err != nil {
		return nil, err
	}
	l.tell(shard)
	return &r, nil
}

// settle closes the open requests for a certificate that a final revocation has overtaken.
func (l *Ledger) settle(tx Tx, row CertificateRow, by Request) error {
	if row.State != Revoked {
		return nil
	}
	open, err := tx.OpenRequestsFor(row.Serial)
	if err != nil {
		return err
	}
	for _, r := range open {
		r.State, r.Decided, r.DecidedBy, r.Comment = Resolved, l.now().UTC(), by.DecidedBy, by.Ticket
		if r.Kind == Resume {
			r.State = Rejected
		}
		if err := errors.Join(tx.UpdateRequest(r), l.audit(tx, by.DecidedBy, "request."+string(r.State), r.Ticket, "overtaken by %s", by.Ticket)); err != nil {
			return err
		}
	}
	return nil
}

// RevokeFor revokes for good on behalf of a program that showed a right to, such as a holder of a revocation token.
func (l *Ledger) RevokeFor(ctx context.Context, actor, serial string, reason Reason) error {
	var shard int
	err := l.store.Update(ctx, func(tx Tx) error {
		row, err := tx.CertificateBySerial(serial)
		if err != nil {
			return notFound(err, "no certificate with serial number %s", serial)
		}
		shard = row.Shard
		if err := l.change(tx, &row, Revoked, reason, actor, ""); err != nil {
			return err
		}
		a, err := tx.AccountByID(row.AccountID)
		if err != nil {
			return err
		}
		now := l.now().UTC()
		r := Request{Kind: Revoke, Serial: serial, AccountID: a.ID, Reason: OtherReason, State: Resolved, DecidedBy: actor, Created: now, Decided: now}
		if r.Ticket, err = l.newTicket(tx); err != nil {
			return err
		}
		return errors.Join(l.settle(tx, row, r), tx.InsertRequest(r), l.mail(tx, a, resolvedMail(r)))
	})
	if err == nil {
		l.tell(shard)
	}
	return err
}

// Unlock gives a certificate's verification code its tries back.
func (l *Ledger) Unlock(ctx context.Context, by, serial string) error {
	return l.store.Update(ctx, func(tx Tx) error {
		if _, err := tx.CertificateBySerial(serial); err != nil {
			return notFound(err, "no certificate with serial number %s", serial)
		}
		return errors.Join(tx.SetCodeTries(serial, 0), l.audit(tx, by, "code.unlocked", serial, ""))
	})
}
