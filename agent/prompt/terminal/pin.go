package terminal

import (
	"context"
	"crypto/subtle"

	"certsign/agent"
	"certsign/internal/problem"
)

// AskPIN implements agent.PINPrompter: a PIN is asked for once, a new password until it meets the rules and was typed
// twice the same.
func (t *Terminal) AskPIN(ctx context.Context, req agent.PINRequest) (*agent.Secret, error) {
	switch {
	case req.State == agent.PINLocked:
		return nil, problem.New(problem.PINLocked, "the PIN is locked")
	case req.State == agent.PINUnset && !req.New:
		return nil, problem.New(problem.PINNotSet, "the PIN is not set")
	}
	var secret *agent.Secret
	err := t.session(ctx, func(s *screen) (err error) {
		s.heading(s.lang.PINTitle(req))
		s.say(s.lang.PINSubject(req)...)
		s.say(s.lang.PINAdvice(req)...)
		if req.Incorrect {
			s.say(s.lang.Text("pin.incorrect"))
		}
		s.say(s.lang.Text("terminal.secret"))
		s.settle()
		if req.New {
			secret, err = s.newPassword()
		} else {
			secret, err = s.pin()
		}
		return err
	})
	if err != nil {
		secret.Wipe()
		return nil, err
	}
	return secret, nil
}

// pin reads a PIN. An empty one is not passed on: it would cost the token a try.
func (s *screen) pin() (*agent.Secret, error) {
	for range maxTries {
		typed, err := s.line(s.lang.Text("pin.prompt")+" ", hidden)
		if err != nil {
			return nil, err
		}
		if len(typed) > 0 {
			return agent.NewSecret(typed), nil
		}
		s.say(s.lang.Text("pin.empty"))
	}
	return nil, errCancelled
}

func (s *screen) newPassword() (*agent.Secret, error) {
	for range 2 * maxTries {
		first, err := s.line(s.lang.Text("pin.prompt.new")+" ", hidden)
		if err != nil {
			return nil, err
		}
		if wrong := s.lang.PasswordMissing(first); wrong != "" {
			clear(first)
			s.say(wrong)
			continue
		}
		second, err := s.line(s.lang.Text("pin.prompt.repeat")+" ", hidden)
		if err != nil {
			clear(first)
			return nil, err
		}
		same := subtle.ConstantTimeCompare(first, second) == 1
		clear(second)
		if same {
			return agent.NewSecret(first), nil
		}
		clear(first)
		s.say(s.lang.Text("pin.new.differ"))
	}
	return nil, problem.New(problem.PasswordWeak, "no password met the rules")
}
