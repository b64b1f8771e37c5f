// Package enroll runs ceremonies: a key and its CSR, the portal's one-time token, the certificate from the site's own CA,
// stored beside its key. The CA speaks step-ca's /1.0/sign; one that also answers /api/v1/enrolments/{csrSHA256} lets an
// interrupted ceremony fetch the certificate that it missed, and an unmodified step-ca serves as well, without that.
//
// Every step is written to ceremonies/ID.json before the next begins, so a ceremony can be taken up after the process was
// killed at any moment. Two promises hold whatever happens: a key is not deleted while a certificate for it may exist, and
// a token that may have been spent is not sent again unless the CA has said that it issued nothing for it.
//
// A page says neither where to enrol nor what to believe: address and root are the site entry's. The CA is believed as far
// as TLS under that root goes; its certificate must hold the ceremony's key and lead to that root. Tokens are not verified
// here, and stand in the file, which only the person can read, until the ceremony is over.
package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"certsign/agent"
	"certsign/agent/home"
	"certsign/internal/keyorigin"
	"certsign/internal/problem"
)

// Config is what ceremonies need.
type Config struct {
	Home *home.Dir
	// Proxy is for requests to the CA, as internal/online reads it.
	Proxy string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Log gets what goes wrong where nobody waits for it; nil discards. It never gets a token.
	Log *slog.Logger
}

// Desk is an agent.Enroller.
type Desk struct {
	home  *home.Dir
	proxy string
	now   func() time.Time
	log   *slog.Logger
}

var _ agent.Enroller = (*Desk)(nil)

// New returns the desk for the ceremonies in that folder.
func New(c Config) (*Desk, error) {
	if _, err := c.Home.Sub(folder); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Desk{home: c.Home, proxy: c.Proxy, now: c.Now, log: c.Log}, nil
}

// Begin implements agent.Enroller.
func (d *Desk) Begin(ctx context.Context, req agent.BeginRequest, hands *agent.Hands) (*agent.Ceremony, error) {
	release, err := d.hold(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	defer release()
	r := &record{Ceremony: agent.Ceremony{
		ID: req.ID, Site: req.Site.Name, Origin: req.Site.Origin, Store: req.Where.Store, Place: req.Where.Place,
		Label: req.Where.Label, Created: d.now().UTC(),
	}, Algorithm: req.Where.Algorithm}
	keys, err := hands.Keys(ctx, r.Store)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		r.Before = append(r.Before, k.ID)
	}
	if err := d.save(r, wished); err != nil {
		return nil, err
	}
	err = d.makeKey(ctx, r, req, hands)
	if err == nil {
		err = ctx.Err() // nobody waits for the CSR: then it was never handed out
	}
	if err == nil {
		err = d.save(r, asked)
	}
	if err != nil {
		// The person may be gone; what was begun is still cleaned.
		if cerr := d.clean(context.WithoutCancel(ctx), r, hands); cerr != nil {
			d.log.Warn("a key without a certificate is left for later", "ceremony", r.ID, "err", cerr)
		}
		return nil, err
	}
	// The PIN that was just given lets an earlier ceremony's left-over key on the same token go.
	d.sweep(context.WithoutCancel(ctx), r, hands)
	return &r.Ceremony, nil
}

// makeKey makes the key and signs the CSR with it: proof of possession (RFC 2986), without a name, since the CA takes
// names from its own registry and never from the request, and with what is known of how the key came to be.
func (d *Desk) makeKey(ctx context.Context, r *record, req agent.BeginRequest, hands *agent.Hands) error {
	key, session, finished, err := hands.Generate(ctx, req.Where)
	if err != nil {
		return err
	}
	defer finished()
	defer func() {
		if err := session.Close(); err != nil {
			d.log.Warn("close key", "err", err)
		}
	}()
	r.Key = key.ID
	if err := d.save(r, made); err != nil {
		return err
	}
	if err := hands.Record(agent.Entry{Event: agent.LogKeyMade, Store: r.Store, Key: r.Key}); err != nil {
		return err
	}
	r.Evidence = agent.EvidenceOf(key)
	csr, err := keyorigin.NewRequest(session, statement(r.Evidence))
	if err != nil {
		return err
	}
	parsed, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return fmt.Errorf("read certificate request: %w", err)
	}
	if err := parsed.CheckSignature(); err != nil {
		return problem.Wrap(problem.DriverFailed, err, "the new key does not sign as it should")
	}
	r.CSR, r.CSRSHA256 = csr, agent.CSRDigest(csr)
	return nil
}

