package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"certsign/internal/problem"
)

// maxPINPrompts is how often one operation may ask for a PIN; each wrong one costs the token a try.
const maxPINPrompts = 3

// askFor is the part of a PINRequest that the core knows and a store does not.
type askFor struct {
	purpose  Purpose
	document string
	keep     string // a ceremony that may keep the secret for its own end
	queue    bool   // nobody's turn is held yet: the first prompt waits for its own, and it lasts as long as the operation
	change   bool   // the store asks for two secrets: the one that allows it, and the new one
}

// withPIN runs op, which calls a store once and may ask for a PIN once, or, to change it, once for each. After a wrong PIN
// it runs op again only when the person submits another one: at most three prompts, and none for the try that would lock
// the token.
func (a *Agent) withPIN(ctx context.Context, c caller, what askFor, op func(AskPIN) error) (err error) {
	// Refusals count and are enough, except at a ceremony's end: its certificate was issued and must be stored.
	nags := what.queue && what.keep == ""
	leave := func() {}
	defer func() {
		if nags && ctx.Err() == nil && problem.CodeOf(err) == problem.UserCancelled {
			a.approval.declined(c.origin) // before whoever waits for the turn gets it
		}
		leave()
	}()
	var before error // what the store said of the last one
	for try := 1; ; try++ {
		asked, last := map[bool]bool{}, false
		ask := func(ctx context.Context, req PINRequest) (*Secret, error) {
			second := what.change && req.New
			if asked[second] {
				return nil, problem.New(problem.PINIncorrect, "the store asked twice in one operation")
			}
			asked[second] = true
			// Of two secrets, one was wrong: the other one's prompt does not say so.
			wrong := before != nil && (!what.change || second == (problem.CodeOf(before) != problem.PINIncorrect))
			if wrong && !second && req.State == PINFinal {
				last = true
				return nil, problem.New(problem.PINIncorrect, "one try is left, and it is not used without a new start")
			}
			if req.Purpose == "" {
				req.Purpose = what.purpose
			}
			req.Origin, req.Document, req.Incorrect = c.origin.Display(), what.document, wrong
			if !wrong {
				if held := a.secrets.get(what.keep, req); held != nil {
					return held, nil
				}
			}
			ctx, gone := c.untilGone(ctx)
			defer gone()
			if what.queue {
				left, err := a.asking.enter(ctx)
				if err != nil {
					last = true
					return nil, problem.Wrap(problem.UserCancelled, err, "nobody waits for it any more")
				}
				leave, what.queue = left, false
				if nags {
					if err := a.approval.patient(c.origin); err != nil {
						return nil, err
					}
				}
			}
			if req.Pad {
				last = true // the next try, too, begins with the person
				return nil, nil
			}
			c.awaiting("pin")
			s, err := a.pins.AskPIN(ctx, req)
			if err != nil {
				if problem.CodeOf(err) == problem.PromptUnavailable {
					a.log.Warn("nobody could be asked for a PIN", "err", err)
				}
				last = true
				return nil, err
			}
			a.secrets.keep(what.keep, s)
			return s, nil
		}
		err = op(ask)
		code := problem.CodeOf(err)
		if len(asked) == 0 || !askAgain[code] {
			if code == problem.PINLocked {
				a.secrets.forget(what.keep) // it may have been wrong
			}
			return err
		}
		if last && before != nil {
			return before // nobody gave another one: what was wrong is what the store said
		}
		before = err
		a.secrets.forget(what.keep)
		if try == maxPINPrompts || last || ctx.Err() != nil {
			return err
		}
	}
}

// askAgain are the problems that another secret can solve.
var askAgain = map[problem.Code]bool{problem.PINIncorrect: true, problem.PasswordWeak: true, problem.PINUnsuitable: true}

// Refusal says why nobody is asked: no secret could be right. It is nil for a new one.
func (r PINRequest) Refusal() error {
	switch {
	case r.New:
		return nil
	case r.State == PINLocked && r.PUK:
		return problem.New(problem.PUKLocked, "the token says so")
	case r.State == PINLocked:
		return problem.New(problem.PINLocked, "the token says so")
	case r.State == PINUnset:
		return problem.New(problem.PINNotSet, "the token has no PIN yet")
	}
	return nil
}

// Unfit is the problem of a new PIN or password that breaks the rules.
func (r PINRequest) Unfit() error {
	if r.Max > 0 {
		return problem.New(problem.PINUnsuitable, "it has %d to %d characters", r.Min, r.Max)
	}
	return problem.New(problem.PasswordWeak, "it breaks the rules")
}

// PINFits says whether pin could be the new PIN of a token: long enough and not too long (0 is not known), and of printable
// ASCII only, which drivers and keyboards agree on.
func PINFits(pin []byte, shortest, longest int) bool {
	for _, c := range pin {
		if c < 0x20 || c > 0x7E {
			return false
		}
	}
	return len(pin) > 0 && len(pin) >= shortest && (longest == 0 || len(pin) <= longest)
}

// secrets keeps a ceremony's PIN between its two legs, so that the certificate can be stored without asking again. It
// lives in memory only, and not longer than the limit.
type secrets struct {
	life time.Duration
	mu   sync.Mutex
	kept map[string]*keptSecret
}

type keptSecret struct {
	secret *Secret
	timer  *time.Timer
}

func newSecrets(life time.Duration) *secrets {
	return &secrets{life: life, kept: map[string]*keptSecret{}}
}

// keep stores a copy of s for the ceremony; "" keeps nothing.
func (k *secrets) keep(ceremony string, s *Secret) {
	if ceremony == "" {
		return
	}
	k.forget(ceremony)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept[ceremony] = &keptSecret{secret: s.Clone(), timer: time.AfterFunc(k.life, func() { k.forget(ceremony) })}
}

// get returns a copy for the ceremony, or nil. The PIN was right when it was kept: where the token says that a wrong one was
// given since, it may have been changed, and the try is the person's. A reader's own pad takes none.
func (k *secrets) get(ceremony string, req PINRequest) *Secret {
	if req.Pad || req.State == PINLow || req.State == PINFinal {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if h := k.kept[ceremony]; h != nil && ceremony != "" {
		return h.secret.Clone()
	}
	return nil
}

func (k *secrets) forget(ceremony string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h := k.kept[ceremony]; h != nil {
		h.timer.Stop()
		h.secret.Wipe()
		delete(k.kept, ceremony)
	}
}

func (k *secrets) forgetAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, h := range k.kept {
		h.timer.Stop()
		h.secret.Wipe()
		delete(k.kept, id)
	}
}

// documentLabel names documents in a PIN prompt: the first, and how many more.
func documentLabel(names []string) string {
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0]
	}
	return fmt.Sprintf("%s (+%d)", names[0], len(names)-1)
}
