package portal

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/ca"
	"certsign/internal/problem"
)

func TestAWrongPasswordAndAnUnknownAddressAreToldAlike(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	wrong := b.post("/login", url.Values{"email": {w.person.Email}, "password": {"nie-to-haslo"}})
	unknown := b.post("/login", url.Values{"email": {"nobody@example.test"}, "password": {"nie-to-haslo"}})
	assert.Equal(t, http.StatusUnauthorized, wrong.status)
	assert.Equal(t, wrong.status, unknown.status)
	assert.Equal(t, wrong.text(), unknown.text())
	assert.Empty(t, wrong.header.Values("Set-Cookie"), "a failed login leaves no session")
	assert.NotContains(t, w.log.String(), "nie-to-haslo")
}

func TestALoginLeadsWhereThePersonWantedButNeverAway(t *testing.T) {
	for next, want := range map[string]string{
		"/my/data": "/my/data", "/my/requests?x=1": "/my/requests", "": "/my", "https://evil.test/": "/my", "//evil.test": "/my",
		"/\\evil.test": "/my", "javascript:alert(1)": "/my", "/\t/evil.test": "/my",
	} {
		t.Run(next, func(t *testing.T) {
			assert.Equal(t, want, strings.Split(ownPath(next, "/my"), "?")[0])
		})
	}
	w := newWorld(t)
	b := w.browser()
	v := b.get("/my/documents")
	assert.Equal(t, "/login", v.url.Path)
	v = b.post("/login", url.Values{"email": {w.person.Email}, "password": {password}, "next": {v.url.Query().Get("next")}})
	assert.Equal(t, "/my/documents", v.url.Path)
	v = b.post("/logout", nil)
	assert.Equal(t, "/", v.url.Path)
	assert.Equal(t, "/login", b.get("/my").url.Path)
}

func TestTheSessionTokenChangesAtEachGainOfRights(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	at, err := url.Parse(w.server.URL)
	require.NoError(t, err)
	planted := &http.Cookie{Name: "portal_session", Value: "planted-by-somebody-else-0123456789abcdefghij", Path: "/"}
	b.client.Jar.SetCookies(at, []*http.Cookie{planted})
	b.post("/login", url.Values{"email": {w.person.Email}, "password": {password}})
	session := func() string {
		for _, c := range b.client.Jar.Cookies(at) {
			if c.Name == "portal_session" {
				return c.Value
			}
		}
		return ""
	}
	afterLogin := session()
	assert.NotEqual(t, planted.Value, afterLogin)
	b.passFactor(w.person)
	afterFactor := session()
	assert.NotEqual(t, afterLogin, afterFactor)

	old := w.browser()
	old.client.Jar.SetCookies(at, []*http.Cookie{{Name: "portal_session", Value: afterLogin, Path: "/"}})
	assert.Equal(t, "/login", old.get("/my").url.Path, "the token from before is worth nothing")

	b.post("/logout", nil)
	old.client.Jar.SetCookies(at, []*http.Cookie{{Name: "portal_session", Value: afterFactor, Path: "/"}})
	assert.Equal(t, "/login", old.get("/my").url.Path, "a token from before the logout is worth nothing")
}

// interrupted is a desk at which something else happens between the loading of a session and what its request does.
type interrupted struct {
	ca.Desk
	meanwhile atomic.Pointer[func()]
}

func (d *interrupted) Account(ctx context.Context, id int64) (*ca.Account, error) {
	if f := d.meanwhile.Swap(nil); f != nil {
		(*f)()
	}
	return d.Desk.Account(ctx, id)
}

