package csp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"

	"golang.org/x/sys/windows"

	"certsign/agent"
	"certsign/internal/problem"
)

// made is a key that was just made, open.
type made struct {
	entry *entry
	key   privateKey
}

// undo deletes it again.
func (m made) undo() error {
	m.key.close()
	return m.entry.destroy()
}

// Generate implements agent.KeyStore: an RSA key in Microsoft's software provider, or an ECDSA key in CNG's. One that could be
// copied out of the provider is not kept.
func (s *Store) Generate(ctx context.Context, req agent.GenerateRequest, consent *agent.Consent, _ agent.AskPIN) (agent.Key, agent.Session, error) {
	if err := consent.Check(Name, req.Place); err != nil {
		return agent.Key{}, nil, err
	}
	if req.Place != "" && req.Place != PlaceID {
		return agent.Key{}, nil, problem.New(problem.StoreUnavailable, "no place %q in the Windows certificate store", req.Place)
	}
	var m made
	var err error
	name := newContainer(req.Label, false).name()
	switch req.Algorithm {
	case agent.RSA2048:
		m, err = makeRSA(name, func(c capiContext) (capiPair, error) { return c.generate(2048) })
	case agent.RSA3072:
		m, err = makeRSA(name, func(c capiContext) (capiPair, error) { return c.generate(3072) })
	case agent.P256, agent.P384:
		m, err = makeCNG(name, cngAlgorithms[req.Algorithm])
	default:
		return agent.Key{}, nil, problem.New(problem.Unsupported, "key algorithm %q", req.Algorithm)
	}
	if err != nil {
		return agent.Key{}, nil, translate(err)
	}
	why := ctx.Err()
	switch {
	case why != nil:
		why = interrupted(why)
	case m.entry.Algorithm != req.Algorithm:
		why = problem.New(problem.Unsupported, "the provider made another key than it was asked for")
	}
	if why != nil {
		return agent.Key{}, nil, errors.Join(why, m.undo())
	}
	return m.entry.Key, &session{key: m.key, public: m.entry.Public, consent: consent, spendAs: req.Place}, nil
}

// makeRSA makes a container and, by fill, the key in it. Nothing is left of either when that fails.
func makeRSA(name string, fill func(capiContext) (capiPair, error)) (made, error) {
	c, err := acquire(name, rsaProvider, windows.PROV_RSA_AES, windows.CRYPT_NEWKEYSET|windows.CRYPT_SILENT)
	if err != nil {
		return made{}, err
	}
	pair, err := fill(c)
	if err == nil {
		err = pair.mustStay()
		pair.close()
	}
	c.close()
	// The key counts as another process will find it; Wine, for one, stores it only when the container is closed.
	var e *entry
	var key privateKey
	if err == nil {
		e, err = ownRSA(name)
	}
	if err == nil {
		key, err = e.open()
	}
	if err != nil {
		return made{}, errors.Join(err, deleteContainer(name))
	}
	return made{e, key}, nil
}

// mustStay fails when the provider would give the private key away, whatever was asked for.
func (k capiPair) mustStay() error {
	copyable, err := k.copyable()
	if err != nil {
		return err
	}
	if b, err := k.export(privateKeyBlob); err == nil {
		clear(b)
		copyable = true
	}
	if copyable {
		return problem.New(problem.Unsupported, "the provider makes keys that can be copied out of it")
	}
	return nil
}

func makeCNG(name, algorithm string) (made, error) {
	cng, err := openCNG()
	if err != nil {
		return made{}, err
	}
	defer cng.close()
	key, err := cng.create(algorithm, name)
	if err != nil {
		return made{}, err
	}
	if err := key.finalize(0); err != nil {
		key.close()
		return made{}, err
	}
	e, err := ownCNG(cng, name)
	if err == nil && e.Made.NeverExtractable != agent.StatedYes {
		err = problem.New(problem.Unsupported, "the provider makes keys that can be copied out of it")
	}
	if err != nil {
		return made{}, errors.Join(err, key.delete())
	}
	return made{e, &cngKey{key: key}}, nil
}

// Attach implements agent.Attacher. The certificate takes the place of one that was attached before; those that others put
// there stay.
func (s *Store) Attach(_ context.Context, id string, chain [][]byte, _ agent.AskPIN) error {
	e, err := s.find(id)
	if err != nil {
		return err
	}
	if err := fits(chain, e.Public); err != nil {
		return err
	}
	return s.attach(e, chain)
}

// fits checks that a chain can be read and is the key's.
func fits(chain [][]byte, public crypto.PublicKey) error {
	certificates, err := parseChain(chain)
	if err != nil {
		return problem.Wrap(problem.CertificateMismatch, err, "the certificate cannot be read")
	}
	if !samePublic(public, certificates[0].PublicKey) {
		return problem.New(problem.CertificateMismatch, "the certificate holds another key")
	}
	return nil
}

