package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"certsign/agent"
	"certsign/agent/keystore/pkcs11/wire"
	"certsign/internal/problem"
)

// token is a token in a slot, with the process that can reach it.
type token struct {
	wire.Token
	place   agent.Place
	module  candidate
	process *process
	cleared [][]byte // IDs of keys that were begun, never finished, and have just been deleted
}

// failure is a module that could not be asked.
type failure struct {
	module string
	err    error
}

// scanned is everything that is there at one moment.
type scanned struct {
	processes []*process
	tokens    []*token
	failures  []failure
	unknown   []string // readers with something that no module recognises
}

// end ends all processes, at the same time.
func (s *scanned) end() {
	var wg sync.WaitGroup
	for _, p := range s.processes {
		wg.Go(p.end)
	}
	wg.Wait()
}

// keep takes one process out of those that end ends.
func (s *scanned) keep(p *process) {
	for i := range s.processes {
		if s.processes[i] == p {
			s.processes = append(s.processes[:i:i], s.processes[i+1:]...)
			return
		}
	}
}

// scan asks modules at the same time which tokens they have. The caller must end what it gets.
func (s *Store) scan(ctx context.Context, modules []candidate) (*scanned, error) {
	if len(modules) == 0 {
		return &scanned{}, nil
	}
	if _, err := s.helper(""); err != nil {
		return nil, err
	}
	type outcome struct {
		process *process
		result  wire.TokensResult
		err     error
	}
	outcomes := make([]outcome, len(modules))
	var wg sync.WaitGroup
	for i, m := range modules {
		o := &outcomes[i]
		wg.Go(func() {
			var helper string
			if helper, o.err = s.helper(machineOf(m.path)); o.err != nil {
				return
			}
			if o.process, o.err = start(helper, m.path, s.config.Timeout); o.err != nil {
				return
			}
			o.err = o.process.call(ctx, s.config.Timeout, wire.OpTokens, wire.TokensParams{Reserved: m.reserved}, nil, &o.result)
		})
	}
	wg.Wait()

	all := &scanned{}
	var unfit []failure
	for i, o := range outcomes {
		if o.process != nil {
			all.processes = append(all.processes, o.process)
		}
		if o.err != nil {
			s.config.Log.Warn("PKCS#11 module failed", "module", modules[i].path, "err", o.err)
			switch {
			case problem.CodeOf(o.err) == problem.TokenAbsent: // the module is well, and has nothing
			case modules[i].told || !notSetUp(o.err):
				all.failures = append(all.failures, failure{modules[i].path, o.err})
			case problem.CodeOf(o.err) == problem.DriverMismatch:
				unfit = append(unfit, failure{modules[i].path, o.err})
			}
			continue
		}
		for _, t := range o.result.Tokens {
			if isToken(t) {
				all.tokens = append(all.tokens, &token{Token: t, place: newPlace(t), module: modules[i], process: o.process})
			}
		}
		all.unknown = append(all.unknown, o.result.Unknown...)
	}
	all.tokens = distinct(all.tokens)
	for _, t := range all.tokens {
		s.seen.Store(t.place.ID, t.module)
	}
	all.unknown = strangers(all.unknown, all.tokens)
	if len(all.tokens) == 0 { // else the 64-bit driver is there too, or another
		all.failures = append(all.failures, unfit...)
	}
	return all, nil
}

// isToken leaves out what is no token for anybody's keys: one that nobody initialised, such as SoftHSM2 and others always
// show; one in software that can be neither written nor logged in to, which NSS calculates with; and the virtual readers of
// Windows Hello, whose keys are the operating system's.
func isToken(t wire.Token) bool {
	switch {
	case t.Flags&(flagInitialized|flagPINInitialized) == 0:
		return false
	case t.Flags&(flagWriteProtected|flagLoginRequired) == flagWriteProtected && t.SlotFlags&(flagHardware|flagRemovable) == 0:
		return false
	}
	return !strings.Contains(strings.ToLower(t.SlotName), "windows hello")
}