func TestASessionThatHasEndedDoesNotComeBackWithARequestInFlight(t *testing.T) {
	page := func(_ *world, b *browser) view { return b.get("/my") }
	logout := func(_ *world, b *browser) view { return b.post("/logout", nil) }
	factor := func(w *world, b *browser) view {
		return b.post(generatePath+"/code", url.Values{"code": {w.mailedCode(w.person)}})
	}
	for name, c := range map[string]struct {
		inFlight, meanwhile func(*world, *browser) view
		stays               bool // logged in where meanwhile was done
	}{
		"a page, and the person logs out":                   {inFlight: page, meanwhile: logout},
		"a page, and the session gains rights":              {inFlight: page, meanwhile: factor, stays: true},
		"the session gains rights, and the person logs out": {inFlight: factor, meanwhile: logout},
		"the person logs out, and the session gains rights": {inFlight: logout, meanwhile: factor},
	} {
		t.Run(name, func(t *testing.T) {
			var desk *interrupted
			w := newWorld(t, func(c *Config) {
				desk = &interrupted{Desk: c.Desk}
				c.Desk = desk
			})
			b, same := w.loggedIn(w.person), w.browser()
			b.post(generatePath+"/send-code", nil)
			at, err := url.Parse(w.server.URL)
			require.NoError(t, err)
			same.client.Jar.SetCookies(at, b.client.Jar.Cookies(at))

			meanwhile := func() { c.meanwhile(w, b) }
			desk.meanwhile.Store(&meanwhile)
			answer := c.inFlight(w, same)
			assert.Nil(t, desk.meanwhile.Load())
			assert.Equal(t, http.StatusOK, answer.status)
			assert.NotContains(t, strings.Join(answer.header.Values("Set-Cookie"), "\n"), "portal_session=", "no cookie over a newer one")

			assert.Equal(t, "/login", same.get("/my").url.Path)
			want := "/login"
			if c.stays {
				want = "/my"
			}
			assert.Equal(t, want, b.get("/my").url.Path)
		})
	}
}

func TestASessionThatIsStoredWhileItEndsIsNotFound(t *testing.T) {
	s := newSessionStore(nil)
	require.NoError(t, s.Commit("token", []byte("x"), time.Now().Add(time.Hour)))
	require.NoError(t, s.Delete("token"))
	require.NoError(t, s.Store.Commit("token", []byte("x"), time.Now().Add(time.Hour)), "the mark was looked for before")
	_, found, err := s.Find("token")
	require.NoError(t, err)
	assert.False(t, found)
}

func TestCookiesAreForTheServerAlone(t *testing.T) {
	for name, secure := range map[string]bool{"portal_session": false, "__Host-portal_session": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.Secure = secure })
			b := w.browser()
			b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			v := b.post("/login", url.Values{"email": {w.person.Email}, "password": {password}})
			cookies := strings.Join(v.header.Values("Set-Cookie"), "\n")
			assert.Contains(t, cookies, name+"=")
			for _, line := range v.header.Values("Set-Cookie") {
				assert.Contains(t, line, "HttpOnly")
				assert.Contains(t, line, "SameSite=Lax")
				assert.Contains(t, line, "Path=/")
				assert.NotContains(t, line, "Domain")
				assert.Equal(t, secure, strings.Contains(line, "Secure"), line)
			}
			assert.Equal(t, secure, v.header.Get("Strict-Transport-Security") != "")
		})
	}
}

func TestAnotherSiteCannotPostForThePerson(t *testing.T) {
	w := newWorld(t)
	c, _ := w.certified(w.person, "csrf")
	b := w.loggedIn(w.person)
	b.origin = "https://evil.test"
	for _, path := range []string{
		"/logout", "/language", "/my/documents", generatePath + "/send-code", "/my/certificates/" + c.Serial + "/revoke", "/api/v1/enrolments",
	} {
		assert.Equal(t, http.StatusForbidden, b.post(path, nil).status, path)
	}
	v := b.do(http.MethodPost, "/logout", "application/x-www-form-urlencoded", nil, func(r *http.Request) {
		r.Header.Del("Sec-Fetch-Site") // an old browser
		r.Header.Set("Origin", "null")
	})
	assert.Equal(t, http.StatusForbidden, v.status)
	b.origin = w.server.URL
	assert.Equal(t, "/my", b.get("/my").url.Path, "still logged in")
}

