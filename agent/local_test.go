package agent_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
)

// reader is a store of tokens whose PIN can be changed, and that tells when a card comes.
type reader struct {
	agent.KeyStore
	places  []agent.Place
	err     error
	changes chan struct{}
	change  func(pin agent.AskPIN) error
}

func (*reader) Name() string                                     { return "reader" }
func (r *reader) Places(context.Context) ([]agent.Place, error)  { return r.places, r.err }
func (r *reader) Watch(context.Context) (<-chan struct{}, error) { return r.changes, r.err }
func (r *reader) ChangePIN(ctx context.Context, id string, how agent.PINChange, pin agent.AskPIN) error {
	return r.change(pin)
}

func readerAgent(t *testing.T, r *reader) *bureau {
	t.Helper()
	return newBureau(t, func(c *agent.Config) { c.Stores = append(c.Stores, r) })
}

func TestTokensAreThoseWhosePINCanBeChanged(t *testing.T) {
	card := agent.Place{ID: "1", Label: "Karta", State: agent.PINLocked, Problem: string(problem.PINLocked)}
	broken := agent.Place{ID: "module:x", Label: "driver.so", Problem: string(problem.DriverFailed)}
	for _, c := range []struct {
		name   string
		places []agent.Place
		err    error
		want   []agent.Token
		code   problem.Code
	}{
		{"a card, however its PIN is; no folder of key files", []agent.Place{card, broken}, nil, []agent.Token{{Store: "reader", Place: card}}, ""},
		{"no card, and a driver that failed", []agent.Place{broken}, nil, nil, problem.DriverFailed},
		{"no card", nil, nil, nil, problem.TokenAbsent},
		{"a store that cannot look", nil, problem.New(problem.StoreUnavailable, ""), nil, problem.StoreUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readerAgent(t, &reader{places: c.places, err: c.err}).agent.Tokens(t.Context())
			assert.Equal(t, c.want, got)
			assert.Equal(t, c.code, problem.CodeOf(err))
		})
	}
}

func TestWhoWaitsForACardIsToldOfEachStore(t *testing.T) {
	changes := make(chan struct{})
	b := readerAgent(t, &reader{changes: changes})
	ctx, cancel := context.WithCancel(t.Context())
	told := b.agent.WatchPlaces(ctx)
	for range 3 {
		changes <- struct{}{}
	}
	<-told
	close(changes)
	cancel()
	assert.Eventually(t, func() bool { _, more := <-told; return !more }, 5*time.Second, time.Millisecond)
	_, more := <-readerAgent(t, &reader{err: errors.New("no")}).agent.WatchPlaces(ctx)
	assert.False(t, more, "a store that cannot be watched keeps nobody waiting")
}

// TestAChangeOfAPINAsksForEachSecretAgainOnlyWhenThatOneWasWrong plays a token that wants "old" and then "good".
func TestAChangeOfAPINAsksForEachSecretAgainOnlyWhenItCanHelp(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers []string // in the order of the questions
		want    problem.Code
		wrong   []bool // what each prompt said of the answer before
	}{
		{"right at once", []string{"old", "good"}, "", []bool{false, false}},
		{"a wrong old one", []string{"odl", "good", "old", "good"}, "", []bool{false, false, true, false}},
		{"a new one that the token does not take", []string{"old", "bad", "old", "good"}, "", []bool{false, false, false, true}},
		{"three wrong ones, and no fourth", []string{"1", "good", "2", "good", "3", "good", "old", "good"}, problem.PINIncorrect,
			[]bool{false, false, true, false, true, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := readerAgent(t, &reader{change: func(pin agent.AskPIN) error {
				old, err := pin(t.Context(), agent.PINRequest{})
				if err != nil {
					return err
				}
				fresh, err := pin(t.Context(), agent.PINRequest{New: true, Min: 4, Max: 8})
				switch {
				case err != nil:
					return err
				case string(old.Bytes()) != "old":
					return problem.New(problem.PINIncorrect, "")
				case string(fresh.Bytes()) != "good":
					return problem.New(problem.PINUnsuitable, "")
				}
				_, err = pin(t.Context(), agent.PINRequest{})
				assert.Equal(t, problem.PINIncorrect, problem.CodeOf(err), "a store that asks a third time gets nothing")
				return nil
			}})
			b.person.onPIN = says(c.answers...)
			err := b.agent.ChangePIN(t.Context(), "reader", "1", agent.PINRenew)
			require.Equal(t, c.want, problem.CodeOf(err), "%v", err)
			var wrong []bool
			for _, req := range b.person.pins {
				wrong = append(wrong, req.Incorrect)
				assert.Equal(t, agent.PurposePIN, req.Purpose)
			}
			assert.Equal(t, c.wrong, wrong)
		})
	}
	b := readerAgent(t, &reader{})
	assert.Equal(t, problem.StoreUnavailable, problem.CodeOf(b.agent.ChangePIN(t.Context(), "nothing", "1", agent.PINRenew)))
}

func TestANewPINIsLongEnoughAndCanBeTypedAnywhere(t *testing.T) {
	for pin, want := range map[string]bool{
		"1234": true, "12345678": true, "Pin 1!": true,
		"": false, "123": false, "123456789": false, "zażó": false, "12\t4": false, "12\x7f4": false,
	} {
		assert.Equal(t, want, agent.PINFits([]byte(pin), 4, 8), "%q", pin)
	}
	assert.True(t, agent.PINFits([]byte("1"), 0, 0))
	assert.False(t, agent.PINFits(nil, 0, 0), "none is no PIN")
}
