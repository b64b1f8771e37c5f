package portal

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"certsign/ca"
	"certsign/internal/problem"
)

// statuses are the HTTP statuses of problems; those that are not here are 400.
var statuses = map[problem.Code]int{
	problem.LoginFailed:          http.StatusUnauthorized,
	problem.SecondFactorRequired: http.StatusForbidden,
	problem.SecondFactorFailed:   http.StatusForbidden,
	problem.NotEligible:          http.StatusForbidden,
	problem.TermsNotAccepted:     http.StatusForbidden,
	problem.TooManyCertificates:  http.StatusForbidden,
	problem.Forbidden:            http.StatusForbidden,
	problem.CodeLocked:           http.StatusForbidden,
	problem.NotFound:             http.StatusNotFound,
	problem.KeyAlreadyCertified:  http.StatusConflict,
	problem.StateForbids:         http.StatusConflict,
	problem.TooLarge:             http.StatusRequestEntityTooLarge,
	problem.CodeIncorrect:        http.StatusUnprocessableEntity,
	problem.ReasonForbidden:      http.StatusUnprocessableEntity,
	problem.RateLimited:          http.StatusTooManyRequests,
	problem.Busy:                 http.StatusServiceUnavailable,
	problem.CAUnreachable:        http.StatusServiceUnavailable,
	problem.Internal:             http.StatusInternalServerError,
}

func statusOf(code problem.Code) int {
	if s, ok := statuses[code]; ok {
		return s
	}
	return http.StatusBadRequest
}

// asProblem turns what net/http reports about an overlong body into the problem it is.
func asProblem(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return problem.Wrap(problem.TooLarge, err, "more than %d octets", tooLarge.Limit)
	}
	return err
}

// describe returns what a person reads about err in that language.
func describe(lang string, err error) *shown {
	e := problem.Describe(problem.CodeOf(err), lang)
	return &shown{Code: string(e.Code), Title: e.Message, Remedy: e.Remedy}
}

// at joins a problem to the input that it belongs to.
func (s *shown) at(field string) *shown {
	s.Field = field
	return s
}

// wrong is a mistake in a form that the portal found itself, from its own texts.
func (p *portal) wrong(lang, key, field string) *shown {
	return &shown{Title: p.texts[lang].text(key), Field: field}
}

// fail answers with an error: as problem+json below /api/, as a page elsewhere. What is not a problem is a fault of the
// portal: outside only a reference is told, the log has the chain.
func (p *portal) fail(w http.ResponseWriter, r *http.Request, err error) {
	err = asProblem(err)
	code := problem.CodeOf(err)
	ref := ""
	if code == problem.Internal {
		ref = reference()
		p.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "reference", ref, "error", err)
	} else {
		p.Log.Info("request refused", "method", r.Method, "path", r.URL.Path, "code", code)
	}
	if code == problem.RateLimited {
		w.Header().Set("Retry-After", "60")
	}
	lang := langOf(r.Context())
	if isAPI(r) {
		p.failJSON(w, lang, code, problem.DetailOf(err), ref)
		return
	}
	s := describe(lang, err)
	s.Reference = ref
	if showErr := p.show(w, r, statusOf(code), "problem", s); showErr != nil {
		p.Log.Error("error page failed", "error", showErr)
		http.Error(w, s.Title, statusOf(code))
	}
}

// problemDocument is RFC 9457's object with our code.
type problemDocument struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Detail    string `json:"detail,omitempty"`
	Remedy    string `json:"remedy,omitempty"`
	Reference string `json:"reference,omitempty"`
}

func (p *portal) failJSON(w http.ResponseWriter, lang string, code problem.Code, detail, ref string) {
	e := problem.Describe(code, lang)
	status := statusOf(code)
	if code == problem.Internal {
		detail = ""
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Language", lang)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(problemDocument{
		Type: "urn:certsign:problem:" + string(code), Title: e.Message, Status: status, Code: string(code),
		Detail: detail, Remedy: e.Remedy, Reference: ref,
	})
}

func (p *portal) notFound(_ http.ResponseWriter, r *http.Request) error {
	return problem.New(problem.NotFound, "nothing is at %.200q", r.URL.Path)
}

// refusal says in plain words why a submission was refused: in the portal's own words where it has some, else in those
// of the catalogue of problems.
func (p *portal) refusal(lang string, d ca.Document) *shown {
	c := p.texts[lang]
	if key := "refusal." + d.Problem; c.has(key) {
		s := &shown{Code: d.Problem, Title: c.text(key)}
		if c.has(key + ".remedy") {
			s.Remedy = c.text(key + ".remedy")
		}
		return s
	}
	if slices.Contains(problem.Codes(), problem.Code(d.Problem)) {
		e := problem.Describe(problem.Code(d.Problem), lang)
		return &shown{Code: d.Problem, Title: e.Message, Remedy: e.Remedy}
	}
	return &shown{Code: d.Problem, Title: c.text("refusal.other"), Remedy: c.text("refusal.other.remedy")}
}
