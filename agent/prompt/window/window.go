// Package window asks the person in a window of the agent's own: a page that an own loopback listener serves to an own
// browser process (Chromium, Chrome or Edge as an application window, else Firefox) with a profile of its own.
//
// The listener lives as long as one question. A page of the person's everyday browser cannot reach it: the way in is a
// capability that is good once, lies in a file which only the person can read (so that it is in no process list), and is
// exchanged for a cookie of the private profile; Host, Origin and Sec-Fetch-Site are checked exactly, framing is
// forbidden, and no script but the agent's own runs. What pages and documents say is shown as text.
//
// While a question is open, its list of places or certificates follows the cards that come and go. A choice is never
// replaced by another, and an answer to a list that is no longer the newest is put again rather than taken.
//
// It does not defend against programs of the same person on the same desktop: those can press any button. A browser that
// is confined to some folders (snap, Flatpak) must be able to read Config.Dir. PINs and passwords are never asked for here.
package window

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"certsign/agent"
	"certsign/agent/prompt/wording"
	"certsign/internal/problem"
)

// Config says how windows are opened.
type Config struct {
	// Command is the program that shows a window, and its arguments. In each argument {url} becomes the file URL to
	// open, {profile} a folder for the program's own state, {lang} "pl" or "en"; one argument must have {url}, and the program should be given
	// {profile}, since a browser that also visits other sites shares cookies between ports of this computer. Nil: the
	// first browser that is found.
	Command []string
	// Dir is a folder in the agent's home that only the person can read. It is made when it is missing.
	Dir string
	// Language is "pl" or "en".
	Language string
	// Log gets what goes wrong with browsers; nil: nothing does.
	Log *slog.Logger
}

const (
	armDelay    = time.Second      // before a dangerous button can be used
	openTimeout = time.Minute      // for the browser to come up
	noticeLife  = 10 * time.Minute // of a notice that nobody closes
	briefLife   = 20 * time.Second // of a notice that nobody needs to read
)

// Window is an agent.Prompter. It shows one window at a time: questions wait for one another, and a notice gives way to
// a question.
type Window struct {
	config Config
	lang   wording.Language
	log    *slog.Logger
	arm    time.Duration

	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup

	turn    chan struct{}
	mu      sync.Mutex
	waiting int                // questions that wait or are shown
	notice  context.CancelFunc // of the notice that is shown
}

// New checks the configuration. It opens nothing yet.
func New(c Config) (*Window, error) {
	if c.Command != nil && !strings.Contains(strings.Join(c.Command, "\x00"), "{url}") {
		return nil, errors.New("window command has no {url}")
	}
	if c.Dir == "" {
		return nil, errors.New("window needs a folder of its own")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("find window folder: %w", err)
	}
	c.Dir = dir
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make window folder: %w", err)
	}
	if err := os.Chmod(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("protect window folder: %w", err)
	}
	stale, _ := filepath.Glob(filepath.Join(c.Dir, "open-*.html"))
	for _, file := range stale {
		_ = os.Remove(file) // of an agent that was killed; its listener is gone
	}
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	w := &Window{config: c, lang: wording.Parse(c.Language), log: log, arm: armDelay, turn: make(chan struct{}, 1)}
	w.life, w.end = context.WithCancel(context.Background())
	return w, nil
}

// Available returns prompt_unavailable when no window can be shown here: no browser, or no display.
func (w *Window) Available() error {
	_, err := w.command("", "")
	return err
}

// Close closes whatever is shown and waits until it is gone.
func (w *Window) Close() error {
	w.end()
	w.running.Wait()
	return nil
}

// ApproveOrigin implements agent.Prompter.
func (w *Window) ApproveOrigin(ctx context.Context, q agent.OriginQuestion) error {
	return w.ask(ctx, &question{page: "origin", view: originPage(w.lang, q), decide: func(f form) (bool, string) {
		return f.action() == "allow", ""
	}, armed: "allow", early: "allow.error.early"})
}

// ConfigureStore implements agent.Prompter.
func (w *Window) ConfigureStore(ctx context.Context, q agent.StoreQuestion) (agent.StoreAnswer, error) {
	var answer agent.StoreAnswer
	page := storePage(w.lang, q)
	watch := watching(q.Watch, q.Look, page.take)
	err := w.ask(ctx, &question{page: "store", view: page, list: page, watch: watch, decide: func(f form) (bool, string) {
		if f.action() != "ok" {
			return false, ""
		}
		var wrong string
		answer, wrong = page.answer(f)
		return true, wrong
	}})
	return answer, err
}

// ApproveSigning implements agent.Prompter.
func (w *Window) ApproveSigning(ctx context.Context, q agent.SigningQuestion) (agent.SigningAnswer, error) {
	var answer agent.SigningAnswer
	page := signPage(w.lang, q)
	watch := watching(q.Watch, q.Look, page.take)
	err := w.ask(ctx, &question{page: "sign", view: page, documents: page.Documents, list: page, watch: watch, decide: func(f form) (bool, string) {
		if f.action() != "sign" {
			return false, ""
		}
		var wrong string
		answer, wrong = page.answer(f)
		return true, wrong
	}, armed: "sign", early: "sign.error.early"})
	return answer, err
}

// Notify implements agent.Prompter. The notice outlives ctx, since a page often goes away right after its work is done.
func (w *Window) Notify(_ context.Context, n agent.Notice) {
	page, life := noticePage(w.lang, n)
	w.running.Go(func() {
		ctx, cancel := context.WithTimeout(w.life, life)
		defer cancel()
		if !w.enterQuietly(ctx, cancel) {
			return
		}
		defer w.leave()
		err := w.show(ctx, &question{page: "notice", view: page, copy: n.Copy, decide: func(form) (bool, string) { return true, "" }})
		if err != nil && ctx.Err() == nil && problem.CodeOf(err) != problem.UserCancelled {
			w.log.Warn("notice was not shown", "kind", string(n.Kind), "err", err)
		}
	})
}

// ask shows a question when its turn comes.
func (w *Window) ask(ctx context.Context, q *question) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.life, cancel)()
	w.mu.Lock()
	w.waiting++
	if w.notice != nil {
		w.notice()
	}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.waiting--
		w.mu.Unlock()
	}()
	select {
	case w.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer w.leave()
	return w.show(ctx, q)
}

// enterQuietly takes the turn for a notice once no question wants it, and tells whether it did before ctx ended.
func (w *Window) enterQuietly(ctx context.Context, cancel context.CancelFunc) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case w.turn <- struct{}{}:
			w.mu.Lock()
			if w.waiting == 0 {
				w.notice = cancel
				w.mu.Unlock()
				return true
			}
			w.mu.Unlock()
			<-w.turn
		case <-ctx.Done():
			return false
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

func (w *Window) leave() {
	w.mu.Lock()
	w.notice = nil
	w.mu.Unlock()
	<-w.turn
}
