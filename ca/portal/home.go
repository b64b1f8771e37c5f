package portal

import (
	"net/http"
	"strings"

	"certsign/ca"
	"certsign/internal/problem"
)

func (p *portal) getHome(w http.ResponseWriter, r *http.Request) error {
	return p.show(w, r, http.StatusOK, "home", nil)
}

type loginForm struct {
	Email string
	Next  string
}

func (p *portal) getLogin(w http.ResponseWriter, r *http.Request) error {
	next := ownPath(r.URL.Query().Get("next"), "/my")
	if account(r.Context()) != nil {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return nil
	}
	return p.show(w, r, http.StatusOK, "login", loginForm{Next: next})
}

// maxEmail is the longest address that mail knows (RFC 5321, 4.5.3.1.3).
const maxEmail = 254

func (p *portal) postLogin(w http.ResponseWriter, r *http.Request) error {
	lang := langOf(r.Context())
	form := loginForm{Email: strings.TrimSpace(r.PostFormValue("email")), Next: ownPath(r.PostFormValue("next"), "/my")}
	password := r.PostFormValue("password")
	if form.Email == "" {
		return p.show(w, r, http.StatusUnprocessableEntity, "login", form, p.wrong(lang, "login.email.missing", "email"))
	}
	if password == "" {
		return p.show(w, r, http.StatusUnprocessableEntity, "login", form, p.wrong(lang, "login.password.missing", "password"))
	}
	if len(form.Email) > maxEmail {
		form.Email = ""
		return p.show(w, r, http.StatusUnprocessableEntity, "login", form, p.wrong(lang, "login.email.missing", "email"))
	}
	var err error
	var a *ca.Account
	device, guesser := "", strings.ToLower(form.Email)
	if c, cerr := r.Cookie(deviceCookie); cerr == nil && p.Desk.KnowsDevice(form.Email, c.Value) {
		device, guesser = c.Value, c.Value
	}
	if !p.logins.allow(address(r)) || !p.passwords.allow(guesser) {
		err = problem.New(problem.RateLimited, "too many login attempts")
	} else {
		a, err = p.Desk.Login(r.Context(), form.Email, password, device)
	}
	switch code := problem.CodeOf(err); code {
	case "":
	case problem.LoginFailed, problem.RateLimited:
		if code == problem.RateLimited {
			w.Header().Set("Retry-After", "60")
		}
		return p.show(w, r, statusOf(code), "login", form, describe(lang, err).at("password"))
	default:
		return err
	}
	if err := p.begin(r.Context(), a); err != nil {
		return err
	}
	if device == "" {
		p.markDevice(w, form.Email)
	}
	p.follow(w, r, a)
	http.Redirect(w, r, form.Next, http.StatusSeeOther)
	return nil
}

// deviceCookie holds the mark of a browser in which the address logged in before. It is sent to the login page only.
const deviceCookie = "portal_device"

func (p *portal) markDevice(w http.ResponseWriter, email string) {
	http.SetCookie(w, &http.Cookie{
		Name: deviceCookie, Value: p.Desk.NewDevice(email), Path: "/login", MaxAge: 365 * 24 * 3600,
		HttpOnly: true, Secure: p.Secure, SameSite: http.SameSiteLaxMode,
	})
}

func (p *portal) postLogout(w http.ResponseWriter, r *http.Request) error {
	if err := p.store.end(p.sessions.GetString(r.Context(), keyLogin)); err != nil {
		return err
	}
	if err := p.sessions.Destroy(r.Context()); err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

func (p *portal) getDownload(w http.ResponseWriter, r *http.Request) error {
	return p.show(w, r, http.StatusOK, "download", nil)
}

// getDocumentation shows the terms, the certification policy or the practice statement.
func (p *portal) getDocumentation(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	switch name {
	case "terms", "cp", "cps":
		return p.show(w, r, http.StatusOK, name, nil)
	}
	return problem.New(problem.NotFound, "no document of that name")
}

type mailbox struct {
	Address string
	Mails   []ca.Mail
}

// getMailbox shows the outbox to somebody at this computer. It exists only on a loopback portal that was told so.
func (p *portal) getMailbox(w http.ResponseWriter, r *http.Request) error {
	if !IsLoopback(address(r)) {
		return problem.New(problem.Forbidden, "the mailbox is for this computer only")
	}
	box := mailbox{Address: strings.TrimSpace(r.URL.Query().Get("address"))}
	if a := account(r.Context()); box.Address == "" && a != nil {
		box.Address = a.Email
	}
	if box.Address != "" {
		var err error
		if box.Mails, err = p.Desk.Mailbox(r.Context(), box.Address); err != nil {
			return err
		}
	}
	return p.show(w, r, http.StatusOK, "mailbox", box)
}
