package stepca

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/smallstep/certificates/api"
	apilog "github.com/smallstep/certificates/api/log"
	"github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/db"
	"go.step.sm/crypto/jose"

	"certsign/internal/problem"
)

// maxBody is far above a request with a 4096-bit CSR and its token.
const maxBody = 64 << 10

// refusal is a problem with its HTTP status, in a form that step-ca passes on unchanged.
type refusal struct {
	problem *problem.Error
	status  int
}

// Error implements error.
func (r *refusal) Error() string { return r.problem.Error() }

// StatusCode implements render.StatusCodedError.
func (r *refusal) StatusCode() int { return r.status }

// Unwrap keeps the problem visible to errors.As.
func (r *refusal) Unwrap() error { return r.problem }

// Render implements render.RenderableError: step-ca's status and message, and the code beside them.
func (r *refusal) Render(w http.ResponseWriter, _ *http.Request) {
	answer(w, r.status, r.problem.Code, r.problem.Detail)
}

// asRefusal gives the ledger's problems a status; other errors pass.
func asRefusal(err error) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err
	}
	switch p.Code {
	case problem.NotFound:
		return &refusal{p, http.StatusNotFound}
	case problem.StateForbids, problem.ReasonForbidden, problem.BadRequest:
		return &refusal{p, http.StatusBadRequest}
	case problem.Internal:
		return err
	default:
		return &refusal{p, http.StatusForbidden}
	}
}

func answer(w http.ResponseWriter, status int, code problem.Code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Status  int          `json:"status"`
		Message string       `json:"message"`
		Code    problem.Code `json:"code"`
	}{status, message, code})
}

// Handler returns the CA's HTTP API: step-ca's, under /1.0 and at the top where the step command looks for it, and
// /api/v1/enrolments/{csrSHA256}, with which an interrupted enrolment is taken up again.
func (i *Issuer) Handler() http.Handler {
	mux := chi.NewRouter()
	mux.Use(i.frame)
	mux.Get("/api/v1/enrolments/{csrSHA256}", i.issued)
	guarded := mux.With(i.guard)
	api.Route(guarded)
	mux.Route("/1.0", func(r chi.Router) { api.Route(r.With(i.guard)) })
	mux.NotFound(func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusNotFound, problem.NotFound, "nothing is at "+truncate(r.URL.Path, 200))
	})
	return mux
}

