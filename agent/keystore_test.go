package agent_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stretchr/testify/suite"

	"certsign/agent"
	"certsign/agent/keystore/keyfile"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

// rig is one key store with nothing in it, made for one test.
type rig interface {
	// Store returns a new store on the same keys, as after a restart.
	Store() agent.KeyStore
	// PIN returns the right PIN or password, WrongPIN one that is wrong and costs one try. Both are empty for a store whose
	// driver asks the person itself.
	PIN() string
	WrongPIN() string
	// Remove takes away what holds the keys: the folder, the token.
	Remove(t *testing.T)
}

// offering is a rig that says whether its store signs with RSA-PSS.
type offering interface{ OffersPSS() bool }

// bench gives each test a fresh store to work on.
type bench struct {
	suite.Suite
	fresh func(t *testing.T) rig
	rig   rig
	ctx   context.Context
}

// storeSuite is the contract of agent.KeyStore. Every store passes it; a new one adds its own Test function here.
type storeSuite struct{ bench }

func TestKeyfileStore(t *testing.T) {
	suite.Run(t, &storeSuite{bench{fresh: newKeyfileRig}})
}

type keyfileRig struct{ dir string }

func newKeyfileRig(t *testing.T) rig { return &keyfileRig{filepath.Join(testtool.TempDir(t), "keys")} }

func (r *keyfileRig) Store() agent.KeyStore {
	return keyfile.New(r.dir, keyfile.WithIterations(10))
}
func (*keyfileRig) PIN() string           { return "Zażółć-gęślą-7!" }
func (*keyfileRig) OffersPSS() bool       { return true }
func (*keyfileRig) WrongPIN() string      { return "Zażółć-gęślą-8!" }
func (r *keyfileRig) Remove(t *testing.T) { require.NoError(t, os.Rename(r.dir, r.dir+" away")) }

func (s *bench) SetupTest() {
	s.rig = s.fresh(s.T())
	s.ctx = s.T().Context()
}

func (s *bench) SetupSubTest() { s.SetupTest() }

// pins counts how often a PIN was asked for, and remembers what was handed out.
type pins struct {
	answer string
	err    error
	asked  []agent.PINRequest
	given  []*agent.Secret
}

func (p *pins) ask(_ context.Context, req agent.PINRequest) (*agent.Secret, error) {
	p.asked = append(p.asked, req)
	if p.err != nil {
		return nil, p.err
	}
	secret := agent.NewSecret([]byte(p.answer))
	p.given = append(p.given, secret)
	return secret, nil
}

func (s *bench) pin() *pins { return &pins{answer: s.rig.PIN()} }

// place returns the one place for a new key.
func (s *bench) place() agent.Place {
	places, err := s.rig.Store().(agent.Placer).Places(s.ctx)
	s.Require().NoError(err)
	s.Require().Len(places, 1)
	return places[0]
}

// algorithm is P-256 where the store makes such keys, else what it makes first: tests that need some key take it.
func (s *bench) algorithm() agent.KeyAlgorithm {
	keys := s.place().Keys
	if slices.Contains(keys, agent.P256) {
		return agent.P256
	}
	return keys[0]
}

// needs skips what is about an algorithm that the store does not make, by name.
func (s *bench) needs(algorithm agent.KeyAlgorithm) {
	if place := s.place(); !slices.Contains(place.Keys, algorithm) {
		s.T().Skipf("%s (%s) makes no %s keys here", s.rig.Store().Name(), place.Label, algorithm)
	}
}

// needsPIN skips what is about a PIN that the store asks for.
func (s *bench) needsPIN() {
	if s.rig.PIN() == "" {
		s.T().Skipf("%s asks for no PIN: its driver does", s.rig.Store().Name())
	}
}

// generate makes a key with a consent for n signatures.
func (s *bench) generate(algorithm agent.KeyAlgorithm, n int) (agent.Key, agent.Session) {
	store, place := s.rig.Store(), s.place()
	pin := s.pin()
	key, session, err := store.Generate(s.ctx, agent.GenerateRequest{Place: place.ID, Algorithm: algorithm, Label: "Zgłoszenia celne"},
		agent.NewConsent(store.Name(), place.ID, n), pin.ask)
	s.Require().NoError(err)
	s.T().Cleanup(func() { _ = session.Close() })
	s.wiped(pin)
	return key, session
}

// made returns a key whose session is closed.
func (s *bench) made(algorithm agent.KeyAlgorithm) agent.Key {
	key, session := s.generate(algorithm, 1)
	s.Require().NoError(session.Close())
	return key
}

