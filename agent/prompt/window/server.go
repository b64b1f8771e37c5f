package window

import (
	"crypto/subtle"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"certsign/agent/prompt/wording"
	"certsign/internal/problem"
)

//go:embed static
var static embed.FS

const (
	cookieName  = "certsign-window"
	maxForm     = 64 << 10
	sourcePart  = 128 << 10 // octets of a document's source in one answer
	heartbeat   = 5 * time.Second
	contentHTML = "text/html; charset=utf-8"
	contentText = "text/plain; charset=utf-8"
)

// policy lets the page use only what the agent itself serves: no inline script or style, no frames, no other hosts.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// form is an answer.
type form url.Values

func (f form) get(name string) string { return url.Values(f).Get(name) }
func (f form) has(name string) bool   { return url.Values(f).Has(name) }
func (f form) action() string         { return f.get("answer") }

// handler serves one question. Each path says whether it may be had without the cookie.
func (s *session) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.entryPage)
	mux.HandleFunc("POST /open", s.exchange)
	files, _ := fs.Sub(static, "static")
	serve := http.StripPrefix("/static/", http.FileServerFS(files))
	mux.HandleFunc("GET /static/{file}", serve.ServeHTTP)
	mux.HandleFunc("GET /question", s.known(s.questionPage))
	mux.HandleFunc("GET /alive", s.known(s.alive))
	mux.HandleFunc("POST /list", s.known(s.freshList))
	mux.HandleFunc("GET /document/{n}", s.known(s.document))
	mux.HandleFunc("GET /document/{n}/source", s.known(s.source))
	mux.HandleFunc("GET /copy", s.known(s.copy))
	mux.HandleFunc("POST /answer", s.known(s.answer))
	return s.guard(mux)
}

