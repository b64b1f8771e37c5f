package validate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"certsign/internal/ades"
	"certsign/internal/pkix"
)

// outcome is what became of one path; the one with the highest rank is reported.
type outcome struct {
	finding
	rank   int
	path   pkix.Path
	status pkix.Status // of the signer's certificate
}

const (
	rankPath    = iota // the path itself is not valid
	rankCA             // a CA is revoked or its status unknown
	rankUnknown        // the signer's status is unknown, or the validity is over
	rankRevoked
	rankPassed
)

// checkCertificate is EN 319 102-1, 5.2.6. It fills the report's chain, kind and revocation.
func (c *context) checkCertificate(signer *pkix.Certificate, s *ades.UnverifiedSignature, report *ades.SignatureReport) finding {
	v := pkix.NewVerifier(c.anchors)
	for _, cert := range c.certificates {
		v.AddCertificate(cert)
	}
	for _, cert := range readAll(s.Certificates, maxCertificates, pkix.ParseCertificate) {
		v.AddCertificate(cert)
	}
	for _, l := range append(c.crls[:len(c.crls):len(c.crls)], readAll(s.CRLs, maxLists, pkix.ParseCRL)...) {
		v.AddCRL(l)
	}
	for _, r := range append(c.ocsps[:len(c.ocsps):len(c.ocsps)], readAll(s.OCSPs, maxResponses, pkix.ParseOCSP)...) {
		v.AddOCSP(r)
	}

	best := outcome{rank: -1}
	for p := range v.Paths(signer) {
		o := c.judge(v, p)
		if o.rank > best.rank {
			best = o
		}
		if best.rank == rankPassed {
			break
		}
	}
	if best.rank < 0 {
		return noChain(v, signer)
	}
	if best.rank > rankPath {
		report.Chain = best.path.DER()
		report.Kind = c.kindOf(best.path.Anchor())
	}
	if best.status.State == pkix.Revoked {
		report.RevocationReason = best.status.Reason
		at := best.status.RevokedAt
		report.RevokedAt = &at
	}
	f := best.finding
	f.also(c.chainConstraints(signer))
	return f
}

func (c *context) kindOf(anchor *pkix.Certificate) string {
	for i, a := range c.anchors {
		if a.Fingerprint() == anchor.Fingerprint() && c.kinds[i] != "" {
			return c.kinds[i]
		}
	}
	return "AdES"
}

func noChain(v *pkix.Verifier, signer *pkix.Certificate) finding {
	f := found(ades.NoCertificateChainFound, "No chain leads from the certificate of %s, issued by %s, to a trusted certificate.", signer.Subject, signer.Issuer)
	if v.Exhausted() {
		f.reasons = append(f.reasons, "There were more certificates and signatures than are examined.")
	}
	return f // the dates in a certificate that nobody vouches for prove nothing
}

// judge is EN 319 102-1, 5.2.6.4, for one prospective chain.
func (c *context) judge(v *pkix.Verifier, p pkix.Path) outcome {
	o := outcome{path: p, rank: rankPassed}
	stop := func(rank int, f finding) outcome {
		o.rank = rank
		o.also(f)
		return o
	}
	if _, err := v.Check(p, pkix.Input{At: c.at, AnyTimeForLeaf: true}); err != nil {
		sub := ades.CertificateChainGeneralFail
		var failure *pkix.Failure
		if errors.As(err, &failure) && failure.Kind == pkix.FailedValidity {
			sub = ades.OutOfBoundsNoPOE // an earlier proof of existence could mend it
		}
		f := found(sub, "The chain is not valid: %s.", err)
		if c.policy.Time == ades.MomentOfCheck {
			f.also(c.validity(p[0], pkix.Unclear))
		}
		return stop(rankPath, f)
	}
	if c.policy.Revocation == ades.RevocationIgnored {
		return stop(c.rankOf(p[0]), c.validity(p[0], pkix.Unclear))
	}
	for i := len(p) - 2; i >= 1; i-- {
		switch status := v.Status(p, i, c.at, c.policy.MaxStatusAge); status.State {
		case pkix.Revoked:
			return stop(rankCA, found(ades.RevokedCANoPOE, "The CA certificate of %s was revoked on %s.", p[i].Subject, when(status.RevokedAt)))
		case pkix.Unclear:
			return stop(rankCA, found(ades.TryLater, "The status of the CA certificate of %s is not known: %s.", p[i].Subject, because(status)))
		}
	}
	o.status = v.Status(p, 0, c.at, c.policy.MaxStatusAge)
	switch o.status.State {
	case pkix.Revoked:
		return stop(rankRevoked, c.revoked(p[0], o.status))
	case pkix.Unclear:
		if f := c.validity(p[0], pkix.Unclear); f.sub != "" {
			return stop(rankUnknown, f)
		}
		return stop(rankUnknown, found(ades.TryLater, "The status of the signer's certificate is not known: %s.", because(o.status)))
	}
	return stop(c.rankOf(p[0]), c.validity(p[0], pkix.Good))
}