// strangers returns the readers in which no module recognises anything, each once. Of two drivers one mostly does not know
// the card of the other.
func strangers(unknown []string, tokens []*token) []string {
	var all []string
	for _, reader := range unknown {
		known := slices.ContainsFunc(tokens, func(t *token) bool { return t.SlotName == reader })
		if reader != "" && !known && !slices.Contains(all, reader) {
			all = append(all, reader)
		}
	}
	return all
}

// notSetUp says whether a module of the table gave a plain answer that it does not work here: a driver that came with the
// system and was never configured is not worth a word.
func notSetUp(err error) bool {
	var f *wire.Failure
	return errors.As(err, &f) && (f.Cause == wire.CauseCKR || f.Cause == wire.CauseLoad) ||
		problem.CodeOf(err) == problem.DriverMismatch
}

// distinct leaves each token once. The same token through two modules belongs to the first. Two tokens in one module that
// nothing tells apart get their slots into their IDs.
func distinct(tokens []*token) []*token {
	first := map[string]*process{}
	count := map[string]int{}
	var kept []*token
	for _, t := range tokens {
		id := t.place.ID
		if first[id] == nil {
			first[id] = t.process
		}
		if first[id] == t.process {
			count[id]++
			kept = append(kept, t)
		}
	}
	for _, t := range kept {
		if count[t.place.ID] > 1 {
			t.place.ID = fmt.Sprintf("%s-%d", t.place.ID, t.Slot)
		}
	}
	return kept
}

// A token that is missed is looked for looks times, a moment apart: another program may hold it, or be writing to it.
// SoftHSM2 shows no token while another process logs in to it.
const (
	looks  = 6
	moment = 100 * time.Millisecond
)

// pause waits a moment; false when nobody waits any longer.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(moment):
		return true
	}
}

// reach finds one token and keeps its process alone. The module through which it was seen last is asked first, so that no
// other driver is disturbed. The caller must end the process.
func (s *Store) reach(ctx context.Context, place string) (*token, error) {
	modules := s.candidates()
	last, seen := s.seen.Load(place)
	if seen {
		modules = []candidate{last.(candidate)}
	}
	for look := 1; ; look++ {
		t, err := s.reachThrough(ctx, place, modules)
		if seen && look == 1 && deviceGone(err) {
			return nil, problem.Wrap(problem.TokenAbsent, err, "the driver no longer finds its device")
		}
		if problem.CodeOf(err) != problem.TokenAbsent || look == looks {
			return t, err
		}
		if !pause(ctx) {
			return nil, interrupted(ctx.Err())
		}
		modules = s.candidates()
	}
}

// deviceGone says whether a module that worked before cannot even begin any more: a TPM or a reader's service has stopped.
func deviceGone(err error) bool {
	var f *wire.Failure
	return errors.As(err, &f) && f.Cause == wire.CauseCKR && f.Function == "C_Initialize" && vague[f.CKR]
}

func (s *Store) reachThrough(ctx context.Context, place string, modules []candidate) (*token, error) {
	all, err := s.scan(ctx, modules)
	if err != nil {
		return nil, err
	}
	defer all.end()
	for _, t := range all.tokens {
		if t.place.ID == place {
			all.keep(t.process)
			return t, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, interrupted(err)
	}
	if len(all.failures) > 0 {
		return nil, all.failures[0].err
	}
	return nil, problem.New(problem.TokenAbsent, "the token is not in any reader")
}

// keys lists the keys of a token.
func (t *token) keys(ctx context.Context) ([]tokenKey, error) {
	var result wire.ObjectsResult
	params := wire.SlotParams{Slot: t.Slot, Token: t.Identity}
	if err := t.process.call(ctx, t.process.timeout, wire.OpObjects, params, nil, &result); err != nil {
		return nil, err
	}
	return compose(t.place, result.Objects), nil
}

// key finds one key of a token, among those that it shows.
func (t *token) key(ctx context.Context, id string) (tokenKey, error) {
	keys, err := t.keys(ctx)
	if err != nil {
		return tokenKey{}, err
	}
	for _, k := range keys {
		if k.ID == id {
			return k, nil
		}
	}
	return tokenKey{}, problem.New(problem.KeyAbsent, "the token has no such key")
}
