package portal

import (
	"net/http"
	"slices"
	"strings"

	"certsign/ca"
	"certsign/internal/problem"
)

// reasons are what a person may pick, in the order of the list.
var reasons = map[ca.RequestKind][]ca.WishReason{
	ca.Suspend: {ca.KeyDisclosed, ca.CarrierLost, ca.OnRequest, ca.OtherReason},
	ca.Revoke:  {ca.KeyDisclosed, ca.CarrierLost, ca.DataWrong, ca.DataChanged, ca.Replaced, ca.NoLongerNeeded, ca.OtherReason},
	ca.Resume:  nil,
}

type wishForm struct {
	Kind        ca.RequestKind
	Certificate ca.Certificate
	Reasons     []ca.WishReason
	Reason      ca.WishReason
	// Decision is who decides this kind of request.
	Decision ca.Decision
	// Sent tells on the page for the second factor that a code is on its way.
	Sent  bool
	Email string
}

// wishable returns the certificate when its state allows that kind of request.
func (p *portal) wishable(r *http.Request, kind ca.RequestKind) (*ca.Certificate, error) {
	c, err := p.certificate(r)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(actions(c.State), kind) {
		return nil, problem.New(problem.StateForbids, "the certificate is %s", c.State)
	}
	return c, nil
}

func (p *portal) form(r *http.Request, kind ca.RequestKind, c *ca.Certificate) wishForm {
	return wishForm{
		Kind: kind, Certificate: *c, Reasons: reasons[kind], Email: account(r.Context()).Email, Decision: p.Decisions[kind],
	}
}

// needsFactor tells whether a resumption still lacks its second factor: a thief with the person's password and an old
// confirmation must not bring a suspended certificate back.
func (p *portal) needsFactor(r *http.Request, kind ca.RequestKind, c *ca.Certificate) bool {
	return kind == ca.Resume && !p.passed(r.Context(), purposeResume, c.Serial)
}

func (p *portal) getWish(kind ca.RequestKind) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		c, err := p.wishable(r, kind)
		if err != nil {
			return err
		}
		form := p.form(r, kind, c)
		if p.needsFactor(r, kind, c) {
			form.Sent = r.URL.Query().Get("sent") == "1"
			return p.show(w, r, http.StatusOK, "resume-code", form)
		}
		return p.show(w, r, http.StatusOK, "wish", form)
	}
}

func (p *portal) postResumeSendCode(w http.ResponseWriter, r *http.Request) error {
	c, err := p.wishable(r, ca.Resume)
	if err != nil {
		return err
	}
	if err := p.sendFactor(r, purposeResume); err != nil {
		return err
	}
	http.Redirect(w, r, "/my/certificates/"+c.Serial+"/resume?sent=1", http.StatusSeeOther)
	return nil
}

func (p *portal) postResumeCode(w http.ResponseWriter, r *http.Request) error {
	c, err := p.wishable(r, ca.Resume)
	if err != nil {
		return err
	}
	wrong, err := p.checkFactor(r, purposeResume, c.Serial)
	if err != nil {
		return err
	}
	if wrong != nil {
		form := p.form(r, ca.Resume, c)
		form.Sent = true
		return p.show(w, r, http.StatusUnprocessableEntity, "resume-code", form, wrong)
	}
	http.Redirect(w, r, "/my/certificates/"+c.Serial+"/resume", http.StatusSeeOther)
	return nil
}

// postWish is Next: what was entered is complete and waits in the session for Send.
func (p *portal) postWish(kind ca.RequestKind) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx := r.Context()
		c, err := p.wishable(r, kind)
		if err != nil {
			return err
		}
		at := "/my/certificates/" + c.Serial + "/" + string(kind)
		if p.needsFactor(r, kind, c) {
			http.Redirect(w, r, at, http.StatusSeeOther)
			return nil
		}
		form := p.form(r, kind, c)
		form.Reason = ca.WishReason(r.PostFormValue("reason"))
		code := strings.TrimSpace(r.PostFormValue("verification"))
		lang := langOf(ctx)
		if kind != ca.Resume && !slices.Contains(reasons[kind], form.Reason) {
			return p.show(w, r, http.StatusUnprocessableEntity, "wish", form, p.wrong(lang, "wish.reason.missing", "reason"))
		}
		if code == "" || len(code) > 64 {
			return p.show(w, r, http.StatusUnprocessableEntity, "wish", form, p.wrong(lang, "wish.verification.missing", "verification"))
		}
		if kind == ca.Resume {
			form.Reason = ""
		}
		err = p.putWish(ctx, wish{
			Serial: c.Serial, Kind: kind, Reason: form.Reason, Code: code, Expires: p.Now().Add(stepUp).Unix(),
		})
		if err != nil {
			return err
		}
		http.Redirect(w, r, at+"/summary", http.StatusSeeOther)
		return nil
	}
}

func (p *portal) getWishSummary(kind ca.RequestKind) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		c, err := p.wishable(r, kind)
		if err != nil {
			return err
		}
		waiting, ok := p.wished(r.Context(), c.Serial, kind)
		if !ok || p.needsFactor(r, kind, c) {
			http.Redirect(w, r, "/my/certificates/"+c.Serial+"/"+string(kind), http.StatusSeeOther)
			return nil
		}
		form := p.form(r, kind, c)
		form.Reason = waiting.Reason
		return p.show(w, r, http.StatusOK, "wish-summary", form)
	}
}

// postWishSend is Send. A wrong code leads back to the form; the desk counts it.
func (p *portal) postWishSend(kind ca.RequestKind) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx := r.Context()
		c, err := p.wishable(r, kind)
		if err != nil {
			return err
		}
		waiting, ok := p.wished(ctx, c.Serial, kind)
		if !ok || p.needsFactor(r, kind, c) {
			http.Redirect(w, r, "/my/certificates/"+c.Serial+"/"+string(kind), http.StatusSeeOther)
			return nil
		}
		p.sessions.Remove(ctx, keyWish)
		q, err := p.Desk.Wish(ctx, account(ctx).ID, c.Serial, kind, waiting.Reason, waiting.Code)
		switch code := problem.CodeOf(err); code {
		case "":
		case problem.CodeIncorrect, problem.CodeLocked, problem.ReasonForbidden:
			form := p.form(r, kind, c)
			form.Reason = waiting.Reason
			field := "verification"
			if code == problem.ReasonForbidden {
				field = "reason"
			}
			return p.show(w, r, statusOf(code), "wish", form, describe(langOf(ctx), err).at(field))
		default:
			return err
		}
		if kind == ca.Resume {
			p.forget(ctx, purposeResume, c.Serial)
		}
		p.flash(ctx, "request.sent")
		http.Redirect(w, r, "/my/requests/"+q.Ticket, http.StatusSeeOther)
		return nil
	}
}
