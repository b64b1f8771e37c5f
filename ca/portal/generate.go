package portal

import (
	"fmt"
	"net/http"
	"strings"

	"certsign/ca"
	"certsign/internal/problem"
)

const generatePath = "/my/certificates/generate"

// sendFactor has a one-time code e-mailed.
func (p *portal) sendFactor(r *http.Request, purpose string) error {
	id := account(r.Context()).ID
	if !p.factors.allow(fmt.Sprint(id)) {
		return problem.New(problem.RateLimited, "too many codes were asked for")
	}
	return p.Desk.SendFactor(r.Context(), id, purpose)
}

// checkFactor spends the code in the form. A wrong one is returned for the form; err is anything else.
func (p *portal) checkFactor(r *http.Request, purpose, bound string) (*shown, error) {
	ctx := r.Context()
	lang := langOf(ctx)
	code := strings.TrimSpace(r.PostFormValue("code"))
	if code == "" || len(code) > 64 {
		return p.wrong(lang, "code.missing", "code"), nil
	}
	err := p.Desk.CheckFactor(ctx, account(ctx).ID, purpose, code)
	switch problem.CodeOf(err) {
	case "":
		p.pass(ctx, purpose, bound)
		// The session's rights have grown: a new token, so that an older copy of it is worth nothing.
		return nil, p.sessions.RenewToken(ctx)
	case problem.SecondFactorFailed, problem.SecondFactorRequired, problem.RateLimited:
		return describe(lang, err).at("code"), nil
	default:
		return nil, err
	}
}

type generateStep struct {
	Eligibility ca.Eligibility
	Person      *ca.Person
	Email       string
	Sent        bool
	CA          string
}

// generating is what each step of the ceremony starts with. When the account may not have a certificate, it has shown
// why, and ok is false.
func (p *portal) generating(w http.ResponseWriter, r *http.Request) (step generateStep, ok bool, err error) {
	ctx := r.Context()
	if step.Eligibility, err = p.Desk.Eligibility(ctx, account(ctx).ID); err != nil {
		return step, false, err
	}
	if step.Person, err = p.personOf(ctx); err != nil {
		return step, false, err
	}
	step.Email, step.CA = account(ctx).Email, p.CAURL
	if !step.Eligibility.OK() {
		return step, false, p.show(w, r, http.StatusOK, "not-eligible", step)
	}
	return step, true, nil
}

// next is the first step that is not done.
func (p *portal) next(r *http.Request) string {
	switch {
	case !p.passed(r.Context(), purposeGenerate, ""):
		return generatePath + "/code"
	case p.sessions.GetString(r.Context(), keyTerms) != p.Desk.Terms():
		return generatePath + "/terms"
	default:
		return generatePath + "/agent"
	}
}

func (p *portal) getGenerate(w http.ResponseWriter, r *http.Request) error {
	_, ok, err := p.generating(w, r)
	if !ok || err != nil {
		return err
	}
	// A new certificate: the terms are confirmed for each.
	p.sessions.Remove(r.Context(), keyTerms)
	http.Redirect(w, r, p.next(r), http.StatusSeeOther)
	return nil
}

func (p *portal) getGenerateCode(w http.ResponseWriter, r *http.Request) error {
	step, ok, err := p.generating(w, r)
	if !ok || err != nil {
		return err
	}
	if p.passed(r.Context(), purposeGenerate, "") {
		http.Redirect(w, r, p.next(r), http.StatusSeeOther)
		return nil
	}
	step.Sent = r.URL.Query().Get("sent") == "1"
	return p.show(w, r, http.StatusOK, "generate-code", step)
}

func (p *portal) postGenerateSendCode(w http.ResponseWriter, r *http.Request) error {
	_, ok, err := p.generating(w, r)
	if !ok || err != nil {
		return err
	}
	if err := p.sendFactor(r, purposeGenerate); err != nil {
		return err
	}
	http.Redirect(w, r, generatePath+"/code?sent=1", http.StatusSeeOther)
	return nil
}

func (p *portal) postGenerateCode(w http.ResponseWriter, r *http.Request) error {
	step, ok, err := p.generating(w, r)
	if !ok || err != nil {
		return err
	}
	wrong, err := p.checkFactor(r, purposeGenerate, "")
	if err != nil {
		return err
	}
	if wrong != nil {
		step.Sent = true
		return p.show(w, r, http.StatusUnprocessableEntity, "generate-code", step, wrong)
	}
	http.Redirect(w, r, p.next(r), http.StatusSeeOther)
	return nil
}

func (p *portal) getGenerateTerms(w http.ResponseWriter, r *http.Request) error {
	step, ok, err := p.generating(w, r)
	if !ok || err != nil {
		return err
	}
	if !p.passed(r.Context(), purposeGenerate, "") {
		http.Redirect(w, r, p.next(r), http.StatusSeeOther)
		return nil
	}
	return p.show(w, r, http.StatusOK, "generate-terms", step)
}

func (p *portal) postGenerateTerms(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	step, ok, err := p.generating(w, r)
	if !ok || err != nil {
		return err
	}
	if !p.passed(ctx, purposeGenerate, "") {
		http.Redirect(w, r, p.next(r), http.StatusSeeOther)
		return nil
	}
	if r.PostFormValue("accept") != "yes" {
		return p.show(w, r, http.StatusUnprocessableEntity, "generate-terms", step, p.wrong(langOf(ctx), "terms.missing", "accept"))
	}
	version := r.PostFormValue("version")
	if version != p.Desk.Terms() {
		// The page was rendered before a new version came into force.
		return problem.New(problem.TermsNotAccepted, "version %.64q is not the one in force", version)
	}
	if err := p.Desk.AcceptTerms(ctx, account(ctx).ID, version); err != nil {
		return err
	}
	p.sessions.Put(ctx, keyTerms, version)
	http.Redirect(w, r, p.next(r), http.StatusSeeOther)
	return nil
}

func (p *portal) getGenerateAgent(w http.ResponseWriter, r *http.Request) error {
	step, ok, err := p.generating(w, r)
	if !ok || err != nil {
		return err
	}
	if to := p.next(r); !strings.HasSuffix(to, "/agent") {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	}
	return p.show(w, r, http.StatusOK, "generate-agent", step)
}
