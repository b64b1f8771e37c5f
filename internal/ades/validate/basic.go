// Package validate judges parsed signatures by EN 319 102-1 V1.3.1: the validation process for basic signatures (5.3) with
// its building blocks for format, signing certificate, certificate path and status, cryptography and signature acceptance.
//
// It does not validate time stamps, long-term material or signature policies, so the only proof of existence that it knows
// is the moment of validation, and no level above B-B is ever reported as validated. It fetches nothing.
//
// All of ades.Unverified and ades.Evidence is untrusted, embedded certificates included; what is trusted is ades.Policy and
// the digests that a codec computed over what it found. Verdicts are values: an error means that the caller gave too little.
package validate

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"certsign/internal/ades"
	"certsign/internal/pkix"
)

// Limits on evidence for one signature; what goes beyond is left out, which can only make a verdict less good.
const (
	maxCertificates = 1000
	maxLists        = 100
	maxResponses    = 200
)

// Validate judges every signature of a document at the moment evidence.At. The error is nil whatever the verdicts are; it
// is set when the moment or the trust is missing or an anchor cannot be read.
func Validate(unverified *ades.Unverified, evidence ades.Evidence, policy ades.Policy) (*ades.Report, error) {
	switch {
	case unverified == nil:
		return nil, errors.New("validate: no document")
	case evidence.At.IsZero():
		return nil, errors.New("validate: no moment of validation")
	case policy.Trust == nil:
		return nil, errors.New("validate: the policy says nothing about trust")
	}
	c := &context{policy: policy, at: evidence.At.UTC()}
	for _, a := range policy.Trust.Anchors() {
		cert, err := pkix.ParseCertificate(a.Certificate)
		if err != nil {
			return nil, fmt.Errorf("validate: a trusted certificate: %w", err)
		}
		c.anchors = append(c.anchors, cert)
		c.kinds = append(c.kinds, a.Kind)
	}
	c.certificates = readAll(evidence.Certificates, maxCertificates, pkix.ParseCertificate)
	c.crls = readAll(evidence.CRLs, maxLists, pkix.ParseCRL)
	c.ocsps = readAll(evidence.OCSPs, maxResponses, pkix.ParseOCSP)

	report := &ades.Report{File: unverified.Document.Name, Policy: policy.Name, Signatures: []ades.SignatureReport{}}
	for i := range unverified.Signatures {
		report.Signatures = append(report.Signatures, c.validate(&unverified.Signatures[i]))
	}
	return report, nil
}

// context is what is the same for each signature of a document (EN 319 102-1, 5.2.4).
type context struct {
	policy       ades.Policy
	at           time.Time
	anchors      []*pkix.Certificate
	kinds        []string
	certificates []*pkix.Certificate
	crls         []*pkix.CRL
	ocsps        []*pkix.OCSPResponse
}

// readAll reads what can be read: evidence that cannot is no evidence.
func readAll[T any](unverified [][]byte, limit int, read func([]byte) (T, error)) []T {
	var out []T
	for _, der := range unverified[:min(len(unverified), limit)] {
		if v, err := read(der); err == nil {
			out = append(out, v)
		}
	}
	return out
}

// finding is the result of one building block; an empty sub-indication is PASSED.
type finding struct {
	sub     ades.SubIndication
	reasons []string
}

func found(sub ades.SubIndication, format string, args ...any) finding {
	return finding{sub, []string{fmt.Sprintf(format, args...)}}
}

// also adds another breach to a block's result; the first sub-indication stands unless the later one is a failure.
func (f *finding) also(g finding) {
	if g.sub == "" {
		return
	}
	if f.sub == "" || indication(f.sub) != ades.TotalFailed && indication(g.sub) == ades.TotalFailed {
		f.sub = g.sub
		f.reasons = append(slices.Clone(g.reasons), f.reasons...)
		return
	}
	f.reasons = append(f.reasons, g.reasons...)
}

