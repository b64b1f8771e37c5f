package enroll

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"certsign/agent"
	"certsign/internal/problem"
)

// once and again are how long to wait before each time the CA is asked what became of a token: it may still be at work.
var (
	once  = []time.Duration{0}
	again = []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond}
)

// Finish implements agent.Enroller.
func (d *Desk) Finish(ctx context.Context, id, token string, site agent.Site, hands *agent.Hands) (*agent.Ceremony, error) {
	release, err := d.hold(ctx, id)
	if err != nil {
		return nil, err
	}
	defer release()
	r, err := d.load(id)
	if err != nil {
		return nil, err
	}
	if r.Origin != site.Origin {
		return nil, problem.New(problem.CeremonyUnknown, "no such ceremony is open")
	}
	return d.finish(ctx, r, token, site, hands)
}

func (d *Desk) finish(ctx context.Context, r *record, token string, site agent.Site, hands *agent.Hands) (*agent.Ceremony, error) {
	switch r.state() {
	case done:
		return &r.Ceremony, nil
	case issued:
		return d.store(ctx, r, hands)
	case wished, made:
		return nil, problem.New(problem.CeremonyUnknown, "this ceremony was interrupted before its certificate request")
	}
	ca, err := newAuthority(site, d.proxy)
	if err != nil {
		return nil, err
	}
	defer ca.close()
	chain, err := d.takeToken(ctx, r, token, ca)
	if err == nil && chain == nil {
		chain, err = d.obtain(ctx, r, ca)
	}
	if err != nil {
		return nil, err
	}
	if err := d.accept(ctx, r, chain, site, hands); err != nil {
		return nil, err
	}
	return d.store(ctx, r, hands)
}

// takeToken writes a new token into the ceremony. Before it replaces one that may have been spent, the CA is asked what
// came of that: the returned chain, if any, is it.
func (d *Desk) takeToken(ctx context.Context, r *record, token string, ca *authority) ([][]byte, error) {
	if token == "" || token == r.Token {
		if r.Token == "" {
			return nil, problem.New(problem.TokenInvalid, "there is no token")
		}
		return nil, nil
	}
	if err := CheckToken(token); err != nil {
		return nil, err
	}
	c := claimsOf(token)
	if c.otherCSR(r.CSR) {
		return nil, problem.New(problem.TokenForOtherCSR, "the token is for another certificate request")
	}
	if r.Tried {
		chain, err := ca.issued(ctx, r.CSRSHA256, r.Token)
		if err == nil || !errors.Is(err, errNotIssued) && !errors.Is(err, errNoSuchCall) {
			return chain, err
		}
	}
	r.Token, r.Expires, r.Tried = token, c.expires(), false
	return nil, d.save(r, given)
}

// obtain gets the certificate for the token. What is not known to be unsent is never sent again on a guess.
func (d *Desk) obtain(ctx context.Context, r *record, ca *authority) ([][]byte, error) {
	if r.Tried {
		chain, err := d.ask(ctx, r, ca, again)
		switch {
		case errors.Is(err, errNoSuchCall):
			return nil, problem.Wrap(problem.TokenSpent, err, "the token may have been used; have a new one made")
		case !errors.Is(err, errNotIssued):
			return chain, err
		}
		// The CA says that nothing came of the token, and counts it itself: it may be sent once more.
	}
	r.Tried = true
	if err := d.save(r, given); err != nil {
		return nil, err
	}
	chain, fate, err := ca.sign(ctx, r.CSR, r.Token)
	switch fate {
	case granted:
		return chain, nil
	case unsent:
		r.Tried = false
		return nil, errors.Join(err, d.save(r, given))
	}
	// Refused, or nobody knows: perhaps the certificate was made all the same, for instance before the agent was killed.
	waits := again
	if fate == refused && problem.CodeOf(err) != problem.TokenSpent {
		waits = once
	}
	found, ferr := d.ask(ctx, r, ca, waits)
	if ferr == nil {
		return found, nil
	}
	switch {
	case fate != refused:
		return nil, err
	case problem.CodeOf(err) == problem.TokenInvalid:
		return nil, errors.Join(err, d.forgetToken(r))
	}
	r.Tried = false
	return nil, errors.Join(err, d.save(r, given))
}