// statement is the ceremony's evidence as the CA is told it.
func statement(e agent.Evidence) keyorigin.Statement {
	return keyorigin.Statement{
		Store: e.Store, Hardware: e.Hardware, By: keyorigin.Clean(e.By), Local: string(e.Local), NeverExtractable: string(e.NeverExtractable),
	}
}

// Ceremonies implements agent.Enroller.
func (d *Desk) Ceremonies() ([]agent.Ceremony, error) {
	all, err := d.all()
	if err != nil {
		return nil, err
	}
	kept := make([]agent.Ceremony, len(all))
	for n, r := range all {
		kept[n] = r.Ceremony
	}
	return kept, nil
}

// Abandon implements agent.Enroller.
func (d *Desk) Abandon(store, key string, del func() error) (ended []agent.Ceremony, err error) {
	all, err := d.all()
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(r *record) bool { return r.Store != store || r.Key != key })
	for _, r := range all {
		release, err := d.tryHold(r.ID)
		if errors.Is(err, home.ErrLocked) {
			return nil, problem.Wrap(problem.Busy, err, "the enrolment of this key is being finished")
		}
		if err != nil {
			return nil, err
		}
		defer release()
	}
	if err := del(); err != nil {
		return nil, err
	}
	for _, r := range all {
		if err := d.drop(r); err != nil {
			return ended, err
		}
		if r.state() != done {
			ended = append(ended, r.Ceremony)
		}
	}
	return ended, nil
}

// clean removes a ceremony that nobody can have a certificate from, and its key. While the key cannot be deleted, the
// record stays, so that it is tried again: its card may be in a drawer.
func (d *Desk) clean(ctx context.Context, r *record, hands *agent.Hands) error {
	left, err := d.leftOver(ctx, r, hands)
	if err != nil {
		return err
	}
	var failed error
	for _, id := range left {
		if err := hands.Delete(ctx, r.Store, id); err != nil && problem.CodeOf(err) != problem.KeyAbsent {
			failed = errors.Join(failed, err)
		}
	}
	if failed != nil {
		return failed
	}
	return d.drop(r)
}

// leftOver returns the ceremony's key, unless it has a certificate; it need not be listed, since cards are taken out and
// some hide their keys until log-in. Where the process ended before the key's name was written, it is the key that was
// made here since, has no certificate and is no other ceremony's.
func (d *Desk) leftOver(ctx context.Context, r *record, hands *agent.Hands) ([]string, error) {
	keys, err := hands.Keys(ctx, r.Store)
	if err != nil {
		return nil, err
	}
	if r.Key != "" {
		if slices.ContainsFunc(keys, func(k agent.Key) bool { return k.ID == r.Key && len(k.Chain) > 0 }) {
			return nil, nil
		}
		return []string{r.Key}, nil
	}
	others, err := d.all()
	if err != nil {
		return nil, err
	}
	var left []string
	for _, k := range keys {
		ours := k.Label == r.Label
		if !k.Created.IsZero() {
			ours = !k.Created.Before(r.Created.Truncate(time.Second)) && k.Made.Local != agent.StatedNo
		}
		if len(k.Chain) > 0 || !ours || slices.Contains(r.Before, k.ID) || k.Place != r.Place && r.Place != "" {
			continue
		}
		if slices.ContainsFunc(others, func(o *record) bool { return o.ID != r.ID && o.Store == r.Store && o.Key == k.ID }) {
			continue
		}
		if slices.ContainsFunc(others, func(o *record) bool { return o.ID != r.ID && o.Store == r.Store && d.mayHaveMade(o, k) }) {
			return nil, problem.New(problem.Busy, "another enrolment may have made this key a moment ago")
		}
		left = append(left, k.ID)
	}
	return left, nil
}

// mayHaveMade says whether the key can be that of a ceremony which is under way, and whose key has no name yet.
func (d *Desk) mayHaveMade(o *record, k agent.Key) bool {
	if o.Key != "" || slices.Contains(o.Before, k.ID) {
		return false
	}
	release, err := d.tryHold(o.ID)
	if err == nil {
		release()
	}
	return errors.Is(err, home.ErrLocked)
}

// sweep cleans other ceremonies at the same place that ended before their CSR was handed out.
func (d *Desk) sweep(ctx context.Context, r *record, hands *agent.Hands) {
	all, err := d.all()
	if err != nil {
		d.log.Warn("ceremonies", "err", err)
		return
	}
	for _, o := range all {
		if o.ID == r.ID || o.Store != r.Store || o.Place != r.Place || o.state() != wished && o.state() != made {
			continue
		}
		release, err := d.tryHold(o.ID)
		if err != nil {
			continue
		}
		if err := d.clean(ctx, o, hands); err != nil {
			d.log.Warn("a key without a certificate is left for later", "ceremony", o.ID, "err", err)
		}
		release()
	}
}
