package agent

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"certsign/internal/pkix"
	"certsign/internal/problem"
)

// Identity is a key in a store with its own certificate.
type Identity struct {
	Key         Key
	Certificate *x509.Certificate
}

// Identities returns the keys of every store that have a certificate, in the stores' order. A store that cannot be read
// now is left out and logged: an absent card must not hide a file.
func (a *Agent) Identities(ctx context.Context) []Identity {
	var all []Identity
	for _, k := range a.Keys(ctx) {
		if len(k.Chain) == 0 {
			continue
		}
		c, err := x509.ParseCertificate(k.Chain[0])
		if err != nil {
			a.log.Warn("a certificate in a store cannot be read", "store", k.Store, "key", k.ID, "err", err)
			continue
		}
		all = append(all, Identity{Key: k, Certificate: c})
	}
	return all
}

// Keys returns the keys of every store, with and without certificates.
func (a *Agent) Keys(ctx context.Context) []Key {
	var all []Key
	for _, s := range a.stores {
		keys, err := s.List(ctx)
		if err != nil {
			a.log.Warn("a store cannot be listed", "store", s.Name(), "err", err)
			continue
		}
		all = append(all, keys...)
	}
	return all
}

// IssuedBy tells whether the certificate chains to one of the site's roots, with the intermediates that stand beside the
// key. Time plays no part: an expired certificate was still issued by that CA.
func (i Identity) IssuedBy(roots []*x509.Certificate) bool {
	at := i.Certificate.NotBefore
	for _, der := range i.Key.Chain[1:] { // a moment at which whatever stands above was valid
		if c, err := pkix.ParseCertificate(der); err == nil && c.NotBefore.After(at) {
			at = c.NotBefore
		}
	}
	return len(roots) > 0 && verifyChain(i.Key.Chain, roots, pkix.Input{At: at, AnyTimeForLeaf: true}) == nil
}

// VerifyChain checks that chain (DER, the end certificate first) leads to one of roots at that moment (RFC 5280, 6.1).
// Status is not checked.
func VerifyChain(chain [][]byte, roots []*x509.Certificate, at time.Time) error {
	return verifyChain(chain, roots, pkix.Input{At: at})
}

func verifyChain(chain [][]byte, roots []*x509.Certificate, in pkix.Input) error {
	if len(chain) == 0 {
		return problem.New(problem.CertificateMismatch, "there is no certificate")
	}
	anchors := make([]*pkix.Certificate, len(roots))
	for n, r := range roots {
		c, err := pkix.ParseCertificate(r.Raw)
		if err != nil {
			return problem.Wrap(problem.CAMismatch, err, "the site's root certificate cannot be read")
		}
		anchors[n] = c
	}
	verifier := pkix.NewVerifier(anchors)
	var leaf *pkix.Certificate
	for n, der := range chain {
		c, err := pkix.ParseCertificate(der)
		if err != nil {
			return problem.Wrap(problem.CertificateMismatch, err, "a certificate cannot be read")
		}
		if n == 0 {
			leaf = c
		} else {
			verifier.AddCertificate(c)
		}
	}
	why := errNoPath
	for path := range verifier.Paths(leaf) {
		if len(path) < 2 {
			continue // the root itself is nobody's certificate
		}
		if _, why = verifier.Check(path, in); why == nil {
			return nil
		}
	}
	return problem.Wrap(problem.CertificateMismatch, why, "the certificate does not come from the site's CA")
}

var errNoPath = errors.New("no path leads to a root")

// view is how a person sees the identity.
func (i Identity) view(now time.Time) CertificateView {
	c := i.Certificate
	v := CertificateView{
		Key: i.Key.Store + "/" + i.Key.ID, Subject: displayName(c.RawSubject), Issuer: displayName(c.RawIssuer),
		Serial: SerialHex(c), Store: i.Key.Store, Where: i.Key.Where, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		DaysLeft: int(math.Floor(c.NotAfter.Sub(now).Hours() / 24)), Hardware: i.Key.Hardware,
	}
	switch {
	case now.Before(c.NotBefore) || now.After(c.NotAfter):
		v.Problem = string(problem.CertificateExpired)
	// RFC 5280, 4.2.1.3: a certificate with keyUsage signs only with digitalSignature or contentCommitment.
	case c.KeyUsage != 0 && c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0:
		v.Problem = string(problem.NoCertificate)
	}
	return v
}

// displayName is the common name in a Name (DER), or all of it.
func displayName(raw []byte) string {
	if n, err := pkix.ParseName(raw); err == nil && n.Find(pkix.TypeCommonName) != "" {
		return n.Find(pkix.TypeCommonName)
	}
	return DistinguishedName(raw)
}

// DistinguishedName returns a Name (DER) as RFC 4514 writes it, its attributes by the names that people know.
func DistinguishedName(raw []byte) string {
	n, err := pkix.ParseName(raw)
	if err != nil {
		return fmt.Sprintf("#%x", raw) // RFC 4514, 2.4, as for a value that is no string
	}
	return n.String()
}

// SerialHex is a certificate's serial number as people compare it: lower case hex, whole octets.
func SerialHex(c *x509.Certificate) string {
	s := fmt.Sprintf("%x", c.SerialNumber)
	if len(s)%2 == 1 {
		s = "0" + s
	}
	return s
}

// offer is what may be signed with; ids and views belong together.
type offer struct {
	ids   []Identity
	views []CertificateView
}

// offer orders what may be signed with: the site's own CA first, then what can be used, then what lasts longest.
func (a *Agent) offer(ctx context.Context, site Site) offer {
	type choice struct {
		Identity
		view CertificateView
		own  bool
	}
	now := a.now()
	var all []choice
	for _, i := range a.Identities(ctx) {
		all = append(all, choice{i, i.view(now), i.IssuedBy(site.roots)})
	}
	rank := func(c choice) int {
		r := 0
		if c.view.Problem != "" {
			r += 2
		}
		if !c.own {
			r++
		}
		return r
	}
	slices.SortStableFunc(all, func(x, y choice) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)), y.view.NotAfter.Compare(x.view.NotAfter))
	})
	o := offer{make([]Identity, len(all)), make([]CertificateView, len(all))}
	for n, c := range all {
		o.ids[n], o.views[n] = c.Identity, c.view
	}
	return o
}

func (i Identity) result() CertificateResult {
	return certificateResult(i.Certificate, i.Key.Chain, i.Key.Store)
}

func certificateResult(c *x509.Certificate, chain [][]byte, store string) CertificateResult {
	r := CertificateResult{
		Certificate: base64.StdEncoding.EncodeToString(c.Raw), Chain: []string{}, Serial: SerialHex(c),
		Subject: DistinguishedName(c.RawSubject), Issuer: DistinguishedName(c.RawIssuer), NotAfter: c.NotAfter.UTC().Format(time.RFC3339), Store: store,
	}
	for _, der := range chain[1:] {
		r.Chain = append(r.Chain, base64.StdEncoding.EncodeToString(der))
	}
	return r
}

// doCertificates answers with the certificates that the site's own CA issued, and with no others: what else a person
// holds is not for a page to know.
func (a *Agent) doCertificates(ctx context.Context, c caller, _ json.RawMessage) (any, error) {
	if err := c.may(MayList); err != nil {
		return nil, err
	}
	r := CertificatesResult{Certificates: []CertificateResult{}}
	for _, i := range a.Identities(ctx) {
		if i.IssuedBy(c.site.roots) {
			r.Certificates = append(r.Certificates, i.result())
		}
	}
	return r, nil
}
