package pkix

import (
	"bytes"
	"crypto"
	"fmt"
	"slices"
	"time"
)

// assumedLife is how long an OCSP answer without nextUpdate is taken for fresh.
const assumedLife = 24 * time.Hour

// clockSkew is how far ahead of the moment of validation evidence may have been made.
const clockSkew = 5 * time.Minute

// State is what is known about a certificate at a moment.
type State string

// The states.
const (
	Good    State = "good"
	Revoked State = "revoked" // for good or on hold: see Reason
	Unclear State = "unknown" // no usable evidence
)

// Status is what the evidence says about one certificate at one moment.
type Status struct {
	State     State
	Reason    int // with Revoked; 0 when none was given
	RevokedAt time.Time
	// ThisUpdate is when the decisive evidence was made, Source what it is: "CRL" or "OCSP".
	ThisUpdate time.Time
	Source     string
	// Why says, with Unclear, what is wrong with the evidence there is; "" when there is none at all.
	Why string
}

// statement is what one CRL or OCSP answer, its signer already authorised, says.
type statement struct {
	source    string
	made, end time.Time
	revoked   bool
	at        time.Time
	reason    int
	reasons   uint32 // of which it speaks
	inScope   bool   // it would still list the certificate, although that expired
	allAlike  bool   // it may prove that a certificate is good
}

// Status finds what the evidence says about the certificate p[i] at a moment; grace is how long evidence counts beyond its
// own nextUpdate. The anchor's status is always good. The path must have passed Check.
func (v *Verifier) Status(p Path, i int, at time.Time, grace time.Duration) Status {
	if i == len(p)-1 {
		return Status{State: Good}
	}
	c := p[i]
	if v.judging[c.fingerprint] {
		// The status of a certificate that signs its own status is asked for while it is being found: what remains is that
		// the evidence does not list it, which the outer question finds out.
		return Status{State: Good}
	}
	v.judging[c.fingerprint] = true
	defer delete(v.judging, c.fingerprint)

	var statements []statement
	var why string
	note := func(text string) {
		if why == "" {
			why = text
		}
	}
	for _, r := range v.ocsps {
		s, text := v.ocspStatement(r, p, i, at)
		if s != nil {
			statements = append(statements, *s)
		} else if text != "" {
			note(text)
		}
	}
	for _, l := range v.crls {
		if l.base != nil || l.Issuer.key() == "" {
			continue
		}
		s, text := v.crlStatement(l, p, i, at, grace)
		if s != nil {
			statements = append(statements, *s)
		} else if text != "" {
			note(text)
		}
	}
	status := decide(statements, at, grace, note)
	status.Why = why
	if status.State != Unclear {
		status.Why = ""
	}
	return status
}

// decide weighs statements. A revocation other than hold is final (RFC 5280, 5.3.1), so one statement of any age is
// enough; between hold and good the latest speaks; good needs fresh statements that speak of every reason.
func decide(statements []statement, at time.Time, grace time.Duration, note func(string)) Status {
	slices.SortStableFunc(statements, func(a, b statement) int {
		if c := b.made.Compare(a.made); c != 0 || a.revoked == b.revoked {
			return c
		}
		if a.revoked { // of two made in the same second the worse one speaks
			return -1
		}
		return 1
	})
	var covered uint32
	var best, hold *statement
	for n := range statements {
		s := &statements[n]
		switch {
		case s.revoked && !s.at.After(at) && s.reason != ReasonHold:
			return Status{State: Revoked, Reason: max(s.reason, 0), RevokedAt: s.at, ThisUpdate: s.made, Source: s.source}
		case at.After(s.end.Add(grace)):
			note(fmt.Sprintf("the %s of %s is out of date", s.source, s.made.Format(time.RFC3339)))
		case s.revoked && !s.at.After(at):
			if covered&(1<<ReasonHold) == 0 && hold == nil {
				hold = s
			}
		case !s.allAlike:
			note(fmt.Sprintf("the %s of %s holds something that is not understood", s.source, s.made.Format(time.RFC3339)))
		case !s.inScope && !s.revoked:
			note(fmt.Sprintf("the %s of %s was made after the certificate expired and need not list it", s.source, s.made.Format(time.RFC3339)))
		default:
			covered |= s.reasons
			if best == nil {
				best = s
			}
		}
	}
	switch {
	case hold != nil:
		return Status{State: Revoked, Reason: ReasonHold, RevokedAt: hold.at, ThisUpdate: hold.made, Source: hold.source}
	case best != nil && covered&allReasons == allReasons:
		return Status{State: Good, ThisUpdate: best.made, Source: best.source}
	case best != nil:
		note("the CRLs speak of some reasons for revocation only")
	}
	return Status{State: Unclear}
}