func truncate(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// frame bounds each request and hands step-ca's handlers what they look for in its context.
func (i *Issuer) frame(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		ctx := authority.NewContext(r.Context(), i.authority)
		ctx = db.NewContext(ctx, &book{i})
		ctx = apilog.WithErrorLogger(ctx, func(_ http.ResponseWriter, r *http.Request, err error) {
			i.c.Log.Info("refused", "path", r.URL.Path, "code", string(problem.CodeOf(err)), "error", err)
		})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// guard looks at /sign and /revoke before step-ca does, so that a token is not spent on a request that cannot succeed.
func (i *Issuer) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var check func([]byte) *refusal
		switch strings.TrimPrefix(r.URL.Path, "/1.0") {
		case "/sign":
			check = i.checkSign
		case "/revoke":
			check = i.checkRevoke
		case "/renew", "/rekey", "/re-sign":
			answer(w, http.StatusForbidden, problem.Unsupported, "customs certificates are not renewed; generate a new one")
			return
		default:
			next.ServeHTTP(w, r)
			return
		}
		if r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			var long *http.MaxBytesError
			if errors.As(err, &long) {
				answer(w, http.StatusRequestEntityTooLarge, problem.TooLarge, "the request is too long")
				return
			}
			answer(w, http.StatusBadRequest, problem.BadRequest, "the request broke off")
			return
		}
		if wrong := check(body); wrong != nil {
			i.c.Log.Info("refused", "path", r.URL.Path, "code", string(wrong.problem.Code))
			wrong.Render(w, r)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// checkSign refuses a token that is not ours, has expired, or is for another CSR. step-ca checks all of this again; that a
// token is spent once is the ledger's to say.
func (i *Issuer) checkSign(body []byte) *refusal {
	var q struct {
		CSR string `json:"csr"`
		OTT string `json:"ott"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return &refusal{problem.New(problem.BadRequest, "the body is not the JSON of a signing request"), http.StatusBadRequest}
	}
	block, rest := pem.Decode([]byte(q.CSR))
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return &refusal{problem.New(problem.CSRInvalid, "csr is not a PEM certification request"), http.StatusBadRequest}
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || csr.CheckSignature() != nil {
		return &refusal{problem.New(problem.CSRInvalid, "the certification request is malformed or its signature is wrong"), http.StatusBadRequest}
	}
	c, wrong := i.believe(q.OTT)
	if wrong != nil {
		return wrong
	}
	if c.Confirmation.CSR != csrThumbprint(block.Bytes) {
		return &refusal{problem.New(problem.TokenForOtherCSR, "the token was minted for another certification request"), http.StatusForbidden}
	}
	return nil
}

// believe verifies a token's signature and times.
func (i *Issuer) believe(ott string) (claims, *refusal) {
	var c claims
	invalid := &refusal{problem.New(problem.TokenInvalid, "the token was not minted here"), http.StatusUnauthorized}
	token, err := jose.ParseSigned(ott)
	if err != nil || len(token.Headers) != 1 || token.Headers[0].Algorithm != string(jose.ES256) || token.Headers[0].KeyID != i.kid {
		return c, invalid
	}
	if err := token.Claims(i.c.Provisioner.Public(), &c); err != nil {
		return c, invalid
	}
	// RFC 7519, 4.1.4; the minute is step-ca's own leeway.
	if c.Expiry == nil || i.c.Now().After(c.Expiry.Time().Add(time.Minute)) {
		return c, &refusal{problem.New(problem.TokenExpired, "the token has expired; have a new one made in the portal"), http.StatusUnauthorized}
	}
	return c, nil
}

// checkRevoke lets through what ends a certificate for good, and only with a token. A suspension, its end, and anything
// that a client certificate would want are refused: whoever stole a key must not decide about it.
func (i *Issuer) checkRevoke(body []byte) *refusal {
	var q struct {
		OTT        string `json:"ott"`
		ReasonCode int    `json:"reasonCode"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return &refusal{problem.New(problem.BadRequest, "the body is not the JSON of a revocation request"), http.StatusBadRequest}
	}
	switch q.ReasonCode {
	case 6, 7, 8:
		return &refusal{problem.New(problem.ReasonForbidden, "reason %d is not permanent; suspension and resumption are the portal's", q.ReasonCode), http.StatusBadRequest}
	}
	if q.OTT == "" {
		return &refusal{problem.New(problem.Forbidden, "a revocation needs a token"), http.StatusForbidden}
	}
	_, wrong := i.believe(q.OTT)
	return wrong
}

// issued answers GET /api/v1/enrolments/{csrSHA256}.
func (i *Issuer) issued(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	none := "no certificate for that request and token"
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		w.Header().Set("WWW-Authenticate", "Bearer")
		answer(w, http.StatusNotFound, problem.NotFound, none)
		return
	}
	c, err := i.c.Ledger.Issued(r.Context(), strings.ToLower(chi.URLParam(r, "csrSHA256")), token)
	if problem.CodeOf(err) == problem.NotFound {
		answer(w, http.StatusNotFound, problem.NotFound, none)
		return
	}
	if err != nil {
		i.c.Log.Error("enrolment", "error", err)
		answer(w, http.StatusInternalServerError, problem.Internal, "internal error")
		return
	}
	out := struct {
		Certificate string   `json:"certificate"` // base64 DER
		Chain       []string `json:"chain"`       // base64 DER, without the certificate itself
	}{base64.StdEncoding.EncodeToString(c.DER), []string{}}
	for _, der := range c.Chain {
		out.Chain = append(out.Chain, base64.StdEncoding.EncodeToString(der))
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}
