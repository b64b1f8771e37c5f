package agent

import (
	"context"
	"errors"
	"sync"

	"certsign/internal/ades"
	"certsign/internal/problem"
)

// Places returns what each store offers for a new key at this moment, hardware first.
func (a *Agent) Places(ctx context.Context) []StoreOffer { return a.storeOffers(ctx) }

// WatchPlaces sends whenever Places would return something else than before, because a card was put in or taken out. The
// channel is closed when ctx ends.
func (a *Agent) WatchPlaces(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	var wg sync.WaitGroup
	for _, s := range a.stores {
		w, ok := s.(Watcher)
		if !ok {
			continue
		}
		changes, err := w.Watch(ctx)
		if err != nil {
			a.log.Warn("a store is not watched", "store", s.Name(), "err", err)
			continue
		}
		wg.Go(func() {
			for range changes {
				select {
				case changed <- struct{}{}:
				default: // nobody has looked since the change before
				}
			}
		})
	}
	go func() {
		<-ctx.Done()
		wg.Wait()
		close(changed)
	}()
	return changed
}

// DeleteLocal deletes a key and its certificate for the person's own shell; an enrolment that waited for the certificate
// ends.
func (a *Agent) DeleteLocal(ctx context.Context, key Key) error {
	s, err := a.store(key.Store)
	if err != nil {
		return err
	}
	d, ok := s.(Deleter)
	if !ok {
		return problem.New(problem.Unsupported, "the store %q deletes no keys", key.Store)
	}
	what := askFor{purpose: PurposeDelete, document: key.Label, queue: true}
	log := Entry{Event: LogRefused, Origin: LocalOrigin.String(), Store: key.Store, Key: key.ID}
	del := func() error {
		err := a.withPIN(ctx, caller{origin: LocalOrigin}, what, func(ask AskPIN) error { return d.Delete(ctx, key.ID, ask) })
		if err == nil {
			log.Event = LogDeleted
		}
		return err
	}
	var ended []Ceremony
	if a.enroller == nil {
		err = del()
	} else {
		ended, err = a.enroller.Abandon(key.Store, key.ID, del)
	}
	log.Code = string(problem.CodeOf(err))
	err = errors.Join(err, a.record(log))
	for _, c := range ended {
		log.Event, log.Ceremony = LogCeremonyCleaned, c.ID
		err = errors.Join(err, a.record(log))
	}
	return err
}

// Token is a token whose PIN can be changed, by ChangePIN.
type Token struct {
	Store string
	Place
}

// Tokens returns the tokens that are there. Where there is none, it returns why as far as a store knows.
func (a *Agent) Tokens(ctx context.Context) ([]Token, error) {
	var all []Token
	var broken error
	for _, s := range a.stores {
		placer, places := s.(Placer)
		if _, changes := s.(PINChanger); !changes || !places {
			continue
		}
		found, err := placer.Places(ctx)
		if err != nil {
			broken = err
		}
		for _, p := range found {
			switch {
			case p.NewPIN: // a folder of key files, each with a password of its own
			case p.State == "": // no token
				broken = problem.New(problem.Code(p.Problem), "%s", p.Label)
			default:
				all = append(all, Token{s.Name(), p})
			}
		}
	}
	switch {
	case len(all) > 0:
		return all, nil
	case broken != nil:
		return nil, broken
	}
	return nil, problem.New(problem.TokenAbsent, "there is no token in any reader")
}

// ChangePIN changes the PIN of a token (id is a Place.ID) or the password of a key file (id is a Key.ID) for the person's
// own shell.
func (a *Agent) ChangePIN(ctx context.Context, store, id string, how PINChange) error {
	s, err := a.store(store)
	if err != nil {
		return err
	}
	p, ok := s.(PINChanger)
	if !ok {
		return problem.New(problem.Unsupported, "the store %q changes no PIN or password", store)
	}
	what := askFor{purpose: PurposePIN, queue: true, change: true}
	err = a.withPIN(ctx, caller{origin: LocalOrigin}, what, func(ask AskPIN) error { return p.ChangePIN(ctx, id, how, ask) })
	log := Entry{Event: LogPINChanged, Origin: LocalOrigin.String(), Method: string(how), Store: store, Key: id}
	if err != nil {
		log.Event, log.Code = LogRefused, string(problem.CodeOf(err))
	}
	return errors.Join(err, a.record(log))
}

// ResultName is what the signed form of a document is called.
func (o SignOrder) ResultName(document string) string {
	return (&piece{doc: ades.Document{Name: document}}).resultName(o)
}
