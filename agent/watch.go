package agent

import (
	"context"
	"slices"
	"sync"

	"certsign/internal/problem"
)

// lookout keeps the list that a question offers. An answer is checked against what was seen last.
type lookout[T any] struct {
	look    func(context.Context) T
	looking sync.Mutex // one look at a time: a slow one must not undo a later one
	mu      sync.Mutex
	seen    T
}

// again looks, and returns what there is now. What a look saw that was broken off counts for nothing.
func (l *lookout[T]) again(ctx context.Context) T {
	l.looking.Lock()
	defer l.looking.Unlock()
	now := l.look(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() == nil {
		l.seen = now
	}
	return l.seen
}

// last returns what was seen last, without waiting for a look that is under way.
func (l *lookout[T]) last() T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen
}

// watch returns WatchPlaces where a store that tells of changes can be looked at, and else nil.
func (a *Agent) watch() func(context.Context) <-chan struct{} {
	if slices.ContainsFunc(a.stores, func(s KeyStore) bool { _, ok := s.(Watcher); return ok }) {
		return a.WatchPlaces
	}
	return nil
}

// mayCome says whether a place may come to one of the offers: its store tells of changes, and is only empty now.
func (a *Agent) mayCome(offers []StoreOffer) bool {
	return slices.ContainsFunc(a.stores, func(s KeyStore) bool {
		_, tells := s.(Watcher)
		return tells && slices.ContainsFunc(offers, func(o StoreOffer) bool {
			return o.Store == s.Name() && (o.Unavailable == "" || o.Unavailable == string(problem.TokenAbsent))
		})
	})
}
