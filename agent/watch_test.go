package agent_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
)

// socket is a store whose one card comes and goes while a question is open.
type socket struct {
	agent.KeyStore
	mu      sync.Mutex
	places  []agent.Place
	keys    []agent.Key
	err     error
	changes chan struct{} // one for each change
	ended   chan struct{} // closed when the watch has ended
}

func (*socket) Name() string { return "socket" }
func (s *socket) Places(context.Context) ([]agent.Place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places, s.err
}
func (s *socket) List(context.Context) ([]agent.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys, s.err
}
func (s *socket) Watch(ctx context.Context) (<-chan struct{}, error) {
	changes := make(chan struct{})
	go func() {
		defer close(s.ended)
		defer close(changes)
		for {
			select {
			case <-s.changes:
				changes <- struct{}{}
			case <-ctx.Done():
				return
			}
		}
	}()
	return changes, nil
}

func (s *socket) becomes(places []agent.Place, keys ...agent.Key) {
	s.mu.Lock()
	s.places, s.keys = places, keys
	s.mu.Unlock()
	s.changes <- struct{}{}
}

func newSocket() *socket {
	return &socket{changes: make(chan struct{}, 8), ended: make(chan struct{})}
}

// toldAndLooked waits for a change and looks.
func toldAndLooked[T any](t *testing.T, told <-chan struct{}, look func(context.Context) T) T {
	t.Helper()
	select {
	case <-told:
	case <-time.After(5 * time.Second):
		assert.Fail(t, "nobody tells")
	}
	return look(t.Context())
}

func TestAnAnswerIsCheckedAgainstWhatWasSeenLastWhileTheQuestionWasOpen(t *testing.T) {
	karta := agent.Place{ID: "1", Label: "Karta", Hardware: true, State: agent.PINOK, Keys: []agent.KeyAlgorithm{agent.P256}}
	locked := karta
	locked.Problem = string(problem.PINLocked)
	there, away := []agent.Place{karta}, []agent.Place(nil)
	for _, c := range []struct {
		name  string
		steps [][]agent.Place // what the store has at first, and then while the question is open
		looks bool
		code  problem.Code
	}{
		{"a card that was put in can be chosen", [][]agent.Place{away, there}, true, problem.Unsupported}, // which is what Begin of this agent says
		{"a card that nobody has looked at cannot", [][]agent.Place{away, there}, false, problem.StoreUnavailable},
		{"a card that was taken out cannot", [][]agent.Place{there, away}, true, problem.StoreUnavailable},
		{"a card whose PIN was locked cannot", [][]agent.Place{there, {locked}}, true, problem.PINLocked},
		{"a card that was taken out and put in again can", [][]agent.Place{there, away, there}, true, problem.Unsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSocket()
			s.places = c.steps[0]
			b := newBureau(t, func(config *agent.Config) {
				config.Stores, config.Enroller = []agent.KeyStore{s}, noEnroller{}
			})
			b.person.onStore = func(ctx context.Context, q agent.StoreQuestion) (agent.StoreAnswer, error) {
				told := q.Watch(ctx)
				for _, places := range c.steps[1:] {
					s.becomes(places)
					if c.looks {
						assert.Equal(t, places, toldAndLooked(t, told, q.Look)[0].Places)
					}
				}
				broken, cancel := context.WithCancel(ctx)
				cancel()
				q.Look(broken) // a look that was broken off counts for nothing
				return agent.StoreAnswer{Store: "socket", Place: "1", Algorithm: agent.P256}, nil
			}
			v := b.open()
			v.send("1", agent.MethodEnroll, agent.EnrollParams{})
			var events []string
			f := v.await("1", func(f wire) { events = append(events, f.Event) })
			require.NotNil(t, f.Error)
			assert.Equal(t, c.code, problem.Code(f.Error.Code))
			assert.Equal(t, []string{agent.EventAwaitingUser}, events, "no page learns of cards")
			select {
			case <-s.ended:
			case <-time.After(5 * time.Second):
				assert.Fail(t, "the watch outlives its question")
			}
		})
	}
}

// noEnroller refuses what a person chose, so that a test sees that it was accepted.
type noEnroller struct{ agent.Enroller }

func (noEnroller) Begin(context.Context, agent.BeginRequest, *agent.Hands) (*agent.Ceremony, error) {
	return nil, problem.New(problem.Unsupported, "")
}

func TestAQuestionWatchesOnlyStoresThatTell(t *testing.T) {
	broken := newSocket()
	broken.err = problem.New(problem.StoreUnavailable, "")
	for name, c := range map[string]struct {
		stores  []agent.KeyStore
		watches bool
	}{
		"none":                        {nil, false},
		"a socket for cards":          {[]agent.KeyStore{newSocket()}, true},
		"a socket without its driver": {[]agent.KeyStore{broken}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBureau(t, func(config *agent.Config) {
				config.Stores, config.Enroller = append(config.Stores, c.stores...), noEnroller{}
			})
			b.person.onStore = func(_ context.Context, q agent.StoreQuestion) (agent.StoreAnswer, error) {
				assert.Equal(t, c.watches, q.Watch != nil)
				return agent.StoreAnswer{}, errNo
			}
			assert.Equal(t, problem.UserCancelled, b.open().call("1", agent.MethodEnroll, agent.EnrollParams{}, nil))
		})
	}
}

func TestACertificateOnACardThatWasPutInWhileTheQuestionIsOpenSigns(t *testing.T) {
	for name, c := range map[string]struct {
		out  bool // the card is taken out again
		code problem.Code
	}{
		"while the card is there": {false, problem.KeyAbsent}, // which is what opening this store's key says
		"not when it is out":      {true, problem.NoCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSocket()
			b := newBureau(t, func(config *agent.Config) { config.Stores = append(config.Stores, s) })
			b.certify(b.ca)
			leaf := b.ca.Leaf()
			key := agent.Key{ID: "k", Store: "socket", Chain: [][]byte{leaf.Certificate.Raw}, Hardware: true}
			b.person.onSign = func(ctx context.Context, q agent.SigningQuestion) (agent.SigningAnswer, error) {
				assert.Len(t, q.Certificates, 1)
				told := q.Watch(ctx)
				s.becomes(nil, key)
				assert.Len(t, toldAndLooked(t, told, q.Look), 2)
				if c.out {
					s.becomes(nil)
					assert.Len(t, toldAndLooked(t, told, q.Look), 1)
				}
				return agent.SigningAnswer{Key: "socket/k"}, nil
			}
			f := b.open().sign("1", []byte("<a/>"))
			require.NotNil(t, f.Error, "%s", json.RawMessage(f.Result))
			assert.Equal(t, c.code, problem.Code(f.Error.Code))
			<-s.ended
		})
	}
}

func (s *socket) Open(context.Context, string, *agent.Consent, agent.AskPIN) (agent.Session, error) {
	return nil, problem.New(problem.KeyAbsent, "")
}