func (s *Store) attach(e *entry, chain [][]byte) error {
	// The issuers go first: a crash in between leaves no certificate without them.
	if err := s.chains.write(chain[0], chain[1:]); err != nil {
		return problem.Wrap(problem.StoreUnavailable, err, "the certificates above the key's own cannot be written")
	}
	if err := add(chain[0], e.at, e.Label); err != nil {
		return translate(err)
	}
	for _, c := range e.certificates {
		if c.attached && !bytes.Equal(c.Raw, chain[0]) {
			if err := s.remove(c); err != nil {
				return err
			}
		}
	}
	after, err := s.find(e.ID)
	if err != nil {
		return err
	}
	if len(after.Chain) == 0 || !bytes.Equal(after.Chain[0], chain[0]) {
		return problem.New(problem.StoreUnavailable, "Windows took the certificate and does not have it")
	}
	return nil
}

// Delete implements agent.Deleter. The certificates that hold the key leave MY, then the key is deleted if this package made
// its container; another's container stays with its provider. It asks for nothing: so does Windows.
func (s *Store) Delete(_ context.Context, id string, _ agent.AskPIN) error {
	e, err := s.find(id)
	if err != nil {
		return err
	}
	for _, c := range e.certificates {
		if err := s.remove(c); err != nil {
			return err
		}
	}
	if e.ours {
		if err := e.destroy(); err != nil {
			return translate(err)
		}
	}
	switch _, err := s.find(id); {
	case err == nil:
		return problem.New(problem.StoreUnavailable, "Windows still has the key after it was deleted")
	case problem.CodeOf(err) != problem.KeyAbsent:
		return err
	}
	return nil
}

// remove takes a certificate out of MY, and then what was kept of those above it.
func (s *Store) remove(c stored) error {
	if err := remove(c.Raw); err != nil {
		return translate(err)
	}
	if err := s.chains.remove(c.Raw); err != nil {
		return problem.Wrap(problem.StoreUnavailable, err, "the certificates above the key's own cannot be removed")
	}
	return nil
}

// destroy deletes a key in a container of ours.
func (e *entry) destroy() error {
	if e.at.kind != 0 {
		return deleteContainer(e.at.container)
	}
	cng, err := openCNG()
	if err != nil {
		return err
	}
	defer cng.close()
	key, err := cng.open(e.at.container)
	if err != nil {
		return err
	}
	return key.delete()
}

// Import implements agent.Importer for RSA keys. Once there, the key does not leave again; Windows guards it by the person's
// account, so no password is asked for.
func (s *Store) Import(ctx context.Context, bundle agent.Bundle, _ agent.AskPIN) (agent.Key, error) {
	if bundle.Private == nil {
		return agent.Key{}, problem.New(problem.Unsupported, "no private key")
	}
	private, ok := bundle.Private.(*rsa.PrivateKey)
	if !ok {
		return agent.Key{}, problem.New(problem.Unsupported, "keys of type %T are not put into the Windows certificate store", bundle.Private)
	}
	if len(bundle.Chain) > 0 {
		if err := fits(bundle.Chain, private.Public()); err != nil {
			return agent.Key{}, err
		}
	}
	e, err := s.find(keyID(private.Public()))
	switch {
	case problem.CodeOf(err) == problem.KeyAbsent:
		if e, err = importRSA(private, bundle.Label); err != nil {
			return agent.Key{}, err
		}
		if why := ctx.Err(); why != nil {
			return agent.Key{}, errors.Join(interrupted(why), e.destroy())
		}
	case err != nil:
		return agent.Key{}, err
	}
	if bundle.Renews(e.Chain) {
		if err := s.attach(e, bundle.Chain); err != nil {
			return agent.Key{}, err
		}
		if e, err = s.find(e.ID); err != nil {
			return agent.Key{}, err
		}
	}
	return e.Key, nil
}

func importRSA(private *rsa.PrivateKey, label string) (*entry, error) {
	blob, err := privateBlob(private)
	if err != nil {
		return nil, problem.Wrap(problem.Unsupported, err, "the provider takes no such RSA key")
	}
	defer clear(blob)
	m, err := makeRSA(newContainer(label, true).name(), func(c capiContext) (capiPair, error) { return c.load(blob) })
	if err != nil {
		return nil, translate(err)
	}
	if !samePublic(m.entry.Public, private.Public()) {
		return nil, errors.Join(problem.New(problem.DriverFailed, "the provider took another key than it was given"), m.undo())
	}
	m.key.close()
	return m.entry, nil
}