// indication returns the main status that goes with a sub-indication (EN 319 102-1, tables 5 and 6).
func indication(sub ades.SubIndication) ades.Indication {
	switch sub {
	case "":
		return ades.TotalPassed
	case ades.FormatFailure, ades.HashFailure, ades.SigCryptoFailure, ades.Revoked, ades.Expired, ades.NotYetValid:
		return ades.TotalFailed
	}
	return ades.Indeterminate
}

// validate is EN 319 102-1, 5.3.4.
func (c *context) validate(s *ades.UnverifiedSignature) ades.SignatureReport {
	report := ades.SignatureReport{
		ID: s.ID, Format: s.Format, Level: validatedLevel(s.Level), Covers: s.Coverage, BestSignatureTime: c.at,
	}
	if !s.ClaimedSigningTime.IsZero() {
		claimed := s.ClaimedSigningTime.UTC()
		report.SignedAt = &claimed
	}
	conclude := func(decisive finding, others ...finding) ades.SignatureReport {
		report.SubIndication = decisive.sub
		report.Indication = indication(decisive.sub)
		report.Reasons = decisive.reasons
		for _, f := range others {
			for _, reason := range f.reasons {
				if !slices.Contains(report.Reasons, reason) {
					report.Reasons = append(report.Reasons, reason)
				}
			}
		}
		return report
	}

	format := checkFormat(s)
	if format.sub != "" {
		return conclude(format)
	}
	references := checkReferences(s)
	signer, identified := identify(s)
	if signer != nil {
		report.Signer = ades.Signer{
			Subject: signer.Subject.String(), Serial: hexSerial(signer.Serial), PersonID: signer.PersonID(),
		}
	}
	if signer == nil {
		return conclude(identified, references)
	}
	path := c.checkCertificate(signer, s, &report)
	cryptography := references
	if cryptography.sub == "" {
		cryptography = checkValue(s, signer)
	} else {
		cryptography.also(checkValue(s, signer))
	}
	acceptance := c.checkAcceptance(s, signer, &report)
	acceptance.also(identified)
	switch {
	case cryptography.sub != "":
		report.Chain = nil // an unsigned claim of a chain is worth nothing
		report.Kind = ""
		return conclude(cryptography, acceptance, path)
	case indication(path.sub) == ades.TotalFailed:
		return conclude(path, acceptance)
	case acceptance.sub != "":
		return conclude(acceptance, path)
	}
	return conclude(path)
}

// validatedLevel never returns more than was validated: what a structure holds beyond B-B is not looked at here.
func validatedLevel(claimed ades.Level) ades.Level {
	switch claimed {
	case ades.LevelBT, ades.LevelBLT, ades.LevelBLTA:
		return ades.LevelBB
	}
	return claimed
}

// hexSerial writes a serial number as its octets, two digits each.
func hexSerial(n *big.Int) string {
	text := new(big.Int).Abs(n).Text(16)
	if len(text)%2 != 0 {
		text = "0" + text
	}
	if n.Sign() < 0 {
		text = "-" + text
	}
	return text
}

// checkFormat is EN 319 102-1, 5.2.2, over what the codec saw.
func checkFormat(s *ades.UnverifiedSignature) finding {
	var f finding
	for _, d := range s.Defects {
		if d.SubIndication != ades.SigConstraintsFailure { // that one is for acceptance
			f.also(found(ades.FormatFailure, "The signature's format is broken: %s.", d.Text))
		}
	}
	documents := 0
	for _, r := range s.References {
		if r.Type == signedPropertiesType && !r.SignedProperties {
			f.also(found(ades.FormatFailure, "A reference claims to cover the signed properties but covers something else."))
		}
		if !r.SignedProperties {
			documents++
		}
	}
	if documents == 0 {
		f.also(found(ades.FormatFailure, "The signature covers no document."))
	}
	if len(s.Value) == 0 || len(s.Signed) == 0 {
		f.also(found(ades.FormatFailure, "The signature has no value or signs nothing."))
	}
	return f
}