func (s *bench) wiped(p *pins) {
	s.LessOrEqual(len(p.asked), 1, "a store asks once")
	for _, secret := range p.given {
		s.Nil(secret.Bytes(), "the store wipes the secret")
	}
}

// certify issues a certificate for a key, from a CA made for the test: the chain, the key's own certificate first.
func (s *bench) certify(public crypto.PublicKey) [][]byte {
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.Require().NoError(err)
	issuer := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "TEST Issuing CA"}, Issuer: pkix.Name{CommonName: "TEST Root"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root := &x509.Certificate{Subject: pkix.Name{CommonName: "TEST Root"}}
	issuerDER, err := x509.CreateCertificate(rand.Reader, issuer, root, ca.Public(), ca)
	s.Require().NoError(err)
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 150))
	s.Require().NoError(err)
	leaf := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Żaneta Łęcka"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, issuer, public, ca)
	s.Require().NoError(err)
	return [][]byte{leafDER, issuerDER}
}

// ours are the algorithms that a store may offer.
var ours = []agent.KeyAlgorithm{agent.RSA2048, agent.RSA3072, agent.P256, agent.P384}

var hashes = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}

func digestOf(hash crypto.Hash, text string) []byte {
	h := hash.New()
	h.Write([]byte(text))
	return h.Sum(nil)
}

// requireSignature verifies with the standard library.
func requireSignature(t *testing.T, public crypto.PublicKey, hash crypto.Hash, digest, signature []byte) {
	t.Helper()
	switch public := public.(type) {
	case *rsa.PublicKey:
		require.NoError(t, rsa.VerifyPKCS1v15(public, hash, digest, signature))
	case *ecdsa.PublicKey:
		require.True(t, ecdsa.VerifyASN1(public, digest, signature))
	default:
		require.Fail(t, "a key of a type that is not ours", "%T", public)
	}
}

func (s *bench) code(want problem.Code, err error) {
	s.T().Helper()
	s.Equal(want, problem.CodeOf(err), "%v", err)
}

func (s *storeSuite) TestAnEmptyStoreListsNothing() {
	keys, err := s.rig.Store().List(s.ctx)
	s.NoError(err)
	s.Empty(keys)
}

func (s *storeSuite) TestAPlaceSaysWhatItCanMake() {
	place := s.place()
	s.NotEmpty(place.ID)
	s.NotEmpty(place.Label)
	s.Empty(place.Problem)
	s.Contains(place.Keys, agent.RSA2048)
	s.Subset(ours, place.Keys)
	s.Equal(agent.PINOK, place.State)
	s.Equal(place, s.place(), "it is stable")
}

func (s *storeSuite) TestANewKeySignsItsRequestAndNoMore() {
	for _, algorithm := range ours {
		s.Run(string(algorithm), func() {
			s.needs(algorithm)
			key, session := s.generate(algorithm, 1)
			s.Equal(algorithm, key.Algorithm)
			s.Equal("Zgłoszenia celne", key.Label)
			s.Equal(s.place().ID, key.Place)
			s.Equal(s.rig.Store().Name(), key.Store)
			s.NotEmpty(key.Where)
			s.Empty(key.Chain)
			s.Equal(key.Public, session.Public())

			der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, session)
			s.Require().NoError(err)
			csr, err := x509.ParseCertificateRequest(der)
			s.Require().NoError(err)
			s.NoError(csr.CheckSignature())
			s.Equal(key.Public, csr.PublicKey)

			_, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, session)
			s.code(problem.ConsentSpent, err)
			s.NoError(session.Close())
			_, err = session.Sign(rand.Reader, digestOf(crypto.SHA256, "x"), crypto.SHA256)
			s.Error(err, "closed")

			keys, err := s.rig.Store().List(s.ctx)
			s.Require().NoError(err)
			s.Require().Len(keys, 1, "a new store finds it without a PIN")
			s.Equal(key.ID, keys[0].ID)
			s.Equal(key.Public, keys[0].Public)
			s.Equal(key.Label, keys[0].Label)
		})
	}
}

func (s *storeSuite) TestAnAlgorithmThatIsNotOursIsUnsupported() {
	store, place, pin := s.rig.Store(), s.place(), s.pin()
	_, _, err := store.Generate(s.ctx, agent.GenerateRequest{Place: place.ID, Algorithm: "rsa1024"},
		agent.NewConsent(store.Name(), place.ID, 1), pin.ask)
	s.code(problem.Unsupported, err)
	s.Empty(pin.asked)
}

