package agent

import (
	"sync"

	"certsign/internal/problem"
)

// Consent is a permission that a person gave: to use one key, or to make one at one place, for at most so many
// signatures. Only package agent can make one that opens anything: a Consent that is not in its ledger is refused.
type Consent struct{ _ byte }

type grant struct {
	store string
	key   string // a Key.ID, or a Place.ID for generation
	left  int
}

var ledger = struct {
	sync.Mutex
	grants map[*Consent]*grant
}{grants: map[*Consent]*grant{}}

// newConsent records that the person allowed n signatures with that key, or with the key to be made at that place.
func newConsent(store, key string, n int) *Consent {
	c := &Consent{}
	ledger.Lock()
	defer ledger.Unlock()
	ledger.grants[c] = &grant{store: store, key: key, left: n}
	return c
}

// revoke ends a consent, spent or not.
func (c *Consent) revoke() {
	ledger.Lock()
	defer ledger.Unlock()
	delete(ledger.grants, c)
}

// Check is called by a store before it opens or makes a key: consent_spent unless c is for it and has a signature left.
func (c *Consent) Check(store, key string) error {
	ledger.Lock()
	defer ledger.Unlock()
	_, err := c.find(store, key)
	return err
}

// Spend is called by a store's session before each signature: it takes one, or fails with consent_spent.
func (c *Consent) Spend(store, key string) error {
	ledger.Lock()
	defer ledger.Unlock()
	g, err := c.find(store, key)
	if err != nil {
		return err
	}
	g.left--
	if g.left == 0 {
		delete(ledger.grants, c)
	}
	return nil
}

func (c *Consent) find(store, key string) (*grant, error) {
	g := ledger.grants[c]
	if c == nil || g == nil || g.store != store || g.key != key {
		return nil, problem.New(problem.ConsentSpent, "no consent for this key")
	}
	return g, nil
}