// guard lets in only what a page of this very listener sends, except the first step into it.
func (s *session) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		// no-referrer would make the browser send "Origin: null" with the form.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		switch {
		case r.Host != s.host:
			// RFC 9110, 15.5.20: a name that was rebound to this address is not ours.
			http.Error(w, "wrong host", http.StatusMisdirectedRequest)
		case !s.fetchAllowed(r), r.Method != http.MethodGet && r.Header.Get("Origin") != "http://"+s.host:
			http.Error(w, "not for other pages", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// fetchAllowed checks who started a request (Fetch Metadata). The browser comes from a file to the entry page, which says
// nothing, as a cross-site navigation of the whole window.
func (s *session) fetchAllowed(r *http.Request) bool {
	site, mode, dest := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest")
	if dest == "iframe" || dest == "frame" || dest == "embed" || dest == "object" {
		return false
	}
	if r.URL.Path == "/" && site == "cross-site" {
		return r.Method == http.MethodGet && mode == "navigate" && dest == "document"
	}
	return site == "same-origin" || site == "none"
}

// known lets in only who has the cookie.
func (s *session) known(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie(cookieName)
		if err != nil || subtle.ConstantTimeCompare([]byte(c.Value), []byte(s.cookie)) != 1 {
			http.Error(w, "no session", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// entryPage is the same for everybody: its script takes the capability from the fragment, which browsers do not send.
func (s *session) entryPage(w http.ResponseWriter, _ *http.Request) {
	s.render(w, http.StatusOK, "entry.html", frame{})
}

// exchange gives the cookie for the capability, once.
func (s *session) exchange(w http.ResponseWriter, r *http.Request) {
	given, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 256))
	s.mu.Lock()
	fits := err == nil && !s.opened && subtle.ConstantTimeCompare(given, []byte(s.capability)) == 1
	if fits {
		s.opened, s.left = true, time.Now()
	}
	s.mu.Unlock()
	if fits {
		_ = os.Remove(s.entry) // it is spent
	} else {
		http.Error(w, "no such window", http.StatusForbidden)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	w.WriteHeader(http.StatusNoContent)
}

func (s *session) questionPage(w http.ResponseWriter, _ *http.Request) {
	s.showing.Lock()
	defer s.showing.Unlock()
	s.ask(w, http.StatusOK, "")
}

// ask shows the question, again with what was wrong. The caller holds showing.
func (s *session) ask(w http.ResponseWriter, status int, wrong string) {
	s.shown()
	if s.q.list != nil {
		s.told = s.q.list.names()
	}
	s.render(w, status, s.q.page+".html", frame{View: s.q.view, Wrong: wrong, Revision: s.revision, Watched: s.q.watch != nil})
}

// alive is a stream that is open as long as its page is. It says which list the question has.
func (s *session) alive(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.streams, s.met = s.streams+1, true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.streams, s.left = s.streams-1, time.Now()
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", contentText)
	control := http.NewResponseController(w)
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		s.mu.Lock()
		revision, changed := s.revision, s.changed
		s.mu.Unlock()
		if _, err := fmt.Fprintln(w, revision); err != nil || control.Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-s.ended:
			return
		case <-tick.C:
		}
	}
}

// document is a document's view, for a page that shows several.
func (s *session) document(w http.ResponseWriter, r *http.Request) {
	if d := s.find(w, r); d != nil {
		s.render(w, http.StatusOK, "content.html", frame{View: d})
	}
}

// source is a part of a document's text, as text.
func (s *session) source(w http.ResponseWriter, r *http.Request) {
	d := s.find(w, r)
	if d == nil {
		return
	}
	from, err := strconv.Atoi(r.URL.Query().Get("from"))
	if err != nil || from < 0 {
		http.Error(w, "no such part", http.StatusNotFound)
		return
	}
	part, next := d.read().Source(from, sourcePart)
	w.Header().Set("Content-Type", contentText)
	w.Header().Set("X-Next", strconv.Itoa(next))
	_, _ = io.WriteString(w, wording.VisibleText(part))
}

func (s *session) find(w http.ResponseWriter, r *http.Request) *documentView {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n >= len(s.q.documents) {
		http.Error(w, "no such document", http.StatusNotFound)
		return nil
	}
	return s.q.documents[n]
}

// copy hands a new key out as a file, encrypted as its store keeps it.
func (s *session) copy(w http.ResponseWriter, r *http.Request) {
	if s.q.copy == nil {
		http.NotFound(w, r)
		return
	}
	file, name, err := s.q.copy(r.Context())
	if err != nil {
		s.w.log.Warn("the key was not copied", "err", err)
		http.Error(w, problem.Describe(problem.CodeOf(err), string(s.w.lang)).Message, http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/x-pkcs12")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	_, _ = w.Write(file)
}

// readForm reads what a page sends, or says what is wrong with it.
func readForm(w http.ResponseWriter, r *http.Request) (form, bool) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); mediaType != "application/x-www-form-urlencoded" {
		http.Error(w, "not a form", http.StatusUnsupportedMediaType)
		return nil, false
	}
	if err := r.ParseForm(); err != nil {
		http.Error(w, "not a form", http.StatusBadRequest)
		return nil, false
	}
	return form(r.PostForm), true
}

// answer takes the person's answer. Only the first counts.
func (s *session) answer(w http.ResponseWriter, r *http.Request) {
	f, ok := readForm(w, r)
	if !ok {
		return
	}
	if !slices.Contains([]string{"refuse", "cancel", "allow", "ok", "sign"}, f.action()) {
		http.Error(w, "no answer", http.StatusBadRequest)
		return
	}
	s.showing.Lock()
	defer s.showing.Unlock()
	if s.closed {
		s.render(w, http.StatusGone, "gone.html", frame{})
		return
	}
	yes, wrong := s.q.decide(f)
	switch {
	case !yes || wrong != "":
	case s.stale(f):
		wrong = "list.error.stale"
	case s.q.armed == f.action() && s.tooEarly():
		wrong = s.q.early
	}
	if yes && wrong != "" {
		s.ask(w, http.StatusUnprocessableEntity, wrong)
		return
	}
	s.closed = true
	if yes {
		s.answered <- nil
	} else {
		s.answered <- errRefused
	}
	s.render(w, http.StatusOK, "done.html", frame{})
}

// tooEarly reports that the page was not shown long enough to be read. Its script is as strict; this holds without it.
func (s *session) tooEarly() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served.IsZero() || time.Since(s.served) < s.w.arm*9/10
}