// crlStatement is RFC 5280, 6.3.3, for one complete CRL and the newest delta CRL that fits it. A nil statement comes with
// the reason, which is "" when the list is about other certificates.
func (v *Verifier) crlStatement(l *CRL, p Path, i int, at time.Time, grace time.Duration) (*statement, string) {
	c := p[i]
	reasons, applies := l.appliesTo(c)
	if !applies {
		return nil, ""
	}
	if reasons == 0 {
		return nil, "the CRL is for other distribution points than the certificate's"
	}
	if text := v.crlUsable(l, p, i, at); text != "" {
		return nil, text
	}
	found, understood := l.find(c)
	s := &statement{source: "CRL", made: l.ThisUpdate, end: l.NextUpdate, reasons: reasons, inScope: true, allAlike: understood}
	s.inScope = !l.ThisUpdate.After(c.NotAfter) || l.expiredOn != nil && !l.expiredOn.After(c.NotAfter)
	s.list(found)
	for _, d := range v.crls {
		if !d.extends(l) || !d.ThisUpdate.After(s.made) && d.ThisUpdate != s.made || v.crlUsable(d, p, i, at) != "" ||
			at.After(d.NextUpdate.Add(grace)) {
			continue
		}
		change, understood := d.find(c)
		s.made, s.end, s.allAlike = d.ThisUpdate, d.NextUpdate, s.allAlike && understood
		switch {
		case change == nil:
		case change.reason == ReasonRemove: // RFC 5280, 5.3.1: released from hold, or expired
			if s.reason == ReasonHold || !s.revoked {
				s.revoked = false
			}
		default:
			s.list(change)
		}
	}
	return s, ""
}

func (s *statement) list(e *entry) {
	if e != nil {
		s.revoked, s.at, s.reason = true, e.at, e.reason
	}
}

// appliesTo tells whether a CRL is about a certificate, and for which reasons (RFC 5280, 6.3.3 (b)).
func (l *CRL) appliesTo(c *Certificate) (reasons uint32, applies bool) {
	points := c.distributionPoints
	if len(points) == 0 || !slices.ContainsFunc(points, func(p distributionPoint) bool { return len(p.issuers) == 0 }) {
		// 6.3.3: beside the certificate's own points, a CRL of its issuer for a point named by the issuer's name.
		points = append(slices.Clone(points), distributionPoint{names: []generalName{{kind: directoryName, dn: c.Issuer}}})
	}
	if l.onlyAttribute || l.onlyUser && c.isCA || l.onlyCA && !c.isCA { // (b)(2)(ii) to (iv)
		return 0, false
	}
	for _, p := range points {
		if len(p.issuers) > 0 { // (b)(1)
			if !l.indirect || !slices.ContainsFunc(p.issuers, func(g generalName) bool { return g.kind == directoryName && g.dn.Equal(l.Issuer) }) {
				continue
			}
		} else if !l.Issuer.Equal(c.Issuer) {
			continue
		}
		applies = true
		if !l.forPoint(p) { // (b)(2)(i)
			continue
		}
		mask := allReasons
		if l.reasons != 0 { // (d)
			mask &= l.reasons
		}
		if p.reasons != 0 {
			mask &= p.reasons
		}
		reasons |= mask
	}
	return reasons, applies
}

func (l *CRL) forPoint(p distributionPoint) bool {
	if len(l.names) == 0 && l.relative == "" {
		return true // the list is for every distribution point
	}
	names, relative := p.names, p.relative
	if len(names) == 0 && relative == "" {
		names = p.issuers
	}
	if overlap(l.names, names) {
		return true
	}
	// A relative name stands below the CRL issuer's name (RFC 5280, 4.2.1.13).
	full := func(relative string) []string { return append(slices.Clone(l.Issuer.keys), relative) }
	spelled := func(names []generalName, keys []string) bool {
		return slices.ContainsFunc(names, func(g generalName) bool { return g.kind == directoryName && slices.Equal(g.dn.keys, keys) })
	}
	return relative != "" && (relative == l.relative || spelled(l.names, full(relative))) ||
		l.relative != "" && spelled(names, full(l.relative))
}

// extends tells whether a delta CRL may be combined with a complete one (RFC 5280, 5.2.4 and 6.3.3 (c)).
func (l *CRL) extends(complete *CRL) bool {
	return l.base != nil && l.Number != nil && complete.Number != nil && l.Issuer.Equal(complete.Issuer) &&
		bytes.Equal(l.raw, complete.raw) && bytes.Equal(l.authorityKeyID, complete.authorityKeyID) &&
		l.base.Cmp(complete.Number) <= 0 && l.Number.Cmp(complete.Number) > 0
}

// crlUsable tells, with "", that a CRL can be read and is signed by who may sign it.
func (v *Verifier) crlUsable(l *CRL, p Path, i int, at time.Time) string {
	switch {
	case l.fault != "":
		return "the CRL has an extension " + l.fault + " that cannot be read or occurs twice"
	case l.alien != "":
		return "the CRL has a critical extension " + l.alien + " that is not understood"
	case l.NextUpdate.IsZero():
		return "the CRL has no nextUpdate"
	case !v.crlSigned(l, p, i, at):
		return "the CRL is not signed by the certificate's issuer"
	}
	return ""
}

