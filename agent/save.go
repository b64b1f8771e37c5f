package agent

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"

	"certsign/internal/problem"
)

// What a page may hand over to be saved: as many certificates as are kept beside a key, none longer than any CA makes them.
const (
	maxSaved       = maxImportedChain
	maxCertificate = 16 << 10 // octets of DER
)

// doCertificateSave puts a certificate beside its key, as `certsign import FILE.cer` does, for a page. The certificate must
// lead to the site's own root, as one must that comes from an enrolment. Keys with a certificate of another authority are as
// good as absent: what else a person holds is neither for a page to learn nor to replace.
func (a *Agent) doCertificateSave(ctx context.Context, c caller, params json.RawMessage) (any, error) {
	if !c.site.May(MayEnroll) || c.site.CA == "" {
		return nil, problem.New(problem.SiteUnknown, "no certification authority is set for this site")
	}
	given, err := readSaved(params)
	if err != nil {
		return nil, err
	}
	if err := a.approval.patient(c.origin); err != nil {
		return nil, err
	}
	keys := a.Keys(ctx)
	leaf, known := given[0], a.known(keys, given)
	if err := a.fromSite(chainFrom(leaf, known), leaf, c.site); err != nil {
		return nil, err
	}
	keys = slices.DeleteFunc(keys, func(k Key) bool {
		held := parsed(k.Chain)
		return len(k.Chain) > 0 && (len(held) == 0 || !Identity{Key{Chain: chainFrom(held[0], known)}, held[0]}.IssuedBy(c.site.roots))
	})
	all, err := a.layBeside(ctx, c, keys, []*x509.Certificate{leaf}, known)
	result := CertificateSaveResult{}
	for _, l := range all {
		if l.State == SaveStored {
			a.approval.accepted(c.origin)
			a.tellEnrolled(ctx, c.origin, l.Identity)
		}
		result.Saved = append(result.Saved, SavedCertificate{l.result(), l.State})
	}
	if err != nil {
		return nil, err
	}
	return result, nil
}

// readSaved reads the certificates that a page hands over.
func readSaved(params json.RawMessage) ([]*x509.Certificate, error) {
	var p CertificateSaveParams
	if err := readParams(params, &p); err != nil {
		return nil, err
	}
	switch n := len(p.Certificates); {
	case n == 0:
		return nil, problem.New(problem.BadRequest, "there is no certificate")
	case n > maxSaved:
		return nil, problem.New(problem.TooLarge, "%d certificates are more than %d", n, maxSaved)
	}
	var given []*x509.Certificate
	for n, text := range p.Certificates {
		if len(text) > base64.StdEncoding.EncodedLen(maxCertificate) {
			return nil, problem.New(problem.TooLarge, "certificate %d is longer than %d octets", n+1, maxCertificate)
		}
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, problem.Wrap(problem.BadRequest, err, "certificate %d is not base64", n+1)
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, problem.Wrap(problem.BadRequest, err, "certificate %d is none", n+1)
		}
		given = append(given, certificate)
	}
	return given, nil
}

// fromSite checks that a certificate is the site's CA's and can be used.
func (a *Agent) fromSite(chain [][]byte, leaf *x509.Certificate, site Site) error {
	at := a.now()
	if at.Before(leaf.NotBefore) { // this computer's clock may be behind the CA's
		at = leaf.NotBefore
	}
	if at.After(leaf.NotAfter) {
		return problem.New(problem.CertificateExpired, "the certificate has expired")
	}
	return VerifyChain(chain, site.roots, at)
}
