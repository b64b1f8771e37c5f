package validate

import (
	"crypto"
	"fmt"
	"slices"
	"strings"
	"time"

	"certsign/internal/ades"
	"certsign/internal/pkix"
)

// ETSI returns the policy "etsi": EN 319 102-1 as it stands, with the algorithms of TS 119 312.
func ETSI(trust ades.Trust) ades.Policy {
	return ades.Policy{
		Name:       "etsi",
		Trust:      trust,
		Revocation: ades.RevocationRequired,
		Time:       ades.ProofOfExistence,
		Hashes:     acceptableHashes(),
		MinRSABits: 1900, // TS 119 312, as the agreed mechanisms of SOG-IS have it
		MinECBits:  256,

		RequireSignedCertificate: true,
	}
}

// Portal returns the policy "puesc": what the portal accepts. A signature counts only when, at the moment of the check, its
// certificate is neither expired nor revoked nor on hold; it must cover the whole document and claim a signing time.
func Portal(trust ades.Trust) ades.Policy {
	p := ETSI(trust)
	p.Name = "puesc"
	p.Time = ades.MomentOfCheck
	p.MinRSABits = 2048
	p.RequireSigningTime = true
	p.RequireWhole = true
	return p
}

func acceptableHashes() map[crypto.Hash]time.Time {
	return map[crypto.Hash]time.Time{
		crypto.SHA224:   time.Date(2025, time.December, 31, 23, 59, 59, 0, time.UTC),
		crypto.SHA256:   {},
		crypto.SHA384:   {},
		crypto.SHA512:   {},
		crypto.SHA3_256: {},
		crypto.SHA3_384: {},
		crypto.SHA3_512: {},
	}
}

// checkAcceptance is EN 319 102-1, 5.2.8: constraints on the signature's elements and on cryptography.
func (c *context) checkAcceptance(s *ades.UnverifiedSignature, signer *pkix.Certificate, report *ades.SignatureReport) finding {
	var f finding
	for _, d := range s.Defects {
		if d.SubIndication == ades.SigConstraintsFailure {
			f.also(found(ades.SigConstraintsFailure, "The signature breaks a rule of its format: %s.", d.Text))
		}
	}
	if c.policy.RequireSignedCertificate {
		f.also(checkSignedProperties(s))
		if len(s.SigningCertificate) == 0 {
			f.also(found(ades.SigConstraintsFailure, "The signature has no signed reference to the signer's certificate, so it is no advanced signature."))
		}
	}
	if c.policy.RequireSigningTime && s.ClaimedSigningTime.IsZero() {
		f.also(found(ades.SigConstraintsFailure, "The signature does not say when it was made."))
	}
	if c.policy.RequireWhole && s.Coverage != ades.CoversWhole {
		f.also(found(ades.SigConstraintsFailure, "The signature covers only a part of the document."))
	}
	f.also(c.checkCryptography(s, signer, report.Chain))
	return f
}

// checkSignedProperties demands that what XAdES calls signed properties is signed (EN 319 132-1, 4.4.2). In CMS the signed
// attributes are what the value itself signs.
func checkSignedProperties(s *ades.UnverifiedSignature) finding {
	if s.Format != ades.XAdES && !strings.HasPrefix(s.Algorithm.Name, "http") {
		return finding{}
	}
	covering := 0
	var f finding
	for _, r := range s.References {
		if !r.SignedProperties {
			continue
		}
		covering++
		if r.Type != signedPropertiesType {
			f.also(found(ades.SigConstraintsFailure, "The reference to the signed properties lacks its type."))
		}
	}
	if covering != 1 {
		f.also(found(ades.SigConstraintsFailure, "The signed properties are covered by %d references of the signature in place of one.", covering))
	}
	return f
}

// checkCryptography applies the cryptographic constraints to the signature, its references and the chain below the anchor.
// The only proof of existence is the moment of validation, hence the sub-indication.
func (c *context) checkCryptography(s *ades.UnverifiedSignature, signer *pkix.Certificate, chain [][]byte) finding {
	var f finding
	weak := func(format string, args ...any) {
		f.also(found(ades.CryptoConstraintsFailureNoPOE, format, args...))
	}
	hash := func(h crypto.Hash, where string) {
		if h != 0 && !c.acceptsHash(h) { // 0, an unknown one, is found elsewhere
			weak("The %s uses the digest %s, which is not secure enough.", where, h)
		}
	}
	hash(s.Algorithm.Hash, "signature")
	for _, r := range s.References {
		hash(r.Hash, "reference to what is signed")
	}
	for _, r := range s.SigningCertificate {
		hash(r.Hash, "reference to the signer's certificate")
	}
	if text := c.weakKey(signer); text != "" {
		weak("The signer's key %s.", text)
	}
	for i := range max(len(chain)-1, 0) {
		cert, err := pkix.ParseCertificate(chain[i])
		if err != nil {
			continue // it was read before
		}
		hash(cert.SignatureAlgorithm.Hash(), fmt.Sprintf("certificate of %s", cert.Subject))
		if i == 0 {
			continue
		}
		if text := c.weakKey(cert); text != "" {
			weak("The key of %s %s.", cert.Subject, text)
		}
	}
	return f
}

func (c *context) acceptsHash(h crypto.Hash) bool {
	end, known := c.policy.Hashes[h]
	return known && (end.IsZero() || !c.at.After(end))
}

func (c *context) weakKey(cert *pkix.Certificate) string {
	bits, least := pkix.KeyBits(cert.PublicKey), c.policy.MinECBits
	if isFiniteField(cert.PublicKey) {
		least = c.policy.MinRSABits
	}
	if bits >= least {
		return ""
	}
	if bits == 0 {
		return "is of a kind that is not supported"
	}
	return fmt.Sprintf("has %d bits, fewer than the %d that are secure enough", bits, least)
}

// hasPolicy tells whether the signer's certificate has one of the certificate policies that are asked for.
func hasPolicy(signer *pkix.Certificate, wanted []string) bool {
	return slices.ContainsFunc(signer.Policies(), func(p string) bool { return slices.Contains(wanted, p) })
}
