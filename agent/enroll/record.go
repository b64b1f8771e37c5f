package enroll

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"certsign/agent"
	"certsign/agent/home"
	"certsign/internal/problem"
)

// state is how far a ceremony has come. Each is on the disk before the step after it begins.
type state string

const (
	wished state = "wished" // a key is about to be made, and may have been
	made   state = "made"   // the key is there, and nobody has its CSR
	asked  state = "asked"  // the CSR was handed out; a certificate may exist from here on
	given  state = "given"  // the portal's token is here
	issued state = "issued" // the certificate is here, and is not yet beside its key
	done   state = agent.CeremonyDone
)

// record is a ceremony's file.
type record struct {
	agent.Ceremony
	Algorithm agent.KeyAlgorithm `json:"algorithm"`
	Before    []string           `json:"before,omitempty"` // the store's keys when the ceremony began
	Token     string             `json:"token,omitempty"`
	Expires   time.Time          `json:"expires,omitzero"` // the token's own word
	// Tried: the token was sent, or may have been, and what became of it is not known.
	Tried   bool      `json:"tried,omitempty"`
	Updated time.Time `json:"updated"`
}

func (r *record) state() state { return state(r.State) }

const (
	folder    = "ceremonies"
	maxRecord = 1 << 20
)

var validID = regexp.MustCompile(`^[0-9a-f]{32}$`)

func fileOf(id string) string { return filepath.Join(folder, id+".json") }
func lockOf(id string) string { return filepath.Join(folder, id+".lock") }

// load reads a ceremony; ceremony_unknown when there is none.
func (d *Desk) load(id string) (*record, error) {
	if !validID.MatchString(id) {
		return nil, problem.New(problem.CeremonyUnknown, "no such ceremony")
	}
	b, err := d.home.Read(fileOf(id), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem.New(problem.CeremonyUnknown, "no such ceremony is open")
	}
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("read ceremony: %w", err)
	}
	if r.ID != id {
		return nil, fmt.Errorf("read ceremony: it names itself differently")
	}
	return &r, nil
}

// save puts the ceremony on the disk in a new state.
func (d *Desk) save(r *record, s state) error {
	r.State, r.Updated = string(s), d.now().UTC()
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write ceremony: %w", err)
	}
	return d.home.Write(fileOf(r.ID), b)
}

// hold keeps every other process, and every other request of this one, away from a ceremony; it waits for its turn.
func (d *Desk) hold(ctx context.Context, id string) (release func(), err error) {
	if !validID.MatchString(id) {
		return nil, problem.New(problem.CeremonyUnknown, "no such ceremony")
	}
	for {
		release, err := d.tryHold(id)
		if !errors.Is(err, home.ErrLocked) {
			return release, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// tryHold is hold without waiting: home.ErrLocked when somebody has the ceremony in hand.
func (d *Desk) tryHold(id string) (release func(), err error) {
	lock, err := d.home.TryLock(lockOf(id))
	if err != nil {
		return nil, err
	}
	return func() {
		lock.Unlock()
		if _, err := os.Stat(d.home.Path(fileOf(id))); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(d.home.Path(lockOf(id))) // whoever still waits for it finds no ceremony
		}
	}, nil
}

// all returns every ceremony that can be read, oldest first.
func (d *Desk) all() ([]*record, error) {
	entries, err := os.ReadDir(d.home.Path(folder))
	if err != nil {
		return nil, fmt.Errorf("list ceremonies: %w", err)
	}
	var all []*record
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		r, err := d.load(id)
		if err != nil {
			d.log.Warn("a ceremony cannot be read", "id", id, "err", err)
			continue
		}
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b *record) int { return a.Created.Compare(b.Created) })
	return all, nil
}

func (d *Desk) drop(r *record) error { return d.home.Remove(fileOf(r.ID)) }
