// Package portal is the customs CA's pages and its JSON API: what a person does in a browser to obtain a customs
// certificate, look after it and send signed documents, and what a help-desk clerk does with their requests. Pages are
// rendered here in Polish and English and work by keyboard and without scripts, except for the two places where the page
// talks to the agent on the person's own computer.
//
// It decides nothing: each decision, each check of a right and each record is ca.Desk's. It keeps sessions, the proof of
// a fresh second factor, and the language. It does not issue, does not touch keys, and makes no outgoing request.
//
// Everything that arrives by HTTP is untrusted. Sizes are bounded, the Host header must be the portal's own, requests
// that change something must come from the portal's own pages, and what people upload is never served as a page. Client
// addresses are those of the connection: behind a proxy, rate limits count the proxy.
package portal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"certsign/ca"
)

// The versions of the documents that the portal shows. TermsVersion is what ca.Desk records with a certificate: it names
// the two documents that the terms refer to as well.
const (
	RegulationsVersion = "1.0"
	PolicyVersion      = "1.0"
	PracticeVersion    = "1.0"
	TermsVersion       = "terms-" + RegulationsVersion + " cp-" + PolicyVersion + " cps-" + PracticeVersion
)

// Config is what a portal needs. Desk, PublicURL, Confirmation and Log are required.
type Config struct {
	Desk ca.Desk
	// PublicURL is the portal's own origin as browsers see it, without a path. Requests under any other host name are
	// refused; a loopback URL admits every loopback name.
	PublicURL string
	// StatusURL and CAURL are shown in the documents and on the help pages; nothing is fetched from them.
	StatusURL string
	CAURL     string
	// PolicyOID is shown in the documents.
	PolicyOID string
	// Secure marks cookies Secure and names them with __Host-; an https PublicURL implies it.
	Secure bool
	// Test shows a banner on every page that certificates from here prove nothing.
	Test bool
	// Mailbox adds /mailbox, where anybody on this computer reads the outbox. Only with a loopback PublicURL.
	Mailbox bool
	// Confirmation makes the PDF that confirms an issue; code is the certificate's verification code.
	Confirmation func(ctx context.Context, certificate *ca.Certificate, person *ca.Person, code string) ([]byte, error)
	// MaxDocument is the largest document in octets; 15 MB when zero. A signed one may be a quarter larger, plus 1 MiB.
	MaxDocument int64
	// Decisions says who decides each kind of request, so that the pages promise what the desk does. Missing kinds: a
	// suspension is decided by itself, a revocation and a resumption by the help desk.
	Decisions map[ca.RequestKind]ca.Decision
	// Logins is how many login attempts one address may make at once, and how many it regains in a minute; 20 when zero.
	Logins int
	// Sessions keeps sessions; memory when nil, so that a restart logs everybody out.
	Sessions scs.Store
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	Log *slog.Logger
}

const defaultMaxDocument = 15_000_000

// portal is the handler's state. It is immutable after New except for sessions and limiters.
type portal struct {
	Config
	public    *url.URL
	loopback  bool
	store     sessionStore
	sessions  *scs.SessionManager
	views     map[string]*template.Template // by language
	texts     map[string]catalogue
	assets    *assets
	logins    *limiter // by address
	passwords *limiter // by e-mail address
	factors   *limiter // by account
	csrs      *limiter // by second factor: enrolments
	checks    *limiter // by address: /verify
	bearers   *limiter // by address: enrolments fetched by token
	checking  chan struct{}
	maxSigned int64
}

// New returns the portal's handler. It fails on a configuration that would be unsafe or would tell people something
// else than what is recorded.
func New(c Config) (http.Handler, error) {
	p := &portal{Config: c}
	switch {
	case c.Desk == nil:
		return nil, errors.New("portal: no desk")
	case c.Confirmation == nil:
		return nil, errors.New("portal: no confirmation")
	case c.Log == nil:
		return nil, errors.New("portal: no log")
	case c.Desk.Terms() != TermsVersion:
		return nil, fmt.Errorf("portal: the pages show terms %q but %q would be recorded", TermsVersion, c.Desk.Terms())
	}
	public, err := url.Parse(c.PublicURL)
	if err != nil || public.Host == "" || (public.Scheme != "http" && public.Scheme != "https") ||
		strings.Trim(public.Path, "/") != "" || public.RawQuery != "" || public.User != nil {
		return nil, fmt.Errorf("portal: public URL %q is not an origin", c.PublicURL)
	}
	p.public = public
	p.PublicURL = public.Scheme + "://" + public.Host
	p.loopback = IsLoopback(public.Hostname())
	p.Secure = c.Secure || public.Scheme == "https"
	if public.Scheme == "http" && !p.loopback {
		return nil, fmt.Errorf("portal: public URL %q: plain http is for loopback only", c.PublicURL)
	}
	if c.Mailbox && !p.loopback {
		return nil, errors.New("portal: the mailbox page is for a loopback demonstration only")
	}
	if p.MaxDocument == 0 {
		p.MaxDocument = defaultMaxDocument
	}
	decisions := map[ca.RequestKind]ca.Decision{
		ca.Suspend: ca.DecisionAuto, ca.Resume: ca.DecisionHelpDesk, ca.Revoke: ca.DecisionHelpDesk,
	}
	maps.Copy(decisions, c.Decisions)
	p.Decisions = decisions
	p.maxSigned = p.MaxDocument + p.MaxDocument/4 + 1<<20
	if p.Logins == 0 {
		p.Logins = 20
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.texts, err = loadCatalogues(); err != nil {
		return nil, err
	}
	if p.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if !p.assets.has("certsign.js") {
		p.Log.Warn("static/certsign.js is not built in: pages cannot reach the agent")
	}
	if p.views, err = loadViews(p); err != nil {
		return nil, err
	}
	p.store = newSessionStore(p.Sessions)
	p.sessions = p.newSessions()
	p.logins = newLimiter(p.Logins, time.Minute/time.Duration(p.Logins))
	p.passwords = newLimiter(p.Logins, time.Minute/time.Duration(p.Logins))
	p.factors = newLimiter(6, 20*time.Second)
	// What a factor regains comes after it has ceased to count.
	p.csrs = newLimiter(enrolmentsPerFactor, stepUp)
	p.checks = newLimiter(20, 3*time.Second)
	p.bearers = newLimiter(60, time.Second)
	p.checking = make(chan struct{}, 2)
	return p.handler(), nil
}

func (p *portal) newSessions() *scs.SessionManager {
	s := scs.New()
	s.Store = p.store
	s.Lifetime = sessionLife
	s.IdleTimeout = 30 * time.Minute
	s.HashTokenInStore = true
	s.Cookie.Name = "portal_session"
	s.Cookie.HttpOnly = true
	s.Cookie.SameSite = http.SameSiteLaxMode
	s.Cookie.Persist = false
	s.Cookie.Path = "/"
	if p.Secure {
		// RFC 6265bis, 4.1.3.2: the prefix demands Secure, Path=/ and no Domain.
		s.Cookie.Name = "__Host-portal_session"
		s.Cookie.Secure = true
	}
	s.ErrorFunc = func(w http.ResponseWriter, r *http.Request, err error) {
		if errors.Is(err, errEnded) {
			return // the answer goes out as it is, without a cookie
		}
		p.fail(w, r, fmt.Errorf("session: %w", err))
	}
	return s
}

// IsLoopback tells whether a host name always means this computer. A portal's address elsewhere must be https.
func IsLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// reference returns a short random string that joins an error page to its line in the log.
func reference() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails
	return strings.ToUpper(hex.EncodeToString(b[:]))
}
