// Package ca is the domain of customs-ca: persons and accounts, who may have a certificate, what stands in it, its status
// and the requests that change it, documents submitted and answered. It declares the interfaces that issuers and stores
// implement and imports none of them.
//
// Two types do the work. Ledger is the CA's book: what was granted, what was about to be signed, what was signed and where
// it stands; issuers write to it and status services read it. CA adds the desk at which persons and clerks are served.
// Each change of state happens in one transaction together with its audit entry and the e-mail that tells about it.
//
// It does not sign certificates, answer for status on the wire, or render pages. Input from pages and agents is untrusted
// until checked here; the registry's data about persons are believed, and so is the store.
package ca

import (
	"errors"
	"log/slog"
	"time"

	"certsign/internal/ades"
)

// Config is what a desk works with.
type Config struct {
	Ledger *Ledger // required
	Issuer Issuer  // required
	// CAURL is the CA's own address, shown to a person beside an enrolment; agents take it from their site entry.
	CAURL string
	// TermsVersion is the version of the terms that a person must have accepted.
	TermsVersion string
	// MaxCertificates is how many active or suspended certificates a person may have; 3 when zero.
	MaxCertificates int
	// Decisions says who decides each kind of request. Missing kinds: a suspension is decided by itself, a revocation and a
	// resumption by the help desk.
	Decisions map[RequestKind]Decision
	// MaxDocument is the largest document in octets; 15 MB when zero. A signed document may be a quarter larger, plus 1 MiB.
	MaxDocument int64

	// Codecs, Validate, Policy and Evidence judge signed documents; all are required for Submit and Check.
	Codecs   []ades.Codec
	Validate func(*ades.Unverified, ades.Evidence, ades.Policy) (*ades.Report, error)
	Policy   ades.Policy
	// Evidence returns the CA's own certificates and fresh status answers for a moment.
	Evidence EvidenceSource
	// Canonical returns the octets that signing a draft as it stands may digest for the whole document, one per
	// canonicalisation; nil means that only the draft's own octets count.
	Canonical func(draft []byte) ([][]byte, error)
	// SignedDraft tells whether a signed document is the draft with one signature put in and nothing else. Nil means that
	// no signed document is.
	SignedDraft func(draft, signed []byte) (bool, error)
	// Sealer seals receipts.
	Sealer Sealer
	Log    *slog.Logger
}

// TokenLife is how long an enrolment's one-time token may be spent.
const TokenLife = 5 * time.Minute

// CA is the desk. It is safe for concurrent use.
type CA struct {
	*Ledger
	c         Config
	passwords *passwords
}

var _ Desk = (*CA)(nil)

// New returns a desk over a ledger.
func New(c Config) (*CA, error) {
	switch {
	case c.Ledger == nil:
		return nil, errors.New("ca: no ledger")
	case c.Issuer == nil:
		return nil, errors.New("ca: no issuer")
	case c.TermsVersion == "":
		return nil, errors.New("ca: no version of the terms")
	case c.Validate != nil && (c.Evidence == nil || len(c.Codecs) == 0):
		return nil, errors.New("ca: validation needs codecs and evidence")
	}
	if c.MaxCertificates <= 0 {
		c.MaxCertificates = 3
	}
	if c.MaxDocument <= 0 {
		c.MaxDocument = 15_000_000
	}
	decisions := map[RequestKind]Decision{Suspend: DecisionAuto, Resume: DecisionHelpDesk, Revoke: DecisionHelpDesk}
	for kind, d := range c.Decisions {
		if _, known := decisions[kind]; !known || (d != DecisionAuto && d != DecisionHelpDesk) {
			return nil, errors.New("ca: decision " + string(kind) + ": " + string(d) + " is neither auto nor helpdesk")
		}
		decisions[kind] = d
	}
	c.Decisions = decisions
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Ledger.maxCertificates = c.MaxCertificates
	return &CA{Ledger: c.Ledger, c: c, passwords: newPasswords()}, nil
}