func TestTheJSONAPIWantsProofOfItsOwnPage(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.person)
	b.passFactor(w.person)
	b.acceptTerms()
	v := b.do(http.MethodPost, "/api/v1/enrolments", "application/json", strings.NewReader(`{"csr":"AAAA"}`), func(r *http.Request) {
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Del("Origin")
	})
	assert.Equal(t, http.StatusForbidden, v.status)
	assert.Contains(t, v.body, `"code":"forbidden"`)
}

func TestAForeignHostNameIsMisdirected(t *testing.T) {
	w := newWorld(t)
	for host, want := range map[string]int{
		"evil.test": http.StatusMisdirectedRequest, "evil.test:18080": http.StatusMisdirectedRequest, "127.0.0.1.evil.test": http.StatusMisdirectedRequest,
		"localhost:1": http.StatusOK, "[::1]:18080": http.StatusOK, "127.0.0.1": http.StatusOK,
	} {
		v := w.browser().do(http.MethodGet, "/mailbox?address="+w.person.Email, "", nil, func(r *http.Request) { r.Host = host })
		assert.Equal(t, want, v.status, host)
	}
}

func TestLoginAttemptsAreLimitedByAddressAndByAccount(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Logins = 3 })
	b := w.browser()
	var last view
	for range 4 {
		last = b.post("/login", url.Values{"email": {"x@example.test"}, "password": {"nie-to-haslo"}})
	}
	assert.Equal(t, http.StatusTooManyRequests, last.status)
	assert.Equal(t, "60", last.header.Get("Retry-After"))
	last.has(t, "problem")
}

func TestNobodyElseCanLockAPersonOutOfTheirOwnBrowser(t *testing.T) {
	w := newWorld(t)
	own, login := w.browser(), url.Values{"email": {w.person.Email}, "password": {password}}
	require.Equal(t, "/my", own.post("/login", login).url.Path)
	own.post("/logout", url.Values{})
	for range 10 {
		_, err := w.desk.Login(t.Context(), w.person.Email, "nie-to-haslo", "")
		require.Equal(t, problem.LoginFailed, problem.CodeOf(err))
	}
	assert.Equal(t, http.StatusTooManyRequests, w.browser().post("/login", login).status)
	assert.Equal(t, "/my", own.post("/login", login).url.Path)
}

func TestALimiterForgetsNobodyWhoIsLimited(t *testing.T) {
	l := newLimiter(1, time.Hour)
	require.True(t, l.allow("a"))
	require.False(t, l.allow("a"))
	for i := range maxBuckets {
		l.allow(fmt.Sprint(i))
	}
	assert.False(t, l.allow("a"))
	assert.False(t, l.allow("new"), "full of limited keys: a new one waits")
	assert.Len(t, l.buckets, maxBuckets)
}

func TestConfigurationsThatWouldBeUnsafeAreRefused(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*Config){
		"no desk":                        func(c *Config) { c.Desk = nil },
		"no confirmation":                func(c *Config) { c.Confirmation = nil },
		"no log":                         func(c *Config) { c.Log = nil },
		"a public URL that is no origin": func(c *Config) { c.PublicURL = "portal" },
		"a public URL with a path":       func(c *Config) { c.PublicURL = "https://portal.test/x" },
		"http beyond loopback":           func(c *Config) { c.PublicURL, c.Mailbox = "http://portal.test", false },
		"a mailbox beyond loopback":      func(c *Config) { c.PublicURL = "https://portal.test" },
	} {
		t.Run(name, func(t *testing.T) {
			c := w.config
			change(&c)
			h, err := New(c)
			require.Error(t, err)
			assert.Nil(t, h)
		})
	}
}

func TestTheMailboxIsForThisComputerAndOnlyWhenAskedFor(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest(http.MethodGet, w.config.PublicURL+"/mailbox?address="+w.person.Email, nil)
	r.RemoteAddr = "192.0.2.7:5555"
	rec := httptest.NewRecorder()
	w.server.Config.Handler.ServeHTTP(rec, r)
	assert.Equal(t, http.StatusForbidden, rec.Code)

	c := w.config
	c.Mailbox = false
	h, err := New(c)
	require.NoError(t, err)
	r.RemoteAddr = "127.0.0.1:5555"
	rec = httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	assert.Equal(t, http.StatusNotFound, rec.Code)
}

