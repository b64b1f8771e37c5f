// Package pin asks for PINs and passwords in a dialog of the computer's own, which no page and no browser takes part in:
// a pinentry program (Assuan protocol, as GnuPG's "Pinentry" manual 1.2 describes it), else zenity on Linux, a dialog of
// Windows' own controls, and osascript on macOS.
//
// It keeps secrets in octet slices that it wipes, and hands them to nobody but the caller; they are never in an argument,
// a log or an error. macOS answers with a Go string, which cannot be wiped, and Windows may keep copies of what was typed
// into its field. The programs are the person's own and are believed.
package pin

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"strings"
	"sync"
	"time"

	"certsign/agent"
	"certsign/agent/prompt/wording"
	"certsign/internal/problem"
)

// Config says how secrets are asked for.
type Config struct {
	// Program is a pinentry, by name or path. Empty: the first that is found and can show itself here, and without one
	// the desktop's own dialog.
	Program string
	// Args are its arguments.
	Args []string
	// Env is added to its environment, for example "DISPLAY=:0".
	Env []string
	// TTY is the terminal for a pinentry that needs one, for example /dev/pts/3. Empty: $GPG_TTY.
	TTY string
	// Language is "pl" or "en".
	Language string
	// Timeout is how long a dialog waits; 0 means five minutes.
	Timeout time.Duration
	// Log gets what goes wrong with programs; nil: nothing does.
	Log *slog.Logger
}

// Prompter is an agent.PINPrompter. It shows one dialog at a time.
type Prompter struct {
	config Config
	lang   wording.Language
	log    *slog.Logger
	turn   chan struct{}
	choose func() (dialog, error)
}

// dialog shows a question once and returns what was typed; repeated tells that it was typed twice and was the same.
// Cancelling is user_cancelled; no way to show it, prompt_unavailable; nobody there, timeout.
type dialog interface {
	ask(ctx context.Context, q question) (typed *agent.Secret, repeated bool, err error)
}

// question is what a dialog shows.
type question struct {
	title   string
	subject []string // with other people's words
	advice  []string
	prompt  string
	repeat  string // the prompt for a second time, when it is wanted
	differ  string
	wrong   string // what was wrong with the last answer
	ok      string
	cancel  string
}

// New returns a Prompter. It starts nothing yet.
func New(c Config) *Prompter {
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Minute
	}
	p := &Prompter{config: c, lang: wording.Parse(c.Language), log: c.Log, turn: make(chan struct{}, 1)}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.choose = sync.OnceValues(p.find)
	return p
}

// Available returns prompt_unavailable when no dialog can be shown here.
func (p *Prompter) Available() error {
	_, err := p.choose()
	return err
}

// How often a dialog comes back before the agent gives up: with nothing in it, and with a password that cannot be.
const (
	maxEmpty = 5
	maxWeak  = 10
)

// AskPIN implements agent.PINPrompter. A PIN is asked for once; a new one, or a new password, until it
// meets the rules and was typed twice the same.
func (p *Prompter) AskPIN(ctx context.Context, req agent.PINRequest) (*agent.Secret, error) {
	if err := req.Refusal(); err != nil {
		return nil, err
	}
	d, err := p.choose()
	if err != nil {
		return nil, err
	}
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.turn }()
	ctx, cancel := context.WithTimeoutCause(ctx, p.config.Timeout, problem.New(problem.Timeout, "nobody answered the PIN dialog"))
	defer cancel()
	q := p.question(req)
	if req.New {
		return p.chooseNew(ctx, d, req, q)
	}
	for range maxEmpty {
		s, _, err := d.ask(ctx, q)
		if err != nil {
			return nil, ended(ctx, err)
		}
		if len(s.Bytes()) > 0 {
			return s, nil
		}
		q.wrong = p.lang.Text("pin.empty") // an empty PIN would cost the token a try
	}
	return nil, problem.New(problem.UserCancelled, "nothing was entered")
}

func (p *Prompter) question(req agent.PINRequest) question {
	l := p.lang
	q := question{title: l.PINTitle(req), subject: l.PINSubject(req), advice: l.PINAdvice(req), wrong: l.PINIncorrect(req),
		ok: l.Text("button.ok"), cancel: l.Text("button.cancel")}
	q.prompt, q.repeat, q.differ = l.PINPrompts(req)
	return q
}

func (p *Prompter) chooseNew(ctx context.Context, d dialog, req agent.PINRequest, q question) (*agent.Secret, error) {
	for range maxWeak {
		s, repeated, err := d.ask(ctx, q)
		if err != nil {
			return nil, ended(ctx, err)
		}
		if q.wrong = p.lang.PINUnfit(req, s.Bytes()); q.wrong != "" {
			s.Wipe()
			continue
		}
		if repeated {
			return s, nil
		}
		again := q
		again.advice, again.prompt, again.repeat = nil, q.repeat, ""
		second, _, err := d.ask(ctx, again)
		if err != nil {
			s.Wipe()
			return nil, ended(ctx, err)
		}
		same := subtle.ConstantTimeCompare(s.Bytes(), second.Bytes()) == 1
		second.Wipe()
		if same {
			return s, nil
		}
		s.Wipe()
		q.wrong = q.differ
	}
	return nil, req.Unfit()
}

// ended returns why the context ended when it did, and else err.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// angles keeps other people's words from looking like markup: some pinentries show HTML where a text looks like it.
var angles = strings.NewReplacer("<", "‹", ">", "›", "&", "＆")

func (q question) description() string {
	lines := make([]string, 0, len(q.subject)+len(q.advice)+1)
	for _, s := range q.subject {
		lines = append(lines, angles.Replace(s))
	}
	if len(q.advice) > 0 {
		lines = append(append(lines, ""), q.advice...)
	}
	return strings.Join(lines, "\n")
}
