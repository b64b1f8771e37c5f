package portal

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"certsign/ca"
	"certsign/internal/problem"
)

// stepUp is how long a checked second factor counts.
const stepUp = 10 * time.Minute

// enrolmentsPerFactor is how many CSRs, granted or refused, one second factor is good for: a person may have to start again.
const enrolmentsPerFactor = 3

// The keys of what a session holds.
const (
	keyAccount = "account"
	keyLogin   = "login"   // random name of the login that the session comes from, under whatever token
	keyFactor  = "factor:" // + purpose and what it is bound to: time until which it counts, as Unix seconds
	keyPass    = "pass"    // random name of the present factor for generating, by which its enrolments are counted
	keyTerms   = "terms"   // version accepted in this session for the enrolment at hand
	keyWish    = "wish"    // wish, between Next and Send
	keyFlash   = "flash"   // text key of a message for the next page
)

// The purposes of a second factor, as ca.Desk knows them.
const (
	purposeGenerate = "generate"
	purposeResume   = "resume"
)

// wish is a request between Next and Send. It stays on the server: the verification code is in no page.
type wish struct {
	Serial  string
	Kind    ca.RequestKind
	Reason  ca.WishReason
	Code    string
	Expires int64 // Unix seconds
}

type (
	languageKey struct{}
	accountKey  struct{}
)

// begin binds a session to an account under a new token, so that a token planted before the login is worth nothing.
func (p *portal) begin(ctx context.Context, account *ca.Account) error {
	if err := p.sessions.Clear(ctx); err != nil {
		return err
	}
	if err := p.sessions.RenewToken(ctx); err != nil {
		return err
	}
	p.sessions.Put(ctx, keyAccount, account.ID)
	p.sessions.Put(ctx, keyLogin, rand.Text())
	return nil
}

// account returns who is logged in, nil when nobody is.
func account(ctx context.Context) *ca.Account {
	a, _ := ctx.Value(accountKey{}).(*ca.Account)
	return a
}

// withAccount reads the account afresh for each request, so that a lost right is lost at once. After a logout no session of
// that login is one any more, even if a request that was under way meanwhile has renewed its token.
func (p *portal) withAccount(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		id, ok := p.sessions.Get(ctx, keyAccount).(int64)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		var a *ca.Account
		ended, err := p.store.ended(p.sessions.GetString(ctx, keyLogin))
		if err == nil && !ended {
			a, err = p.Desk.Account(ctx, id)
		}
		switch code := problem.CodeOf(err); {
		case ended, code == problem.NotFound, code == problem.Forbidden:
			if err := p.sessions.Destroy(ctx); err != nil {
				p.fail(w, r, err)
				return
			}
		case code != "":
			p.fail(w, r, err)
			return
		default:
			r = r.WithContext(context.WithValue(ctx, accountKey{}, a))
		}
		next.ServeHTTP(w, r)
	})
}

// person demands a login; a page sends to the login page and back.
func (p *portal) person(next action) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		if account(r.Context()) != nil {
			return next(w, r)
		}
		if isAPI(r) {
			return problem.New(problem.Forbidden, "nobody is logged in")
		}
		to := "/login"
		if r.Method == http.MethodGet {
			to += "?next=" + url.QueryEscape(r.URL.RequestURI())
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	}
}

// clerk demands the help desk's role.
func (p *portal) clerk(next action) action {
	return p.person(func(w http.ResponseWriter, r *http.Request) error {
		if account(r.Context()).Role != ca.RoleHelpDesk {
			return problem.New(problem.Forbidden, "only the help desk may do this")
		}
		return next(w, r)
	})
}

// passed tells whether a second factor for that purpose still counts; bound names what it was given for, or "".
func (p *portal) passed(ctx context.Context, purpose, bound string) bool {
	until := p.sessions.GetInt64(ctx, keyFactor+purpose+":"+bound)
	return p.Now().Before(time.Unix(until, 0))
}

func (p *portal) pass(ctx context.Context, purpose, bound string) {
	p.sessions.Put(ctx, keyFactor+purpose+":"+bound, p.Now().Add(stepUp).Unix())
	if purpose == purposeGenerate {
		p.sessions.Put(ctx, keyPass, rand.Text())
	}
}

func (p *portal) forget(ctx context.Context, purpose, bound string) {
	p.sessions.Remove(ctx, keyFactor+purpose+":"+bound)
}

func (p *portal) putWish(ctx context.Context, w wish) error {
	b, err := json.Marshal(w)
	if err != nil {
		return err
	}
	p.sessions.Put(ctx, keyWish, b)
	return nil
}

// wished returns the wish that waits for Send, when it is for that certificate and kind and still fresh.
func (p *portal) wished(ctx context.Context, serial string, kind ca.RequestKind) (wish, bool) {
	var w wish
	if json.Unmarshal(p.sessions.GetBytes(ctx, keyWish), &w) != nil {
		return wish{}, false
	}
	return w, w.Serial == serial && w.Kind == kind && p.Now().Before(time.Unix(w.Expires, 0))
}

func (p *portal) flash(ctx context.Context, key string) { p.sessions.Put(ctx, keyFlash, key) }

// ownPath returns path when it is a path of this portal, and otherwise fallback: never another site.
func ownPath(path, fallback string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return fallback
	}
	u, err := url.Parse(path)
	if err != nil || u.Host != "" || u.Scheme != "" {
		return fallback
	}
	return u.RequestURI()
}
