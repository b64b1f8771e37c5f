package portal

import (
	"errors"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
)

// sessionLife is how long a session lasts at the most, from its login or its last new token.
const sessionLife = 8 * time.Hour

// errEnded says that a session ended while a request that had loaded it was under way.
var errEnded = errors.New("the session has ended")

// sessionStore is a store in which what has ended stays ended. scs stores a session again at the end of each request that
// loaded it, even when another request has deleted it meanwhile. Here a token that is deleted leaves a mark, which lasts
// longer than what such a request may store and counts more than it. There is one mark for each login or second factor,
// which are limited, and the store forgets it in time.
type sessionStore struct{ scs.Store }

func newSessionStore(inner scs.Store) sessionStore {
	if inner == nil {
		inner = memstore.New()
	}
	return sessionStore{inner}
}

// mark is the key of an ended token's or login's mark; no token begins like that, for they are base64url.
func mark(id string) string { return "ended:" + id }

func (s sessionStore) end(id string) error {
	return s.Store.Commit(mark(id), []byte{}, time.Now().Add(sessionLife))
}

func (s sessionStore) ended(id string) (bool, error) {
	_, ended, err := s.Store.Find(mark(id))
	return ended, err
}

// Delete implements scs.Store.
func (s sessionStore) Delete(token string) error {
	if err := s.end(token); err != nil {
		return err
	}
	return s.Store.Delete(token)
}

// Find implements scs.Store.
func (s sessionStore) Find(token string) ([]byte, bool, error) {
	b, found, err := s.Store.Find(token)
	if err != nil || !found {
		return nil, false, err
	}
	ended, err := s.ended(token)
	return b, !ended, err
}

// Commit implements scs.Store. It fails with errEnded for a token that has ended. One that ends between the two steps here
// is stored, and Find does not find it.
func (s sessionStore) Commit(token string, b []byte, expiry time.Time) error {
	ended, err := s.ended(token)
	if err != nil {
		return err
	}
	if ended {
		return errEnded
	}
	return s.Store.Commit(token, b, expiry)
}