// forgetToken drops a token that the CA does not know as one: it may be any other secret, and is not sent a second time.
func (d *Desk) forgetToken(r *record) error {
	r.Token, r.Expires, r.Tried = "", time.Time{}, false
	return d.save(r, asked)
}

// ask asks the CA for the certificate until it says something else than that there is none, or waits has come to its end.
func (d *Desk) ask(ctx context.Context, r *record, ca *authority, waits []time.Duration) (chain [][]byte, err error) {
	for _, wait := range waits {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
		chain, err = ca.issued(ctx, r.CSRSHA256, r.Token)
		if !errors.Is(err, errNotIssued) {
			return chain, err
		}
	}
	return nil, err
}

// accept checks what the CA sent. A certificate for another key, or of another CA, never reaches the store.
func (d *Desk) accept(ctx context.Context, r *record, chain [][]byte, site agent.Site, hands *agent.Hands) error {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return problem.Wrap(problem.CertificateMismatch, err, "the CA's certificate cannot be read")
	}
	csr, err := x509.ParseCertificateRequest(r.CSR)
	if err != nil {
		return problem.Wrap(problem.CertificateMismatch, err, "the certificate request cannot be read")
	}
	if !sameKey(leaf.PublicKey, csr.PublicKey) {
		return problem.New(problem.CertificateMismatch, "the CA certified another key")
	}
	at := d.now()
	if at.Before(leaf.NotBefore) { // this computer's clock may be behind the CA's
		at = leaf.NotBefore
	}
	if err := agent.VerifyChain(chain, site.Certificates(), at); err != nil {
		return err
	}
	r.Chain = withoutRoots(chain, site.Certificates())
	r.Token, r.Expires, r.Tried = "", time.Time{}, false
	if err := d.save(r, issued); err != nil {
		return err
	}
	if err := hands.Record(agent.Entry{Event: agent.LogCertificate, Store: r.Store, Key: r.Key, Certificate: agent.SerialHex(leaf)}); err != nil {
		return err
	}
	hands.Show(ctx, &r.Ceremony)
	return nil
}

// withoutRoots leaves the roots out of a chain, but never its first certificate: a root proves nothing by being sent along.
func withoutRoots(chain [][]byte, roots []*x509.Certificate) [][]byte {
	out := [][]byte{chain[0]}
	for _, der := range chain[1:] {
		if !slices.ContainsFunc(roots, func(r *x509.Certificate) bool { return string(r.Raw) == string(der) }) {
			out = append(out, der)
		}
	}
	return out
}

func sameKey(a, b any) bool {
	switch k := a.(type) {
	case *rsa.PublicKey:
		return k.Equal(b)
	case *ecdsa.PublicKey:
		return k.Equal(b)
	}
	return false
}

// store puts the certificate beside its key, unless it is there already. The key need not be listed: some tokens hide it
// until log-in.
func (d *Desk) store(ctx context.Context, r *record, hands *agent.Hands) (*agent.Ceremony, error) {
	keys, err := hands.Keys(ctx, r.Store)
	if err != nil {
		return nil, err
	}
	there := func(k agent.Key) bool {
		return k.ID == r.Key && len(k.Chain) > 0 && string(k.Chain[0]) == string(r.Chain[0])
	}
	if !slices.ContainsFunc(keys, there) {
		err := hands.Attach(ctx, r.Store, r.Key, r.Chain)
		if problem.CodeOf(err) == problem.KeyAbsent {
			return nil, problem.Wrap(problem.TokenAbsent, err, "the key is not there now: is its card or file?")
		}
		if err != nil {
			return nil, err
		}
	}
	hands.Forget()
	return &r.Ceremony, d.save(r, done)
}
