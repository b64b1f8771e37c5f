//go:build unix

package window

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
)

// client speaks HTTP as the window's browser would, or as somebody else.
type client struct {
	t      *testing.T
	base   string
	cookie *http.Cookie
}

type headers map[string]string

func (c *client) do(method, path, body string, h headers) *http.Response {
	c.t.Helper()
	r, err := http.NewRequest(method, c.base+path, strings.NewReader(body))
	require.NoError(c.t, err)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if method == http.MethodPost {
		r.Header.Set("Origin", c.base)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if c.cookie != nil {
		r.AddCookie(c.cookie)
	}
	for name, value := range h {
		switch {
		case name == "Host":
			r.Host = value
		case value == "":
			r.Header.Del(name)
		default:
			r.Header.Set(name, value)
		}
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

func (c *client) text(answer *http.Response) string {
	b, err := io.ReadAll(answer.Body)
	require.NoError(c.t, err)
	return string(b)
}

// enter exchanges the capability.
func enter(t *testing.T, w *Window) *client {
	t.Helper()
	base, capability := entry(t, w)
	c := &client{t: t, base: base}
	answer := c.do("POST", "/open", capability, nil)
	require.Equal(t, http.StatusNoContent, answer.StatusCode)
	require.Len(t, answer.Cookies(), 1)
	c.cookie = answer.Cookies()[0]
	assert.True(t, c.cookie.HttpOnly)
	assert.Equal(t, http.SameSiteStrictMode, c.cookie.SameSite)
	c.do("GET", "/alive", "", nil)
	return c
}

func approve(w *Window) func(context.Context) error {
	return func(ctx context.Context) error { return w.ApproveOrigin(ctx, agent.OriginQuestion{Origin: portal}) }
}

func TestOnlyTheWindowItselfReachesItsPages(t *testing.T) {
	w := newWindow(t, "en", idle...)
	o := open(t, w, approve(w))
	c := enter(t, w)
	stranger := &client{t: t, base: c.base}
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(c.base, "http://"))
	evil := "https://evil.example"

	tests := []struct {
		name, method, path, body string
		as                       *client
		headers                  headers
		status                   int
	}{
		{"the question, by its window", "GET", "/question", "", c, nil, 200},
		{"the question, typed into the window", "GET", "/question", "", c, headers{"Sec-Fetch-Site": "none"}, 200},
		{"the question without the cookie", "GET", "/question", "", stranger, nil, 403},
		{"the question with another cookie", "GET", "/question", "", stranger, headers{"Cookie": cookieName + "=" + strings.Repeat("A", 52)}, 403},
		{"the question from a page elsewhere", "GET", "/question", "", c, headers{"Sec-Fetch-Site": "cross-site"}, 403},
		{"the question from another port of this computer", "GET", "/question", "", c, headers{"Sec-Fetch-Site": "same-site"}, 403},
		{"the question from a client that does not say", "GET", "/question", "", c, headers{"Sec-Fetch-Site": ""}, 403},
		{"the question in a frame of its own origin", "GET", "/question", "", c, headers{"Sec-Fetch-Dest": "iframe"}, 403},
		{"the question by a name that was rebound", "GET", "/question", "", c, headers{"Host": "evil.example:" + port}, 421},
		{"the question by localhost", "GET", "/question", "", c, headers{"Host": "localhost:" + port}, 421},
		{"the question by another port", "GET", "/question", "", c, headers{"Host": "127.0.0.1:1"}, 421},
		{"the capability a second time", "POST", "/open", "again", c, nil, 403},
		{"an answer from a foreign page", "POST", "/answer", "answer=allow", c, headers{"Origin": evil}, 403},
		{"an answer from a foreign page's form", "POST", "/answer", "answer=allow", c, headers{"Origin": evil, "Sec-Fetch-Site": "cross-site"}, 403},
		{"an answer from a sandboxed page", "POST", "/answer", "answer=allow", c, headers{"Origin": "null"}, 403},
		{"an answer without an origin", "POST", "/answer", "answer=allow", c, headers{"Origin": ""}, 403},
		{"an answer from localhost", "POST", "/answer", "answer=allow", c, headers{"Origin": "http://localhost:" + port}, 403},
		{"an answer without the cookie", "POST", "/answer", "answer=allow", stranger, nil, 403},
		{"an answer in another form", "POST", "/answer", `{"answer":"allow"}`, c, headers{"Content-Type": "application/json"}, 415},
		{"an answer in plain text, as a form elsewhere can send", "POST", "/answer", "answer=allow", c, headers{"Content-Type": "text/plain"}, 415},
		{"an answer that is none", "POST", "/answer", "answer=perhaps", c, nil, 400},
		{"an answer in the address", "POST", "/answer?answer=allow", "", c, nil, 400},
		{"an answer that is too long", "POST", "/answer", "answer=allow&x=" + strings.Repeat("y", maxForm), c, nil, 400},
		{"an answer by GET", "GET", "/answer?answer=allow", "", c, nil, 405},
		{"an answer before the page can have been read", "POST", "/answer", "answer=allow", c, nil, 422},
		{"a document that is not there", "GET", "/document/0", "", c, nil, 404},
		{"the entry page from the file", "GET", "/", "", stranger, headers{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200},
		{"the entry page in a foreign frame", "GET", "/", "", stranger, headers{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403},
		{"the entry page fetched by a foreign page", "GET", "/", "", stranger, headers{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"}, 403},
		{"the style sheet for a foreign page", "GET", "/static/window.css", "", stranger, headers{"Sec-Fetch-Site": "cross-site"}, 403},
		{"a folder", "GET", "/static/", "", c, nil, 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := tt.as.do(tt.method, tt.path, tt.body, tt.headers)
			assert.Equal(t, tt.status, answer.StatusCode)
			h := answer.Header
			assert.Equal(t, "DENY", h.Get("X-Frame-Options"))
			assert.Equal(t, policy, h.Get("Content-Security-Policy"))
			assert.Equal(t, "same-origin", h.Get("Referrer-Policy"))
			assert.Equal(t, "no-store", h.Get("Cache-Control"))
			assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
			assert.Empty(t, h.Get("Access-Control-Allow-Origin"))
		})
	}
	assert.Empty(t, o.result, "nothing of this was an answer")

	c.do("GET", "/question", "", nil)
	time.Sleep(armDelay)
	assert.Equal(t, 200, c.do("POST", "/answer", "answer=allow", nil).StatusCode)
	assert.NoError(t, <-o.result)
	_, err := net.DialTimeout("tcp", strings.TrimPrefix(c.base, "http://"), time.Second)
	assert.Error(t, err, "the listener is gone with its question")
}

func TestACapabilityIsGoodOnceAndNeverInAnArgument(t *testing.T) {
	w := newWindow(t, "en", idle...)
	o := open(t, w, approve(w))
	base, capability := entry(t, w)
	files, _ := filepath.Glob(filepath.Join(w.config.Dir, "open-*.html"))
	info, err := os.Stat(files[0])
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	folder, err := os.Stat(w.config.Dir)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), folder.Mode().Perm())
	assert.NotContains(t, processes(t), capability)

	c := &client{t: t, base: base}
	assert.Equal(t, 403, c.do("POST", "/open", strings.Repeat("A", len(capability)), nil).StatusCode)
	assert.Equal(t, 403, c.do("POST", "/open", capability, headers{"Origin": "https://evil.example"}).StatusCode)
	assert.Equal(t, 204, c.do("POST", "/open", capability, nil).StatusCode)
	answer := c.do("POST", "/open", capability, nil)
	assert.Equal(t, 403, answer.StatusCode)
	assert.Empty(t, answer.Cookies())
	assert.NoFileExists(t, files[0])
	assert.Empty(t, o.result)
}

func TestAKeyIsCopiedOnlyFromTheNoticeThatOffersIt(t *testing.T) {
	w := newWindow(t, "pl", idle...)
	copies := 0
	certificate := certificates()[0]
	w.Notify(context.Background(), agent.Notice{Kind: agent.NoticeEnrolled, Origin: portal, Certificate: &certificate, Copy: func(context.Context) ([]byte, string, error) {
		if copies++; copies > 1 {
			return nil, "", problem.New(problem.KeyAbsent, "/home/zaneta/secret")
		}
		return []byte("encrypted"), "a\r\nSet-Cookie: x=y; \"ż\".p12", nil
	}})
	c := enter(t, w)
	stranger := *c
	stranger.cookie = nil
	assert.Equal(t, http.StatusForbidden, stranger.do("GET", "/copy", "", nil).StatusCode)
	assert.Equal(t, http.StatusForbidden, c.do("GET", "/copy", "", headers{"Sec-Fetch-Site": "cross-site"}).StatusCode)
	assert.Zero(t, copies)

	answer := c.do("GET", "/copy", "", nil)
	assert.Equal(t, "encrypted", c.text(answer))
	assert.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
	assert.True(t, strings.HasPrefix(answer.Header.Get("Content-Disposition"), "attachment"))
	assert.Empty(t, answer.Cookies(), "a name is no header")

	answer = c.do("GET", "/copy", "", nil)
	assert.Equal(t, http.StatusConflict, answer.StatusCode)
	assert.NotContains(t, c.text(answer), "secret")
	c.do("POST", "/answer", "answer=ok", nil)

	open(t, w, approve(w))
	assert.Equal(t, http.StatusNotFound, enter(t, w).do("GET", "/copy", "", nil).StatusCode)
}

func TestOnlyTheFirstAnswerCounts(t *testing.T) {
	w := newWindow(t, "pl", idle...)
	var got agent.StoreAnswer
	o := open(t, w, func(ctx context.Context) (err error) {
		got, err = w.ConfigureStore(ctx, storeQuestion())
		return err
	})
	c := enter(t, w)
	answers := make(chan int, 8)
	for range cap(answers) {
		go func() {
			r, _ := http.NewRequest("POST", c.base+"/answer", strings.NewReader("answer=ok&store=keyfile&algorithm-keyfile=p256"))
			r.Header = http.Header{"Origin": {c.base}, "Sec-Fetch-Site": {"same-origin"}, "Content-Type": {"application/x-www-form-urlencoded"}}
			r.AddCookie(c.cookie)
			answer, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				answers <- 0 // the listener was gone already
				return
			}
			_ = answer.Body.Close()
			answers <- answer.StatusCode
		}()
	}
	counts := map[int]int{}
	for range cap(answers) {
		counts[<-answers]++
	}
	assert.Equal(t, 1, counts[200])
	require.NoError(t, <-o.result)
	assert.Equal(t, agent.StoreAnswer{Store: "keyfile", Algorithm: agent.P256}, got)
}

func TestOnlyWhatWasOfferedCanBeChosenForANewKey(t *testing.T) {
	tests := []struct {
		name, form, wrong string
		want              agent.StoreAnswer
	}{
		{"the only place of a store", "store=keyfile&algorithm-keyfile=p384&label=+Biuro+%C5%81%C3%B3d%C5%BA+", "", agent.StoreAnswer{Store: "keyfile", Algorithm: agent.P384, Label: "Biuro Łódź"}},
		{"one of several tokens", "store=pkcs11&place-pkcs11=slot-2&algorithm-pkcs11=rsa2048", "", agent.StoreAnswer{Store: "pkcs11", Place: "slot-2", Algorithm: agent.RSA2048}},
		{"no algorithm is the one preselected", "store=pkcs11&place-pkcs11=slot-1", "", agent.StoreAnswer{Store: "pkcs11", Place: "slot-1", Algorithm: agent.RSA3072}},
		{"an unknown algorithm is the one preselected", "store=keyfile&algorithm-keyfile=rsa1024", "", agent.StoreAnswer{Store: "keyfile", Algorithm: agent.RSA3072}},
		{"no store", "", "store.error.store", agent.StoreAnswer{}},
		{"an unknown store", "store=cloud", "store.error.store", agent.StoreAnswer{}},
		{"a store that is not available", "store=csp", "store.error.store", agent.StoreAnswer{}},
		{"no token", "store=pkcs11", "store.error.place", agent.StoreAnswer{}},
		{"a token whose PIN is locked", "store=pkcs11&place-pkcs11=slot-3", "store.error.place", agent.StoreAnswer{}},
		{"a kind of key that the token does not make", "store=pkcs11&place-pkcs11=slot-2&algorithm-pkcs11=p256", "store.error.key", agent.StoreAnswer{}},
		{"a name that is too long", "store=keyfile&label=" + strings.Repeat("x", 41), "store.error.label", agent.StoreAnswer{}},
		{"a name with a line break", "store=keyfile&label=a%0Ab", "store.error.label", agent.StoreAnswer{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			values, err := url.ParseQuery(tt.form)
			require.NoError(t, err)
			got, wrong := storePage("en", storeQuestion()).answer(form(values))
			assert.Equal(t, tt.wrong, wrong)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestOnlyACertificateThatCanBeUsedSigns(t *testing.T) {
	w := newWindow(t, "en", idle...)
	var got agent.SigningAnswer
	o := open(t, w, func(ctx context.Context) (err error) {
		got, err = w.ApproveSigning(ctx, signing(document("a.xml", "text/xml", declaration(3))))
		return err
	})
	c := enter(t, w)
	c.do("GET", "/question", "", nil)
	time.Sleep(armDelay)
	for _, key := range []string{"", "keyfile%2F03+1f00", "keyfile%2F99+1f00", "keyfile%2F02", "keyfile%2F02+1f00"} {
		answer := c.do("POST", "/answer", "answer=sign&certificate="+key, nil)
		assert.Equal(t, 422, answer.StatusCode)
		assert.Contains(t, c.text(answer), "Choose a certificate.")
		time.Sleep(armDelay)
	}
	assert.Equal(t, 200, c.do("POST", "/answer", "answer=sign&certificate=keyfile%2F02+31c4a9", nil).StatusCode)
	require.NoError(t, <-o.result)
	assert.Equal(t, "keyfile/02", got.Key)
}

func TestTheEndOfAWindowIsANo(t *testing.T) {
	t.Run("when the person refuses", func(t *testing.T) {
		w := newWindow(t, "pl", idle...)
		o := open(t, w, approve(w))
		enter(t, w).do("POST", "/answer", "answer=refuse", nil)
		assert.Equal(t, problem.UserCancelled, problem.CodeOf(<-o.result))
	})
	t.Run("when its page goes away", func(t *testing.T) {
		w := newWindow(t, "pl", idle...)
		o := open(t, w, approve(w))
		base, capability := entry(t, w)
		c := &client{t: t, base: base}
		c.cookie = c.do("POST", "/open", capability, nil).Cookies()[0]
		_ = c.do("GET", "/alive", "", nil).Body.Close()
		assert.Equal(t, problem.UserCancelled, problem.CodeOf(<-o.result))
	})
	t.Run("when its program ends at once", func(t *testing.T) {
		w := newWindow(t, "pl", "/bin/sh", "-c", "exit 1", "sh", "{url}")
		assert.Equal(t, problem.PromptUnavailable, problem.CodeOf(approve(w)(context.Background())))
	})
	t.Run("when its program is not there", func(t *testing.T) {
		w := newWindow(t, "pl", "/nonexistent/browser", "{url}")
		assert.Equal(t, problem.PromptUnavailable, problem.CodeOf(w.Available()))
		assert.Equal(t, problem.PromptUnavailable, problem.CodeOf(approve(w)(context.Background())))
	})
	t.Run("when the context ends, and nothing is left running", func(t *testing.T) {
		w := newWindow(t, "pl", "/bin/sh", "-c", "sleep 61 & sleep 61", "sh", "{url}", "{profile}")
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error, 1)
		go func() { result <- approve(w)(ctx) }()
		entry(t, w)
		require.Eventually(t, func() bool { return strings.Contains(processes(t), w.config.Dir) }, 5*time.Second, 5*time.Millisecond)
		cancel()
		assert.ErrorIs(t, <-result, context.Canceled)
		assert.NotContains(t, processes(t), w.config.Dir)
		left, _ := filepath.Glob(filepath.Join(w.config.Dir, "open-*"))
		assert.Empty(t, left)
	})
	t.Run("when the agent closes its windows", func(t *testing.T) {
		w := newWindow(t, "pl", idle...)
		o := open(t, w, approve(w))
		entry(t, w)
		require.NoError(t, w.Close())
		assert.ErrorIs(t, <-o.result, context.Canceled)
	})
}

func TestQuestionsWaitForOneAnotherAndANoticeGivesWay(t *testing.T) {
	w := newWindow(t, "pl", idle...)
	w.Notify(context.Background(), agent.Notice{Kind: agent.NoticeFailed, Origin: portal, Problem: problem.New(problem.TokenAbsent, "")})
	notice := enter(t, w)
	assert.Contains(t, notice.text(notice.do("GET", "/question", "", nil)), "token_absent")

	first := open(t, w, approve(w))
	var c *client
	require.Eventually(t, func() bool {
		base, _ := entry(t, w)
		return base != notice.base
	}, 10*time.Second, 10*time.Millisecond, "the notice is gone and the question is shown")
	c = enter(t, w)
	second := open(t, w, approve(w))
	time.Sleep(100 * time.Millisecond)
	files, _ := filepath.Glob(filepath.Join(w.config.Dir, "open-*.html"))
	assert.Empty(t, files, "the second question is not shown yet")
	c.do("POST", "/answer", "answer=refuse", nil)
	assert.Error(t, <-first.result)
	enter(t, w).do("POST", "/answer", "answer=refuse", nil)
	assert.Error(t, <-second.result)
}

func TestAWindowCommandMustHaveAPlaceForTheAddress(t *testing.T) {
	_, err := New(Config{Command: []string{"chromium"}, Dir: t.TempDir()})
	assert.Error(t, err)
	_, err = New(Config{})
	assert.Error(t, err)
}

// processes returns the command lines of all processes.
func processes(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("no /proc here")
	}
	var b strings.Builder
	for _, f := range files {
		line, _ := os.ReadFile(f)
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}
