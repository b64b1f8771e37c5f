package portal

import (
	"context"
	"errors"
	"net/http"
	"time"

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
	name, content, err := p.upload(r, "document", p.maxSigned)
	if errors.Is(err, errNoFile) {
		return p.show(w, r, http.StatusUnprocessableEntity, "verify", v, p.wrong(lang, "document.missing", "document"))
	}
	if err == nil {
		err = p.judging(ctx, func() (err error) {
			v.Report, err = p.Desk.Check(ctx, name, content)
			return err
		})
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

// patience is how long a document waits for its turn to be judged.
const patience = 20 * time.Second

// judging runs f when it is its turn: reading a document takes many times its size in memory. Who sends slowly waits
// outside. busy when the turn does not come in time.
func (p *portal) judging(ctx context.Context, f func() error) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case p.checking <- struct{}{}:
		defer func() { <-p.checking }()
		return f()
	case <-timer.C:
		return problem.New(problem.Busy, "too many documents are being judged")
	case <-ctx.Done():
		return ctx.Err()
	}
}
