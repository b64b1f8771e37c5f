package ca

import (
	"errors"
	"fmt"

	"certsign/internal/problem"
)

// change moves a certificate to another state, in the transaction tx. It is the only place where a status changes.
//
//	active    → suspended, revoked
//	suspended → active, revoked
//	revoked, expired: final
//
// ticket names the request behind it, "" for none.
func (l *Ledger) change(tx Tx, row *CertificateRow, to State, reason Reason, actor, ticket string) error {
	from, now := stateAt(*row, l.now()), l.now().UTC()
	next := Status{State: to, Since: now}
	switch {
	case from == Active && to == Suspended:
		next.Reason, next.RevokedAt, next.HeldBy = CertificateHold, now, ticket
	case from == Suspended && to == Active:
		// RFC 5280, 5.3.1: a released certificate is simply absent from the next full CRL.
	case from == Active && to == Revoked:
		next.Reason, next.RevokedAt = reason, now
	case from == Suspended && to == Revoked:
		// A revocation that follows a suspension dates from the suspension: nobody could rely on the certificate since.
		next.Reason, next.RevokedAt = reason, row.RevokedAt
	default:
		return problem.New(problem.StateForbids, "the certificate is %s and cannot become %s", from, to)
	}
	if to == Revoked && !permanent(reason) {
		return problem.New(problem.ReasonForbidden, "reason %d does not revoke for good", reason)
	}
	if err := tx.SetStatus(row.Serial, next); err != nil {
		return err
	}
	if err := tx.Touch(row.Shard); err != nil {
		return err
	}
	row.Status = next
	return l.audit(tx, actor, "certificate."+string(to), row.Serial, "from %s, reason %d, ticket %s", from, next.Reason, ticket)
}

// permanent tells whether a CRLReason may end a certificate (RFC 5280, 5.3.1): not certificateHold, not removeFromCRL, not
// the unused 7, and none beyond 10.
func permanent(r Reason) bool {
	switch r {
	case Unspecified, KeyCompromise, CACompromise, AffiliationChanged, Superseded, CessationOfOperation, PrivilegeWithdrawn:
		return true
	default:
		return false
	}
}

// suspensionReasons and revocationReasons are the portal's lists.
var (
	suspensionReasons = map[WishReason]bool{KeyDisclosed: true, CarrierLost: true, OnRequest: true, OtherReason: true}
	revocationReasons = map[WishReason]Reason{
		KeyDisclosed:   KeyCompromise,
		CarrierLost:    CessationOfOperation,
		DataWrong:      Superseded,
		DataChanged:    AffiliationChanged,
		Replaced:       Superseded,
		NoLongerNeeded: CessationOfOperation,
		OtherReason:    Unspecified, // RFC 5280, 5.3.1: the reason code is left out
	}
)

// allows checks that a certificate's state and the reason fit the wish.
func allows(kind RequestKind, reason WishReason, state State) error {
	switch kind {
	case Suspend:
		if !suspensionReasons[reason] {
			return problem.New(problem.ReasonForbidden, "a suspension has one of the reasons key-disclosed, carrier-lost, on-request, other")
		}
		if state != Active {
			return problem.New(problem.StateForbids, "only an active certificate can be suspended; this one is %s", state)
		}
	case Resume:
		if reason != "" {
			return problem.New(problem.ReasonForbidden, "a resumption has no reason")
		}
		if state != Suspended {
			return problem.New(problem.StateForbids, "only a suspended certificate can be resumed; this one is %s", state)
		}
	case Revoke:
		if _, ok := revocationReasons[reason]; !ok {
			return problem.New(problem.ReasonForbidden, "%q is not among the reasons for a revocation", reason)
		}
		if state != Active && state != Suspended {
			return problem.New(problem.StateForbids, "only an active or suspended certificate can be revoked; this one is %s", state)
		}
	default:
		return problem.New(problem.BadRequest, "a request is suspend, resume or revoke")
	}
	return nil
}

// carryOut does what a request asks for. For a suspension that acted already it does nothing.
func (l *Ledger) carryOut(tx Tx, row *CertificateRow, r Request, actor string) error {
	switch r.Kind {
	case Suspend:
		if row.State == Suspended && row.HeldBy == r.Ticket {
			return nil
		}
		return l.change(tx, row, Suspended, CertificateHold, actor, r.Ticket)
	case Resume:
		return l.change(tx, row, Active, 0, actor, r.Ticket)
	case Revoke:
		return l.change(tx, row, Revoked, revocationReasons[r.Reason], actor, r.Ticket)
	}
	return errors.New("request of unknown kind")
}

// newTicket returns the next ticket of this year.
func (l *Ledger) newTicket(tx Tx) (string, error) { return l.number(tx, "CSD") }

func (l *Ledger) number(tx Tx, prefix string) (string, error) {
	year := l.now().UTC().Year()
	n, err := tx.Next(fmt.Sprintf("%s %d", prefix, year))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s-%d-%06d", prefix, year, n), nil
}