func (s *storeSuite) TestSignaturesVerify() {
	for _, algorithm := range []agent.KeyAlgorithm{agent.RSA2048, agent.P256, agent.P384} {
		s.Run(string(algorithm), func() {
			s.needs(algorithm)
			key := s.made(algorithm)
			store, pin := s.rig.Store(), s.pin()
			session, err := store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, len(hashes)), pin.ask)
			s.Require().NoError(err)
			defer func() { s.NoError(session.Close()) }()
			s.wiped(pin)
			s.Equal(key.Public, session.Public())
			for _, hash := range hashes {
				digest := digestOf(hash, "zgłoszenie")
				signature, err := session.Sign(rand.Reader, digest, hash)
				s.Require().NoError(err, hash)
				requireSignature(s.T(), key.Public, hash, digest, signature)
			}
			_, err = session.Sign(rand.Reader, digestOf(crypto.SHA256, "one more"), crypto.SHA256)
			s.code(problem.ConsentSpent, err)
			if s.rig.PIN() != "" {
				s.Len(pin.asked, 1, "one PIN for all that the person approved")
			}
		})
	}
}

func (s *storeSuite) TestWhatCannotBeSignedSpendsNothing() {
	key := s.made(agent.RSA2048)
	store := s.rig.Store()
	session, err := store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, 1), s.pin().ask)
	s.Require().NoError(err)
	defer func() { s.NoError(session.Close()) }()
	digest := digestOf(crypto.SHA256, "x")
	for name, try := range map[string]func() error{
		"PSS with a salt of another length": func() error {
			_, err := session.Sign(rand.Reader, digest, &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 20})
			return err
		},
		"SHA-1":                      func() error { _, err := session.Sign(rand.Reader, digest[:20], crypto.SHA1); return err },
		"no hash":                    func() error { _, err := session.Sign(rand.Reader, digest, crypto.Hash(0)); return err },
		"a digest of another length": func() error { _, err := session.Sign(rand.Reader, digest, crypto.SHA512); return err },
	} {
		s.Equal(problem.Unsupported, problem.CodeOf(try()), name)
	}
	_, err = session.Sign(rand.Reader, digest, crypto.SHA256)
	s.NoError(err)
}

func (s *storeSuite) TestAPSSSignatureVerifiesOrIsUnsupportedAndSpendsNothing() {
	key := s.made(agent.RSA2048)
	store := s.rig.Store()
	session, err := store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, len(hashes)), s.pin().ask)
	s.Require().NoError(err)
	defer func() { s.NoError(session.Close()) }()
	for _, hash := range hashes {
		digest := digestOf(hash, "zgłoszenie")
		options := &rsa.PSSOptions{Hash: hash, SaltLength: rsa.PSSSaltLengthEqualsHash}
		signature, err := session.Sign(rand.Reader, digest, options)
		if r, ok := s.rig.(offering); ok {
			s.Equal(r.OffersPSS(), err == nil, "%s: %v", hash, err)
		}
		if err != nil {
			s.code(problem.Unsupported, err)
			_, err = session.Sign(rand.Reader, digest, hash)
			s.NoError(err, "the consent is not spent by that")
			continue
		}
		s.NoError(rsa.VerifyPSS(key.Public.(*rsa.PublicKey), hash, digest, signature, options))
	}
	_, err = session.Sign(rand.Reader, digestOf(crypto.SHA256, "one more"), crypto.SHA256)
	s.code(problem.ConsentSpent, err)
}

func (s *storeSuite) TestWithoutConsentNothingOpens() {
	key, place := s.made(s.algorithm()), s.place()
	store := s.rig.Store()
	for name, consent := range map[string]*agent.Consent{
		"none":                    nil,
		"one that nobody gave":    new(agent.Consent),
		"one for another key":     agent.NewConsent(store.Name(), key.ID+"0", 1),
		"one for another store":   agent.NewConsent("other", key.ID, 1),
		"one for another purpose": agent.NewConsent(store.Name(), place.Label, 1),
	} {
		s.T().Run(name, func(t *testing.T) {
			pin := s.pin()
			_, err := store.Open(s.ctx, key.ID, consent, pin.ask)
			assert.Equal(t, problem.ConsentSpent, problem.CodeOf(err))
			_, _, err = store.Generate(s.ctx, agent.GenerateRequest{Place: place.ID, Algorithm: s.algorithm()}, consent, pin.ask)
			assert.Equal(t, problem.ConsentSpent, problem.CodeOf(err))
			assert.Empty(t, pin.asked)
		})
	}
	keys, err := store.List(s.ctx)
	s.NoError(err)
	s.Len(keys, 1)
}

