package window

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"certsign/agent/prompt/child"
	"certsign/internal/problem"
)

// question is a page and what its answers mean.
type question struct {
	page      string // the template's name
	view      any
	documents []*documentView
	copy      copyKey // of a new key; nil: there is nothing to copy
	list      list    // of the view; nil: nothing in it changes
	watch     watch   // tells when list changes; nil: it does not
	// decide reads an answer: the person's yes or no, and the key of a text when it cannot be accepted as it is.
	decide func(form) (yes bool, wrong string)
	armed  string // the action that is dangerous when it is taken before the page could be seen
	early  string // what to say then
}

// copyKey returns an encrypted key and a name for its file.
type copyKey func(context.Context) (file []byte, name string, err error)

// session is one question while it is shown.
type session struct {
	w          *Window
	q          *question
	host       string // 127.0.0.1:port
	cookie     string
	capability string
	entry      string // the file that holds the capability
	ended      chan struct{}

	showing sync.Mutex // held before mu, for the question's view, and:
	told    []string   // what could be chosen when the list was last shown
	closed  bool       // answered: no other answer counts

	mu       sync.Mutex
	revision int           // how often the list has changed; it changes under both
	changed  chan struct{} // closed, and made anew, when the list changes
	opened   bool          // the capability was exchanged
	served   time.Time     // when the question was last shown
	streams  int           // pages that are open now
	met      bool          // whether there ever was one
	left     time.Time     // when the last of them went away, or the capability was exchanged
	answered chan error
}

var errRefused = problem.New(problem.UserCancelled, "the person said no")

// show opens a window for q, waits for the answer and closes the window.
func (w *Window) show(ctx context.Context, q *question) error {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return problem.Wrap(problem.PromptUnavailable, err, "no port for the window")
	}
	s := &session{w: w, q: q, host: listener.Addr().String(), cookie: rand.Text() + rand.Text(), capability: rand.Text() + rand.Text(),
		ended: make(chan struct{}), changed: make(chan struct{}), answered: make(chan error, 1)}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	defer func() {
		_ = server.Close()
		serving.Wait()
	}()
	if err := s.writeEntry(); err != nil {
		return problem.Wrap(problem.PromptUnavailable, err, "no file for the window")
	}
	defer func() { _ = os.Remove(s.entry) }()
	browser, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() {
		browser.Stop()
		if dir := w.temporary(); dir != "" {
			_ = os.RemoveAll(dir)
		}
	}()
	if q.watch != nil {
		watched, enough := context.WithCancel(ctx)
		defer enough()
		go q.watch(watched, s.change)
	}
	err = s.wait(ctx, browser)
	if ctx.Err() == nil {
		s.farewell(server)
	}
	return err
}

// farewell lets the last page reach the window before its browser is closed.
func (s *session) farewell(server *http.Server) {
	close(s.ended)
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	_ = server.Shutdown(ctx)
}

// writeEntry writes the file that the browser opens first. Its name may be in process lists; the capability is in it.
func (s *session) writeEntry() error {
	s.entry = filepath.Join(s.w.config.Dir, "open-"+rand.Text()+".html")
	f, err := os.OpenFile(s.entry, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	target := html.EscapeString("http://" + s.host + "/#" + s.capability)
	_, err = fmt.Fprintf(f, `<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">`+
		`<meta http-equiv="refresh" content="0;url=%s"><title>CertSign</title>`, target)
	return errors.Join(err, f.Close())
}

// open starts the browser.
func (s *session) open(ctx context.Context) (*child.Process, error) {
	path := filepath.ToSlash(s.entry)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	profile := filepath.Join(s.w.config.Dir, "profile")
	command, err := s.w.command((&url.URL{Scheme: "file", Path: path}).String(), profile)
	if err != nil {
		return nil, err
	}
	if err := prepareProfile(profile, command[0]); err != nil {
		return nil, problem.Wrap(problem.PromptUnavailable, err, "no profile for the window")
	}
	cmd := exec.Command(command[0], command[1:]...)
	if dir := s.w.temporary(); dir != "" {
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
			return nil, problem.Wrap(problem.PromptUnavailable, err, "no folder for the window's temporary files")
		}
		cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	}
	browser, err := child.Start(ctx, cmd)
	if err != nil && ctx.Err() == nil {
		return nil, problem.Wrap(problem.PromptUnavailable, err, "the window command does not start")
	}
	return browser, err
}

// prepareProfile makes the browser's own folder.
func prepareProfile(profile, program string) error {
	if err := os.MkdirAll(profile, 0o700); err != nil {
		return err
	}
	if !strings.Contains(strings.ToLower(filepath.Base(program)), "firefox") {
		return nil
	}
	return os.WriteFile(filepath.Join(profile, "user.js"), []byte(firefoxPreferences), 0o600)
}

// longestTemporary leaves room for Chromium's socket, "/org.chromium.Chromium.XXXXXX/SingletonSocket": the path of a socket
// has less than 108 octets (unix(7)), on macOS 104, and Chromium does not start when it has more.
const longestTemporary = 103 - 46

// temporary is a private folder for the browser's temporary files, since one that is ended leaves some behind; "" where
// they go where every program's go: on Windows, and where the folder's name is too long.
func (w *Window) temporary() string {
	dir := filepath.Join(w.config.Dir, "tmp")
	if runtime.GOOS == "windows" || len(dir) > longestTemporary {
		return ""
	}
	return dir
}

// How long a window may be without a page before it counts as closed.
const (
	reloadGrace = 2 * time.Second  // between two pages of one window
	loadGrace   = 15 * time.Second // from the exchange of the capability to the first page
	exitGrace   = 10 * time.Second // from the end of the program that was started, which may have handed over to another, to the first page
)

// wait returns the answer. A window that the person closed is user_cancelled; one that never came up, prompt_unavailable.
func (s *session) wait(ctx context.Context, browser *child.Process) error {
	started := time.Now()
	var exited time.Time
	done := browser.Done()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-s.answered:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			done, exited = nil, time.Now()
			if err := browser.Err(); err != nil && !s.wasOpened() {
				return problem.Wrap(problem.PromptUnavailable, err, "the window command ended at once")
			}
		case <-tick.C:
		}
		if err := s.lost(started, exited); err != nil {
			return err
		}
	}
}

// lost says that nobody can answer any more, or nothing.
func (s *session) lost(started, exited time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	closed := problem.New(problem.UserCancelled, "the window was closed")
	switch {
	case s.streams > 0:
		return nil
	case s.met && time.Since(s.left) > reloadGrace,
		s.met && !exited.IsZero() && time.Since(exited) > reloadGrace/4,
		s.opened && time.Since(s.left) > loadGrace:
		return closed
	case s.opened:
		return nil
	case !exited.IsZero() && time.Since(exited) > exitGrace:
		return problem.New(problem.PromptUnavailable, "the window command ended and showed nothing")
	case time.Since(started) > openTimeout:
		return problem.New(problem.PromptUnavailable, "the window did not come up")
	default:
		return nil
	}
}

func (s *session) wasOpened() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}
