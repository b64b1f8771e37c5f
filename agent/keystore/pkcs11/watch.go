package pkcs11

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"time"

	"certsign/agent"
)

// defaultPoll is how often readers are looked at while somebody waits for a card.
const defaultPoll = 2 * time.Second

// Watch implements agent.Watcher. It looks again and again, with processes that end in between, rather than in
// C_WaitForSlotEvent: half the drivers do not have it or return from it at once, a process that hangs in it holds the
// reader's driver, and a token in the TPM or in a file makes no slot event.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	quiet := New(s.config) // what fails is logged by whoever asks for the places then
	quiet.config.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	last, err := quiet.fingerprint(ctx)
	if err != nil {
		return nil, err
	}
	changes := make(chan struct{}, 1)
	go func() {
		defer close(changes)
		tick := time.NewTicker(s.config.Poll)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now, err := quiet.fingerprint(ctx)
			if err != nil || slices.Equal(now, last) {
				continue
			}
			last = now
			select {
			case changes <- struct{}{}:
			default: // nobody has looked since the change before
			}
		}
	}()
	return changes, nil
}

// fingerprint is all that people see of the places.
func (s *Store) fingerprint(ctx context.Context) ([]string, error) {
	places, err := s.Places(ctx)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, p := range places {
		all = append(all, p.ID+" "+string(p.State)+" "+p.Problem)
	}
	slices.Sort(all)
	return all, nil
}

var _ agent.Watcher = (*Store)(nil)