func (s *storeSuite) TestAConsentIsSpentOverAllSessions() {
	key := s.made(s.algorithm())
	store := s.rig.Store()
	consent := agent.NewConsent(store.Name(), key.ID, 2)
	for range 2 {
		session, err := store.Open(s.ctx, key.ID, consent, s.pin().ask)
		s.Require().NoError(err)
		_, err = session.Sign(rand.Reader, digestOf(crypto.SHA256, "x"), crypto.SHA256)
		s.NoError(err)
		s.NoError(session.Close())
	}
	pin := s.pin()
	_, err := store.Open(s.ctx, key.ID, consent, pin.ask)
	s.code(problem.ConsentSpent, err)
	s.Empty(pin.asked)
}

func (s *storeSuite) TestAWrongPINIsAskedForOnce() {
	s.needsPIN()
	key := s.made(s.algorithm())
	store := s.rig.Store()
	consent := agent.NewConsent(store.Name(), key.ID, 1)
	for name, try := range map[string]func(agent.AskPIN) error{
		"open": func(pin agent.AskPIN) error { _, err := store.Open(s.ctx, key.ID, consent, pin); return err },
		"attach": func(pin agent.AskPIN) error {
			return store.(agent.Attacher).Attach(s.ctx, key.ID, s.certify(key.Public), pin)
		},
	} {
		pin := &pins{answer: s.rig.WrongPIN()}
		err := try(pin.ask)
		s.code(problem.PINIncorrect, err)
		s.Len(pin.asked, 1, name)
		s.wiped(pin)
		s.NotContains(fmt.Sprintf("%v %+v", err, err), s.rig.WrongPIN())
	}
	session, err := store.Open(s.ctx, key.ID, consent, s.pin().ask)
	s.Require().NoError(err, "the consent is not spent by that")
	s.NoError(session.Close())
}

func (s *storeSuite) TestAPersonWhoCancelsIsNotAskedAgain() {
	s.needsPIN()
	key := s.made(s.algorithm())
	store, place := s.rig.Store(), s.place()
	pin := &pins{err: problem.New(problem.UserCancelled, "")}
	_, err := store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, 1), pin.ask)
	s.code(problem.UserCancelled, err)
	_, _, err = store.Generate(s.ctx, agent.GenerateRequest{Place: place.ID, Algorithm: s.algorithm()},
		agent.NewConsent(store.Name(), place.ID, 1), pin.ask)
	s.code(problem.UserCancelled, err)
	s.Len(pin.asked, 2)
	keys, err := store.List(s.ctx)
	s.NoError(err)
	s.Len(keys, 1, "nothing is left behind")
}

func (s *storeSuite) TestTheRequestForAPINSaysWhy() {
	s.needsPIN()
	key := s.made(s.algorithm())
	store, pin := s.rig.Store(), s.pin()
	session, err := store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, 1), pin.ask)
	s.Require().NoError(err)
	s.NoError(session.Close())
	s.Require().Len(pin.asked, 1)
	req := pin.asked[0]
	s.Equal(agent.PurposeSign, req.Purpose)
	s.False(req.New)
	s.NotEmpty(req.Label)
	s.NotEmpty(req.Where)
}

func (s *storeSuite) TestACertificateIsKeptBesideItsKey() {
	for _, algorithm := range []agent.KeyAlgorithm{agent.RSA2048, agent.P256} {
		s.Run(string(algorithm), func() {
			s.needs(algorithm)
			key := s.made(algorithm)
			chain := s.certify(key.Public)
			pin := s.pin()
			s.Require().NoError(s.rig.Store().(agent.Attacher).Attach(s.ctx, key.ID, chain, pin.ask))
			s.wiped(pin)
			keys, err := s.rig.Store().List(s.ctx)
			s.Require().NoError(err)
			s.Require().Len(keys, 1, "an issuer's certificate is no key")
			s.Equal(key.ID, keys[0].ID, "the key keeps its ID")
			s.Equal(chain, keys[0].Chain)

			renewed := s.certify(key.Public)
			s.Require().NoError(s.rig.Store().(agent.Attacher).Attach(s.ctx, key.ID, renewed, s.pin().ask))
			keys, err = s.rig.Store().List(s.ctx)
			s.Require().NoError(err)
			s.Require().Len(keys, 1)
			s.Equal(renewed[0], keys[0].Chain[0], "a new certificate takes the old one's place")

			store := s.rig.Store()
			session, err := store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, 1), s.pin().ask)
			s.Require().NoError(err)
			digest := digestOf(crypto.SHA256, "x")
			signature, err := session.Sign(rand.Reader, digest, crypto.SHA256)
			s.Require().NoError(err)
			s.NoError(session.Close())
			leaf, err := x509.ParseCertificate(keys[0].Chain[0])
			s.Require().NoError(err)
			requireSignature(s.T(), leaf.PublicKey, crypto.SHA256, digest, signature)
		})
	}
}

