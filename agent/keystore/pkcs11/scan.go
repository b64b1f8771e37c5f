package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"certsign/agent"
	"certsign/agent/keystore/pkcs11/wire"
	"certsign/internal/problem"
)

// token is a token in a slot, with the process that can reach it.
type token struct {
	wire.Token
	place   agent.Place
	process *process
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

// scan asks all modules at the same time which tokens they have. The caller must end what it gets.
func (s *Store) scan(ctx context.Context) (*scanned, error) {
	modules := s.candidates()
	if len(modules) == 0 {
		return &scanned{}, nil
	}
	helper, err := s.helper()
	if err != nil {
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
			if o.process, o.err = start(helper, m.path, s.config.Timeout); o.err != nil {
				return
			}
			o.err = o.process.call(ctx, s.config.Timeout, wire.OpTokens, nil, nil, &o.result)
		})
	}
	wg.Wait()

	all := &scanned{}
	for i, o := range outcomes {
		if o.process != nil {
			all.processes = append(all.processes, o.process)
		}
		if o.err != nil {
			s.config.Log.Warn("PKCS#11 module failed", "module", modules[i].path, "err", o.err)
			if modules[i].told || !notSetUp(o.err) {
				all.failures = append(all.failures, failure{modules[i].path, o.err})
			}
			continue
		}
		for _, t := range o.result.Tokens {
			// SoftHSM2 and others always show one more slot with a token that nobody initialised.
			if t.Flags&(flagInitialized|flagPINInitialized) != 0 {
				all.tokens = append(all.tokens, &token{Token: t, place: newPlace(t), process: o.process})
			}
		}
	}
	all.tokens = distinct(all.tokens)
	return all, nil
}

// notSetUp says whether a module of the table gave a plain answer that it does not work here: a driver that came with the
// system and was never configured is not worth a word.
func notSetUp(err error) bool {
	var f *wire.Failure
	return errors.As(err, &f) && (f.Cause == wire.CauseCKR || f.Cause == wire.CauseLoad)
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

// reach finds one token and keeps its process alone. The caller must end the process.
func (s *Store) reach(ctx context.Context, place string) (*token, error) {
	all, err := s.scan(ctx)
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

// key finds one key of a token.
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
