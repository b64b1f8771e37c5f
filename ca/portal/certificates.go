package portal

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"certsign/ca"
	"certsign/internal/keyorigin"
	"certsign/internal/problem"
)

// kinds are the requests that a person may file about a certificate.
var kinds = []ca.RequestKind{ca.Suspend, ca.Resume, ca.Revoke}

// Actions of a certificate in that state: active ones may be suspended or revoked, suspended ones resumed or revoked,
// the others are final.
func actions(state ca.State) []ca.RequestKind {
	switch state {
	case ca.Active:
		return []ca.RequestKind{ca.Suspend, ca.Revoke}
	case ca.Suspended:
		return []ca.RequestKind{ca.Resume, ca.Revoke}
	default:
		return nil
	}
}

type certificateRow struct {
	ca.Certificate
	Actions []ca.RequestKind
}

type certificateList struct {
	Rows        []certificateRow
	Eligibility ca.Eligibility
}

func (p *portal) getCertificates(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	certificates, err := p.Desk.Certificates(ctx, account(ctx).ID)
	if err != nil {
		return err
	}
	var list certificateList
	for _, c := range certificates {
		list.Rows = append(list.Rows, certificateRow{c, actions(c.State)})
	}
	if list.Eligibility, err = p.Desk.Eligibility(ctx, account(ctx).ID); err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, "certificates", list)
}

// certificate returns the one that the path names, when it is the account's own.
func (p *portal) certificate(r *http.Request) (*ca.Certificate, error) {
	return p.Desk.Certificate(r.Context(), account(r.Context()).ID, r.PathValue("serial"))
}

func (p *portal) getCertificate(w http.ResponseWriter, r *http.Request) error {
	return p.showCertificate(w, r, "certificate")
}

// getIssued is the last step of generating: save the certificate, download the confirmation, check the data.
func (p *portal) getIssued(w http.ResponseWriter, r *http.Request) error {
	return p.showCertificate(w, r, "issued")
}

type certificateView struct {
	certificateRow
	Person *ca.Person
}

func (p *portal) showCertificate(w http.ResponseWriter, r *http.Request, page string) error {
	c, err := p.certificate(r)
	if err != nil {
		return err
	}
	person, err := p.personOf(r.Context())
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, page, certificateView{certificateRow{*c, actions(c.State)}, person})
}

// getIssuedFor leads from a CSR's digest, which is what the page knows after an enrolment, to its certificate.
func (p *portal) getIssuedFor(w http.ResponseWriter, r *http.Request) error {
	certificates, err := p.Desk.Certificates(r.Context(), account(r.Context()).ID)
	if err != nil {
		return err
	}
	for _, c := range certificates {
		if c.CSRSHA256 != "" && strings.EqualFold(c.CSRSHA256, r.URL.Query().Get("csr")) {
			http.Redirect(w, r, "/my/certificates/"+c.Serial+"/issued", http.StatusSeeOther)
			return nil
		}
	}
	return problem.New(problem.NotFound, "no certificate of yours was issued for that request")
}

func (p *portal) getCertificateFile(w http.ResponseWriter, r *http.Request) error {
	c, err := p.certificate(r)
	if err != nil {
		return err
	}
	return download(w, "application/pkix-cert", "certificate-"+c.Serial+".cer", c.DER)
}

func (p *portal) getConfirmation(w http.ResponseWriter, r *http.Request) error {
	pdf, serial, err := p.confirmation(r.Context(), r)
	if err != nil {
		return err
	}
	return download(w, "application/pdf", "confirmation-"+serial+".pdf", pdf)
}

func (p *portal) confirmation(ctx context.Context, r *http.Request) ([]byte, string, error) {
	c, err := p.certificate(r)
	if err != nil {
		return nil, "", err
	}
	person, err := p.Desk.Person(ctx, account(ctx).ID)
	if err != nil {
		return nil, "", err
	}
	code, err := p.Desk.VerificationCode(ctx, account(ctx).ID, c.Serial)
	if err != nil {
		return nil, "", err
	}
	pdf, err := p.Confirmation(ctx, c, person, code)
	return pdf, c.Serial, err
}

// download hands over bytes to be saved; even opened in the browser they run nothing.
func download(w http.ResponseWriter, kind, name string, content []byte) error {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", uploadPolicy)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	h.Set("Content-Length", fmt.Sprint(len(content)))
	_, err := w.Write(content)
	return err
}

// keyDescription names a certificate's key as people compare keys.
func keyDescription(c ca.Certificate) string {
	switch k := c.X509.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC " + k.Params().Name
	default:
		return c.X509.PublicKeyAlgorithm.String()
	}
}

// statedOrigin says what the agent stated of how a key came to be, as its word and nobody's proof.
func statedOrigin(c catalogue, s *keyorigin.Statement) string {
	if s == nil {
		return c.text("origin.none")
	}
	store := s.Store
	if key := "origin.store." + s.Store; c.has(key) {
		store = c.text(key)
	}
	facts := []string{store}
	if s.By != "" {
		facts[0] = c.text("origin.by", store, strings.NewReplacer("“", `"`, "”", `"`, "„", `"`).Replace(s.By)) // its words are not ours
	}
	if s.Local != "" {
		facts = append(facts, c.text("origin.local."+s.Local))
	}
	if s.NeverExtractable != "" {
		facts = append(facts, c.text("origin.never-extractable."+s.NeverExtractable))
	}
	return c.text("origin.stated", strings.Join(facts, "; "))
}