func (c *context) rankOf(signer *pkix.Certificate) int {
	if signer.ValidAt(c.at) {
		return rankPassed
	}
	return rankUnknown
}

// validity judges the validity of the signer's certificate at the moment of validation.
func (c *context) validity(signer *pkix.Certificate, state pkix.State) finding {
	switch {
	case signer.ValidAt(c.at):
		return finding{}
	case c.at.Before(signer.NotBefore) && c.policy.Time == ades.MomentOfCheck:
		return found(ades.NotYetValid, "The signer's certificate is valid only from %s.", when(signer.NotBefore))
	case c.at.Before(signer.NotBefore):
		return found(ades.OutOfBoundsNoPOE, "The signer's certificate is valid only from %s.", when(signer.NotBefore))
	case c.policy.Time == ades.MomentOfCheck:
		return found(ades.Expired, "The signer's certificate expired on %s.", when(signer.NotAfter))
	case state == pkix.Good:
		return found(ades.OutOfBoundsNotRevoked, "The signer's certificate expired on %s, not having been revoked, and nothing proves that the signature is older.", when(signer.NotAfter))
	}
	return found(ades.OutOfBoundsNoPOE, "The signer's certificate expired on %s, and nothing proves that the signature is older.", when(signer.NotAfter))
}

// revoked names a revocation. EN 319 102-1, 5.2.6.4: a certificate on hold may come back, so the verdict is TRY_LATER.
func (c *context) revoked(signer *pkix.Certificate, status pkix.Status) finding {
	hold := status.Reason == pkix.ReasonHold
	text := fmt.Sprintf("The signer's certificate was revoked on %s%s.", when(status.RevokedAt), reasonText(status.Reason))
	if hold {
		text = fmt.Sprintf("The signer's certificate has been suspended since %s.", when(status.RevokedAt))
	}
	var f finding
	switch {
	case c.policy.Time == ades.MomentOfCheck:
		f = finding{ades.Revoked, []string{text}}
	case hold:
		f = finding{ades.TryLater, []string{text}}
	default:
		f = finding{ades.RevokedNoPOE, []string{text + " Nothing proves that the signature is older."}}
	}
	f.also(c.validity(signer, pkix.Revoked))
	return f
}

// reasonText is RFC 5280, 5.3.1 in words.
func reasonText(code int) string {
	text := map[int]string{
		1: "its key was compromised", 2: "its CA was compromised", 3: "the holder's data changed", 4: "it was replaced",
		5: "it is no longer used", 9: "the holder lost the right to it",
	}[code]
	if text == "" {
		return ""
	}
	return ": " + text
}

// chainConstraints is what the policy asks of the signer's certificate beyond RFC 5280.
func (c *context) chainConstraints(signer *pkix.Certificate) finding {
	var f finding
	if !signer.HasUsage(pkix.UsageDigitalSignature | pkix.UsageNonRepudiation) {
		f.also(found(ades.ChainConstraintsFailure, "The signer's certificate is not for signatures."))
	}
	if len(c.policy.PolicyOIDs) > 0 && !hasPolicy(signer, c.policy.PolicyOIDs) {
		f.also(found(ades.ChainConstraintsFailure, "The signer's certificate was not issued under a certificate policy that is accepted here."))
	}
	return f
}

func because(status pkix.Status) string {
	if status.Why == "" {
		return "there is no CRL and no OCSP response about it"
	}
	return status.Why
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func isFiniteField(key crypto.PublicKey) bool {
	switch key.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return false
	}
	return true
}
