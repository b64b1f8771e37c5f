package portal

import (
	"errors"
	"net/http"

	"certsign/internal/ades"
	"certsign/internal/problem"
)

type verdict struct {
	Max    int
	Report *ades.Report // nil before a file was given
}

func (p *portal) getVerify(w http.ResponseWriter, r *http.Request) error {
	return p.show(w, r, http.StatusOK, "verify", verdict{Max: int(p.maxSigned)})
}

func (p *portal) postVerify(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	lang := langOf(ctx)
	v := verdict{Max: int(p.maxSigned)}
	if !p.checks.allow(address(r)) {
		return problem.New(problem.RateLimited, "too many documents to check")
	}
	select {
	case p.checking <- struct{}{}:
		defer func() { <-p.checking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	name, content, err := p.upload(r, "document", p.maxSigned)
	if errors.Is(err, errNoFile) {
		return p.show(w, r, http.StatusUnprocessableEntity, "verify", v, p.wrong(lang, "document.missing", "document"))
	}
	if err == nil {
		v.Report, err = p.Desk.Check(ctx, name, content)
	}
	if err != nil {
		err = asProblem(err)
		if code := problem.CodeOf(err); code != problem.Internal {
			return p.show(w, r, statusOf(code), "verify", v, describe(lang, err).at("document"))
		}
		return err
	}
	return p.show(w, r, http.StatusOK, "verify", v)
}
