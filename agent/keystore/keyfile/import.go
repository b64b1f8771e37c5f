package keyfile

import (
	"context"
	"crypto/x509"
	"time"

	"certsign/agent"
	"certsign/internal/problem"
)

// Import implements agent.Importer. Whatever protected the key before, it is written under a new password that meets the
// rules, with our own parameters. For a key that is here already, the password of its file is asked for when there is a
// certificate to be put beside it, and else nothing.
func (s *Store) Import(ctx context.Context, bundle agent.Bundle, pin agent.AskPIN) (agent.Key, error) {
	if err := agent.CheckKey(bundle.Private.Public()); err != nil {
		return agent.Key{}, err
	}
	p, err := newPublicPart(bundle.Private.Public(), cleanLabel(bundle.Label), time.Now())
	if err != nil {
		return agent.Key{}, err
	}
	var chain []*x509.Certificate
	if len(bundle.Chain) > 0 {
		if chain, err = chainOf(p.public, bundle.Chain); err != nil {
			return agent.Key{}, err
		}
		if isPlaceholder(chain[0]) { // a copy of a key file of ours
			chain, bundle.Chain = nil, nil
		}
	}
	p.chain = rawChain(chain)
	p.made = agent.Made{Local: agent.StatedNo, NeverExtractable: agent.StatedNo}

	e, err := s.find(p.id)
	switch {
	case problem.CodeOf(err) == problem.KeyAbsent:
	case err != nil:
		return agent.Key{}, err
	case !bundle.Renews(e.public.chain):
		return e.key(), nil
	default:
		err := s.attach(ctx, e, p.chain, pin)
		return e.key(), err
	}

	password, err := s.newPassword(ctx, p.label, agent.PurposeImport, pin)
	if err != nil {
		return agent.Key{}, err
	}
	defer password.Wipe()
	if e, err = s.add(ctx, p, bundle.Private, chain, password); err != nil {
		return agent.Key{}, err
	}
	return e.key(), nil
}
