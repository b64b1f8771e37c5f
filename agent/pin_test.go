package agent

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/problem"
)

// typist types a PIN whenever it is asked.
type typist struct {
	pin   string
	asked int
}

func (p *typist) AskPIN(context.Context, PINRequest) (*Secret, error) {
	p.asked++
	return NewSecret([]byte(p.pin)), nil
}

func TestAKeptPINIsGivenOnlyWhileNothingSaysThatItIsWrong(t *testing.T) {
	for _, c := range []struct {
		name  string
		state PINState
		kept  bool
	}{
		{"no PIN was wrong since", PINOK, true},
		{"a key file has no flags", "", true},
		{"a wrong PIN was given since: it may be another one now", PINLow, false},
		{"one try is left, and it is the person's", PINFinal, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			person := &typist{pin: "the new PIN"}
			a := &Agent{pins: person, secrets: newSecrets(time.Minute)}
			defer a.secrets.forgetAll()
			a.secrets.keep("ceremony", NewSecret([]byte("the kept PIN")))
			var given string
			op := func(ask AskPIN) error {
				s, err := ask(t.Context(), PINRequest{State: c.state})
				if err == nil {
					given = string(s.Bytes())
				}
				return err
			}
			quiet := &Hands{agent: a, ceremony: "ceremony", quiet: true}
			err := quiet.withPIN(t.Context(), PurposeDelete, op)
			if c.kept {
				require.NoError(t, err)
				assert.Equal(t, "the kept PIN", given)
			} else {
				assert.Equal(t, problem.UserCancelled, problem.CodeOf(err), "without a person it is not given")
				assert.Empty(t, given)
			}
			require.NoError(t, a.withPIN(t.Context(), caller{}, askFor{keep: "ceremony"}, op))
			if c.kept {
				assert.Equal(t, "the kept PIN", given)
				assert.Zero(t, person.asked)
			} else {
				assert.Equal(t, "the new PIN", given)
				assert.Equal(t, 1, person.asked)
			}
		})
	}
}

func TestAPINThatLockedTheTokenIsNotKept(t *testing.T) {
	a := &Agent{pins: &typist{pin: "wrong"}, secrets: newSecrets(time.Minute)}
	defer a.secrets.forgetAll()
	err := a.withPIN(t.Context(), caller{}, askFor{keep: "ceremony"}, func(ask AskPIN) error {
		_, err := ask(t.Context(), PINRequest{State: PINOK})
		require.NoError(t, err)
		return problem.New(problem.PINLocked, "that was the last try")
	})
	assert.Equal(t, problem.PINLocked, problem.CodeOf(err))
	assert.Nil(t, a.secrets.get("ceremony", PINRequest{State: PINOK}))
}

func TestACertificateThatWasIssuedIsStoredAlsoAfterRefusals(t *testing.T) {
	person := &typist{pin: "the PIN"}
	a := &Agent{pins: person, secrets: newSecrets(time.Minute), approval: newApproval(time.Now), asking: make(turnstile, 1)}
	defer a.secrets.forgetAll()
	page := caller{origin: Origin{"https://portal.example"}}
	for range manyRefusals {
		a.approval.declined(page.origin)
	}
	op := func(ask AskPIN) error {
		_, err := ask(t.Context(), PINRequest{State: PINOK})
		return err
	}
	err := a.withPIN(t.Context(), page, askFor{purpose: PurposeStore, queue: true}, op)
	assert.Equal(t, problem.RateLimited, problem.CodeOf(err), "one that the page has saved is not")
	assert.Zero(t, person.asked)
	require.NoError(t, (&Hands{agent: a, caller: page, ceremony: "ceremony"}).withPIN(t.Context(), PurposeStore, op))
	assert.Equal(t, 1, person.asked)
}

func TestAReadersPadAsksOnlyWhenAPersonIsThereAndOnce(t *testing.T) {
	person := &typist{pin: "the PIN"}
	a := &Agent{pins: person, secrets: newSecrets(time.Minute), asking: make(turnstile, 1)}
	defer a.secrets.forgetAll()
	a.secrets.keep("ceremony", NewSecret([]byte("a PIN that no pad takes")))
	onPad := 0
	op := func(ask AskPIN) error {
		s, err := ask(t.Context(), PINRequest{State: PINOK, Pad: true})
		if err != nil {
			return err
		}
		assert.Nil(t, s)
		assert.Len(t, a.asking, 1, "no window comes up meanwhile")
		onPad++
		return problem.New(problem.PINIncorrect, "mistyped")
	}
	hands := Hands{agent: a, ceremony: "ceremony", quiet: true}
	assert.Equal(t, problem.UserCancelled, problem.CodeOf(hands.withPIN(t.Context(), PurposeStore, op)))
	assert.Zero(t, onPad)
	hands.quiet = false
	assert.Equal(t, problem.PINIncorrect, problem.CodeOf(hands.withPIN(t.Context(), PurposeStore, op)))
	assert.Equal(t, 1, onPad)
	assert.Zero(t, person.asked)
	assert.Empty(t, a.asking)
}