// crlSigned is RFC 5280, 6.3.3 (f) and (g): the CRL is signed by the key that issued the certificate, or by another
// certified for the CRL issuer's name below the same anchor.
func (v *Verifier) crlSigned(l *CRL, p Path, i int, at time.Time) bool {
	signedBy := func(c *Certificate, key crypto.PublicKey) bool {
		return c.Subject.Equal(l.Issuer) && (c.HasUsage(UsageCRLSign)) &&
			v.verify(l.fingerprint, c.fingerprint, l.SignatureAlgorithm, key, l.RawTBS, l.Signature)
	}
	if signedBy(p[i+1], v.keyAt(p, i+1)) {
		return true
	}
	for _, c := range slices.Clone(v.bySubject[l.Issuer.key()]) {
		if c.same(p[i+1]) || !c.HasUsage(UsageCRLSign) {
			continue
		}
		for q := range v.Paths(c) {
			if !q.Anchor().same(p.Anchor()) || !signedBy(c, v.keyAt(q, 0)) {
				continue
			}
			if _, err := v.Check(q, Input{At: at}); err == nil && v.unrevoked(q, at) {
				return true
			}
		}
	}
	return false
}

// unrevoked tells whether each certificate of a status signer's path is known to be good.
func (v *Verifier) unrevoked(p Path, at time.Time) bool {
	for i := len(p) - 2; i >= 0; i-- {
		if v.Status(p, i, at, 0).State != Good {
			return false
		}
	}
	return true
}

// keyAt returns the key of p[i], a DSA key with the parameters that it inherits.
func (v *Verifier) keyAt(p Path, i int) crypto.PublicKey {
	key := p.Anchor().PublicKey
	for n := len(p) - 2; n >= i; n-- {
		key = inherit(p[n].PublicKey, key)
	}
	return key
}

// ocspStatement is RFC 6960, 3.2, for one response.
func (v *Verifier) ocspStatement(r *OCSPResponse, p Path, i int, at time.Time) (*statement, string) {
	c, issuer := p[i], p[i+1]
	n := slices.IndexFunc(r.Answers, func(a OCSPAnswer) bool { return a.about(c, issuer) })
	if n < 0 {
		return nil, ""
	}
	a := r.Answers[n]
	switch {
	case r.alien != "" || a.alien:
		return nil, "the OCSP response has a critical extension that is not understood"
	case a.ThisUpdate.After(r.ProducedAt.Add(clockSkew)):
		return nil, "the OCSP response is older than what it says"
	case !v.ocspSigned(r, p, i, at):
		return nil, "the OCSP response is not signed by the certificate's issuer nor by a responder that it authorised"
	case a.Status == OCSPUnknown:
		return nil, "the OCSP responder does not know the certificate"
	}
	s := &statement{
		source: "OCSP", made: a.ThisUpdate, end: a.NextUpdate, reasons: allReasons, allAlike: true,
		revoked: a.Status == OCSPRevoked, at: a.RevokedAt, reason: a.Reason,
	}
	if s.end.IsZero() {
		s.end = s.made.Add(assumedLife)
	}
	s.inScope = !a.ThisUpdate.After(c.NotAfter) || a.archiveCutoff != nil && !a.archiveCutoff.After(c.NotAfter)
	return s, ""
}

// ocspSigned tells whether a response is signed by the issuer itself, or by a responder whose certificate the issuer signed
// directly and which has id-kp-OCSPSigning (RFC 6960, 4.2.2.2).
func (v *Verifier) ocspSigned(r *OCSPResponse, p Path, i int, at time.Time) bool {
	issuer := p[i+1]
	key := v.keyAt(p, i+1)
	identified := func(c *Certificate) bool {
		if r.byName != nil {
			return r.byName.Equal(c.Subject)
		}
		return bytes.Equal(r.byKey, digest(crypto.SHA1, c.keyBits))
	}
	signedBy := func(c *Certificate, key crypto.PublicKey) bool {
		return identified(c) && v.verify(r.fingerprint, c.fingerprint, r.SignatureAlgorithm, key, r.RawTBS, r.Signature)
	}
	if signedBy(issuer, key) {
		return true
	}
	when := at
	if r.ProducedAt.After(at) {
		when = r.ProducedAt
	}
	candidates := slices.Clone(r.Certificates)
	if r.byName != nil {
		candidates = append(candidates, v.bySubject[r.byName.key()]...)
	}
	for _, c := range candidates {
		if !c.HasExtendedUsage(UsageOCSPSigning) || !c.HasUsage(UsageDigitalSignature|UsageNonRepudiation) || !c.Issuer.Equal(issuer.Subject) ||
			!identified(c) || !v.verify(c.fingerprint, issuer.fingerprint, c.SignatureAlgorithm, key, c.RawTBS, c.Signature) {
			continue
		}
		below := append(Path{c}, p[i+1:]...)
		if _, err := v.Check(below, Input{At: when}); err != nil || !signedBy(c, c.PublicKey) {
			continue
		}
		// RFC 6960, 4.2.2.2.1: without id-pkix-ocsp-nocheck its own status must be known, from elsewhere.
		if c.noCheck || v.Status(below, 0, at, 0).State == Good {
			return true
		}
	}
	return false
}