func (s *storeSuite) TestACertificateForAnotherKeyIsRefused() {
	key := s.made(s.algorithm())
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.Require().NoError(err)
	for name, chain := range map[string][][]byte{
		"another key": s.certify(other.Public()), "nothing": nil, "no certificate": {[]byte("x")},
	} {
		pin := s.pin()
		s.code(problem.CertificateMismatch, s.rig.Store().(agent.Attacher).Attach(s.ctx, key.ID, chain, pin.ask))
		s.Empty(pin.asked, name)
	}
	keys, err := s.rig.Store().List(s.ctx)
	s.NoError(err)
	s.Empty(keys[0].Chain)
}

func (s *storeSuite) TestKeysAreKeptApart() {
	first, second := s.made(s.algorithm()), s.made(s.algorithm())
	s.NotEqual(first.ID, second.ID)
	chain := s.certify(second.Public)
	store := s.rig.Store()
	s.Require().NoError(store.(agent.Attacher).Attach(s.ctx, second.ID, chain, s.pin().ask))
	_, err := store.Open(s.ctx, first.ID, agent.NewConsent(store.Name(), second.ID, 1), s.pin().ask)
	s.code(problem.ConsentSpent, err)
	keys, err := store.List(s.ctx)
	s.Require().NoError(err)
	s.Require().Len(keys, 2)
	for _, key := range keys {
		if key.ID == second.ID {
			s.Equal(chain, key.Chain)
		} else {
			s.Empty(key.Chain)
		}
	}
}

func (s *storeSuite) TestADeletedKeyIsGone() {
	gone, stays := s.made(s.algorithm()), s.made(s.algorithm())
	store := s.rig.Store()
	s.Require().NoError(store.(agent.Attacher).Attach(s.ctx, gone.ID, s.certify(gone.Public), s.pin().ask))
	s.Require().NoError(store.(agent.Deleter).Delete(s.ctx, gone.ID, s.pin().ask))
	keys, err := s.rig.Store().List(s.ctx)
	s.Require().NoError(err)
	s.Require().Len(keys, 1)
	s.Equal(stays.ID, keys[0].ID)
	_, err = store.Open(s.ctx, gone.ID, agent.NewConsent(store.Name(), gone.ID, 1), s.pin().ask)
	s.code(problem.KeyAbsent, err)
	s.code(problem.KeyAbsent, store.(agent.Deleter).Delete(s.ctx, gone.ID, s.pin().ask))
}

func (s *storeSuite) TestAStoreThatIsAwayHasNoKeys() {
	key := s.made(s.algorithm())
	s.rig.Remove(s.T())
	store := s.rig.Store()
	keys, err := store.List(s.ctx)
	s.NoError(err)
	s.Empty(keys)
	pin := s.pin()
	_, err = store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, 1), pin.ask)
	s.Contains([]problem.Code{problem.TokenAbsent, problem.KeyAbsent}, problem.CodeOf(err), "%v", err)
	s.Empty(pin.asked)
	s.Contains([]problem.Code{problem.TokenAbsent, problem.KeyAbsent},
		problem.CodeOf(store.(agent.Attacher).Attach(s.ctx, key.ID, s.certify(key.Public), pin.ask)))
	s.Empty(pin.asked)
}

func (s *storeSuite) TestAnIDThatIsNobodysIsAbsent() {
	store := s.rig.Store()
	for _, id := range []string{"", ".", "../../etc/passwd", s.place().ID, s.place().ID + ".k00", "\x00"} {
		pin := s.pin()
		_, err := store.Open(s.ctx, id, agent.NewConsent(store.Name(), id, 1), pin.ask)
		s.Contains([]problem.Code{problem.TokenAbsent, problem.KeyAbsent}, problem.CodeOf(err), "%q: %v", id, err)
		s.Empty(pin.asked)
	}
}