func TestAFaultOfThePortalTellsAReferenceAndNothingElse(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		inner := c.Desk
		c.Desk = faulty{inner}
	})
	v := w.browser().post("/login", url.Values{"email": {"x@example.test"}, "password": {"y"}})
	assert.Equal(t, http.StatusInternalServerError, v.status)
	assert.NotContains(t, v.body, "disk on fire")
	code := v.find("code")
	require.NotEmpty(t, code)
	assert.Contains(t, w.log.String(), textOf(code[0]))
	assert.Contains(t, w.log.String(), "disk on fire")
	v = w.browser().get("/docs/panic")
	assert.Equal(t, http.StatusNotFound, v.status)
}

func TestUploadsAreNeverServedAsPages(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.person)
	nasty := `<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></html>`
	v := b.upload("/my/documents", "document", "../../etc/<script>.xml", []byte(nasty))
	assert.Equal(t, http.StatusOK, v.status)
	assert.NotContains(t, v.body, "<script>alert")
	assert.NotContains(t, v.body, "<script>.xml")
	assert.NotContains(t, v.text(), "../..")
	content := b.get(v.url.Path + "/content")
	assert.Equal(t, nasty, content.body)
	assert.Equal(t, "application/octet-stream", content.header.Get("Content-Type"))
	assert.Contains(t, content.header.Get("Content-Disposition"), "attachment")
	assert.Equal(t, uploadPolicy, content.header.Get("Content-Security-Policy"))
	assert.Equal(t, "nosniff", content.header.Get("X-Content-Type-Options"))
}

func TestTooMuchIsRefusedEverywhere(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxDocument = 1 << 10 })
	b := w.loggedIn(w.person)
	v := b.upload("/my/documents", "document", "big.xml", make([]byte, 2<<10))
	assert.Equal(t, http.StatusRequestEntityTooLarge, v.status)
	v.has(t, "problem")
	v = b.upload("/my/documents", "document", "huge.xml", make([]byte, 4<<20))
	assert.Equal(t, http.StatusRequestEntityTooLarge, v.status)
	v = b.upload("/verify", "document", "huge.xml", make([]byte, 4<<20))
	assert.Equal(t, http.StatusRequestEntityTooLarge, v.status)
	v = b.do(http.MethodPost, "/api/v1/documents/x/signed", "application/xml", strings.NewReader(strings.Repeat("x", 4<<20)))
	assert.Equal(t, http.StatusRequestEntityTooLarge, v.status)
	assert.Equal(t, "application/problem+json", v.header.Get("Content-Type"))
}

func TestStaticFilesAreTypedAndCachedByContent(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	v := b.get("/")
	link := ""
	for _, n := range v.find("link") {
		if rel, _ := attribute(n, "rel"); rel == "stylesheet" {
			link, _ = attribute(n, "href")
		}
	}
	css := b.get(link)
	assert.Equal(t, http.StatusOK, css.status)
	assert.Equal(t, "text/css; charset=utf-8", css.header.Get("Content-Type"))
	assert.Contains(t, css.header.Get("Cache-Control"), "immutable")
	assert.Empty(t, css.header.Values("Set-Cookie"))
	js := b.get("/static/agent.js")
	assert.Equal(t, "text/javascript; charset=utf-8", js.header.Get("Content-Type"))
	assert.Equal(t, "no-cache", js.header.Get("Cache-Control"))
	assert.Equal(t, http.StatusNotFound, b.get("/static/none.css").status)
	assert.Equal(t, http.StatusNotFound, b.get("/static/..%2fportal.go").status)
}

func TestAVisitWithoutLoginLeavesNoSessionBehind(t *testing.T) {
	w := newWorld(t)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	b := w.browser()
	b.client.Jar = jar
	for _, path := range []string{"/", "/login", "/my", "/verify", "/api/v1/session", "/docs/terms"} {
		assert.Empty(t, b.get(path).header.Values("Set-Cookie"), path)
	}
}
