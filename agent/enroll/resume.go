package enroll

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"certsign/agent"
	"certsign/internal/problem"
)

const (
	// grace is added to a token's own end before it counts as dead: clocks differ.
	grace = 10 * time.Minute
	// tokenLife is taken where a token does not tell.
	tokenLife = 24 * time.Hour
	// keepDone is how long a finished ceremony answers a page that missed the answer.
	keepDone = 7 * 24 * time.Hour
	// keepAsked is how long a ceremony waits for its token. Its key outlives it: see Resume.
	keepAsked = 30 * 24 * time.Hour
	// keepLock is how old the lock of no ceremony must be to go: a younger one may be about to be taken.
	keepLock = time.Hour
)

// Resume implements agent.Enroller. A ceremony that another process has in hand is passed over. One whose CSR was handed
// out and that never got a token is forgotten in time, and its key is kept: somebody may have had it certified.
func (d *Desk) Resume(ctx context.Context, hands *agent.Hands) error {
	d.sweepLocks()
	all, err := d.all()
	if err != nil {
		return err
	}
	for _, r := range all {
		release, err := d.tryHold(r.ID)
		if err != nil {
			continue
		}
		if now, err := d.load(r.ID); err == nil { // it may have moved on before the lock was taken
			if err := d.resume(ctx, now, hands.For(r.ID)); err != nil {
				d.log.Warn("a ceremony waits", "ceremony", r.ID, "state", now.State, "err", err)
			}
		}
		release()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// sweepLocks removes the locks of ceremonies whose process was killed before they were on the disk, or after they were gone.
func (d *Desk) sweepLocks() {
	entries, err := os.ReadDir(d.home.Path(folder))
	if err != nil {
		return
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".lock")
		if !ok || !validID.MatchString(id) {
			continue
		}
		if fi, err := e.Info(); err != nil || d.now().Sub(fi.ModTime()) < keepLock {
			continue
		}
		if release, err := d.tryHold(id); err == nil {
			release() // and removes it, where there is no ceremony
		}
	}
}

func (d *Desk) resume(ctx context.Context, r *record, hands *agent.Hands) error {
	age := d.now().Sub(r.Updated)
	switch r.state() {
	case wished, made:
		err := d.clean(ctx, r, hands)
		if err != nil && age > keepAsked { // its card is lost, or the person can delete the key
			return errors.Join(err, d.drop(r))
		}
		return err
	case asked:
		if age > keepAsked {
			return d.drop(r)
		}
		return nil
	case issued:
		_, err := d.store(ctx, r, hands)
		return err
	case done:
		if age > keepDone {
			return d.drop(r)
		}
		return nil
	}
	site, err := hands.Site(r.Origin)
	if err != nil {
		return err
	}
	if !d.tokenDead(r) {
		_, err := d.finish(ctx, r, "", site, hands)
		return err
	}
	return d.bury(ctx, r, site, hands)
}

func (d *Desk) tokenDead(r *record) bool {
	end := r.Expires
	if end.IsZero() {
		end = r.Updated.Add(tokenLife)
	}
	return d.now().After(end.Add(grace))
}

// bury ends a ceremony whose token is dead, when the CA says that it issued nothing. Where the CA cannot be asked, the key
// is kept as long as the ceremony of one without a token would be, and then left to the person.
func (d *Desk) bury(ctx context.Context, r *record, site agent.Site, hands *agent.Hands) error {
	ca, err := newAuthority(site, d.proxy)
	if err != nil {
		return err
	}
	defer ca.close()
	chain, err := ca.issued(ctx, r.CSRSHA256, r.Token)
	switch {
	case err == nil:
		if err := d.accept(ctx, r, chain, site, hands); err != nil {
			return err
		}
		_, err := d.store(ctx, r, hands)
		return err
	case errors.Is(err, errNotIssued):
		return d.clean(ctx, r, hands)
	case errors.Is(err, errNoSuchCall):
		if d.now().Sub(r.Updated) > keepAsked {
			return d.drop(r)
		}
		return problem.Wrap(problem.TokenExpired, err, "the token is dead, and the CA cannot be asked whether it was used")
	}
	return err
}
