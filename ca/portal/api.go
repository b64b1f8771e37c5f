package portal

import (
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"certsign/ca"
	"certsign/internal/problem"
)

//go:embed openapi.json
var openAPI []byte

// maxEnrolment bounds the JSON around a CSR: an RSA-4096 request has about 1.8 kB in base64.
const maxEnrolment = 16 << 10

func writeJSON(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(v)
}

type sessionAnswer struct {
	Authenticated bool   `json:"authenticated"`
	Email         string `json:"email,omitempty"`
	Language      string `json:"language"`
	// SecondFactor tells whether an enrolment would be let through now.
	SecondFactor bool   `json:"secondFactor"`
	Terms        string `json:"terms"` // the version in force
}

func (p *portal) apiSession(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	s := sessionAnswer{Language: langOf(ctx), Terms: p.Desk.Terms()}
	if a := account(ctx); a != nil {
		s.Authenticated, s.Email, s.SecondFactor = true, a.Email, p.passed(ctx, purposeGenerate, "")
	}
	return writeJSON(w, http.StatusOK, s)
}

type enrolmentQuestion struct {
	CSR []byte `json:"csr"` // base64 DER
}

type enrolmentAnswer struct {
	ID        string `json:"id"`
	Token     string `json:"token"`
	CSRSHA256 string `json:"csrSHA256"`
	CA        string `json:"ca"`
}

// apiEnroll decides on a CSR: only for a page of this portal, with a fresh second factor and the terms confirmed.
func (p *portal) apiEnroll(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if !p.ownOrigin(r) {
		return problem.New(problem.Forbidden, "the request came from another site")
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return problem.New(problem.BadRequest, "the body must be application/json")
	}
	if !p.passed(ctx, purposeGenerate, "") {
		return problem.New(problem.SecondFactorRequired, "enter the code from the e-mail first")
	}
	if p.sessions.GetString(ctx, keyTerms) != p.Desk.Terms() {
		return problem.New(problem.TermsNotAccepted, "confirm the terms first")
	}
	var q enrolmentQuestion
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxEnrolment))
	if err := decoder.Decode(&q); err != nil {
		return malformed(err)
	}
	if len(q.CSR) == 0 {
		return problem.New(problem.CSRInvalid, "there is no csr")
	}
	if !p.csrs.allow(p.sessions.GetString(ctx, keyPass)) {
		p.forget(ctx, purposeGenerate, "")
		return problem.New(problem.SecondFactorRequired, "the code was used for %d requests already", enrolmentsPerFactor)
	}
	e, err := p.Desk.Enroll(ctx, account(ctx).ID, q.CSR)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, enrolmentAnswer{ID: e.ID, Token: e.Token, CSRSHA256: e.CSRSHA256, CA: e.CA})
}

type issuedAnswer struct {
	Certificate string   `json:"certificate"` // base64 DER
	Chain       []string `json:"chain"`       // base64 DER, without the certificate itself
}

// apiIssued hands an enrolment's certificate to whoever holds its token. It says not_found whatever is wrong.
func (p *portal) apiIssued(w http.ResponseWriter, r *http.Request) error {
	if !p.bearers.allow(address(r)) {
		return problem.New(problem.RateLimited, "too many requests")
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return problem.New(problem.NotFound, "no certificate for that request and token")
	}
	c, err := p.Desk.Issued(r.Context(), strings.ToLower(r.PathValue("csrSHA256")), token)
	if err != nil {
		return err
	}
	a := issuedAnswer{Certificate: base64.StdEncoding.EncodeToString(c.DER), Chain: []string{}}
	for _, der := range c.Chain {
		a.Chain = append(a.Chain, base64.StdEncoding.EncodeToString(der))
	}
	return writeJSON(w, http.StatusOK, a)
}

type documentAnswer struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	State     string `json:"state"`
	Reference string `json:"reference,omitempty"`
	// Problem, Title, Remedy and Detail say why a submission was refused.
	Problem string `json:"problem,omitempty"`
	Title   string `json:"title,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
	Detail  string `json:"detail,omitempty"`
	Receipt string `json:"receipt,omitempty"` // path of the sealed receipt
	Page    string `json:"page"`
	Sent    string `json:"sent,omitempty"` // RFC 3339
}

// apiSubmit takes the signed document's bytes as the body. A refusal is an outcome: 200 with state "refused".
func (p *portal) apiSubmit(w http.ResponseWriter, r *http.Request) error {
	if !p.ownOrigin(r) {
		return problem.New(problem.Forbidden, "the request came from another site")
	}
	signed, err := io.ReadAll(http.MaxBytesReader(w, r.Body, p.maxSigned))
	if err != nil {
		return malformed(err)
	}
	if len(signed) == 0 {
		return problem.New(problem.BadRequest, "the body is empty")
	}
	d, err := p.submit(r, signed)
	if err != nil {
		return err
	}
	a := documentAnswer{
		ID: d.ID, Name: d.Name, State: string(d.State), Reference: d.Reference, Page: "/my/documents/" + d.ID,
	}
	if !d.Sent.IsZero() {
		a.Sent = d.Sent.UTC().Format(time.RFC3339)
	}
	if d.State == ca.Refused {
		s := p.refusal(langOf(r.Context()), *d)
		a.Problem, a.Title, a.Remedy, a.Detail = d.Problem, s.Title, s.Remedy, d.Detail
	}
	if len(d.Receipt) > 0 {
		a.Receipt = a.Page + "/receipt"
	}
	return writeJSON(w, http.StatusOK, a)
}

func (p *portal) apiDescription(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(openAPI)
	return err
}
