package terminal

import (
	"context"
	"crypto/subtle"

	"certsign/agent"
)

// AskPIN implements agent.PINPrompter: a PIN is asked for once; a new one, or a new password, until it meets the rules and
// was typed twice the same.
func (t *Terminal) AskPIN(ctx context.Context, req agent.PINRequest) (*agent.Secret, error) {
	if err := req.Refusal(); err != nil {
		return nil, err
	}
	var secret *agent.Secret
	err := t.session(ctx, func(s *screen) (err error) {
		s.heading(s.lang.PINTitle(req))
		s.say(s.lang.PINSubject(req)...)
		s.say(s.lang.PINAdvice(req)...)
		if wrong := s.lang.PINIncorrect(req); wrong != "" {
			s.say(wrong)
		}
		s.say(s.lang.Text("terminal.secret"))
		s.settle()
		if req.New {
			secret, err = s.newSecret(req)
		} else {
			secret, err = s.pin(req)
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
func (s *screen) pin(req agent.PINRequest) (*agent.Secret, error) {
	prompt, _, _ := s.lang.PINPrompts(req)
	for range maxTries {
		typed, err := s.line(prompt+" ", hidden)
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

func (s *screen) newSecret(req agent.PINRequest) (*agent.Secret, error) {
	prompt, repeat, differ := s.lang.PINPrompts(req)
	for range 2 * maxTries {
		first, err := s.line(prompt+" ", hidden)
		if err != nil {
			return nil, err
		}
		if wrong := s.lang.PINUnfit(req, first); wrong != "" {
			clear(first)
			s.say(wrong)
			continue
		}
		second, err := s.line(repeat+" ", hidden)
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
		s.say(differ)
	}
	return nil, req.Unfit()
}
