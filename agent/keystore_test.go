package agent_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stretchr/testify/suite"

	"certsign/agent"
	"certsign/agent/keystore/keyfile"
	"certsign/agent/keystore/pkcs11"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

// rig is one key store with nothing in it, made for one test. What a store cannot show it says by name in Lacks.
type rig interface {
	// Where says how the store is opened, in this process or in another.
	Where() where
	// Store returns a new store on the same keys, as after a restart.
	Store() agent.KeyStore
	// PIN returns the right PIN or password, WrongPIN one that is wrong and costs one try. Both are empty for a store whose
	// driver asks the person itself.
	PIN() string
	WrongPIN() string
	// Remove takes away what holds the keys: the files, the token.
	Remove(t *testing.T) (putBack func())
}

// lockable is a rig whose PIN can be locked.
type lockable interface{ Lock(t *testing.T) }

// lacking is a rig that cannot show all that the contract wants: reasons by agent.CheckName, agent.KeyAlgorithm, or one of
// the names below. What is named and can be shown all the same is a mistake in the test.
type lacking interface{ Lacks() map[string]string }

// What a rig can lack beside checks and kinds of keys.
const (
	locking = "locking" // its PIN cannot be locked
	missing = "missing" // a key that is open does not miss what is taken away
)

// where is how a store is opened. It goes to other processes as JSON.
type where struct {
	Keyfile string
	CSP     string
	PKCS11  *pkcs11.Config
}

// openCSP opens the Windows store, where there is one.
var openCSP func(chains string) agent.KeyStore

func (w where) open() agent.KeyStore {
	switch {
	case w.PKCS11 != nil:
		return pkcs11.New(*w.PKCS11)
	case w.CSP != "":
		return openCSP(w.CSP)
	}
	return keyfile.New(w.Keyfile, keyfile.WithIterations(10))
}

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

func (r *keyfileRig) Where() where          { return where{Keyfile: r.dir} }
func (r *keyfileRig) Store() agent.KeyStore { return r.Where().open() }
func (*keyfileRig) PIN() string             { return "Zażółć-gęślą-7!" }
func (*keyfileRig) WrongPIN() string        { return "Zażółć-gęślą-8!" }

// Remove moves all files out of the folder.
func (r *keyfileRig) Remove(t *testing.T) func() {
	files, err := filepath.Glob(filepath.Join(r.dir, "*.*"))
	require.NoError(t, err)
	var back []func()
	for _, file := range files {
		back = append(back, moved(t, file))
	}
	return func() {
		for _, f := range back {
			f()
		}
	}
}

func (*keyfileRig) Lacks() map[string]string {
	return map[string]string{
		locking: "a key file counts no wrong passwords",
		missing: "a key file is read once, when the key is opened",
	}
}

// wrongPINs gives a rig's only key so many wrong PINs.
func wrongPINs(t *testing.T, r rig, n int) {
	t.Helper()
	store := r.Store()
	keys, err := store.List(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 1)
	for range n {
		_, err = store.Open(t.Context(), keys[0].ID, agent.NewConsent(store.Name(), keys[0].ID, 1), (&pins{answer: r.WrongPIN()}).ask)
		require.Error(t, err)
	}
}

// moved moves a file or folder away.
func moved(t *testing.T, path string) (back func()) {
	t.Helper()
	aside := filepath.Join(testtool.TempDir(t), "away")
	require.NoError(t, os.Rename(path, aside))
	return func() { require.NoError(t, os.Rename(aside, path)) }
}

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
	if p.err != nil || req.Pad {
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

// lacks is why the store cannot show something, or "".
func (s *bench) lacks(name string) string {
	if r, ok := s.rig.(lacking); ok {
		return r.Lacks()[name]
	}
	return ""
}

// needs skips what the store cannot show, with its reason.
func (s *bench) needs(name string) {
	if reason := s.lacks(name); reason != "" {
		s.T().Skipf("%s: %s", name, reason)
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
	chain, err := agent.TestChain(public, "Żaneta Łęcka", "TEST Issuing CA", "TEST Root")
	s.Require().NoError(err)
	return chain
}

// ours are the algorithms that a store may offer.
var ours = []agent.KeyAlgorithm{agent.RSA2048, agent.RSA3072, agent.P256, agent.P384}

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

// TestAKeyLivesAsTheContractSays runs the checks that `certsign selftest` runs too.
func (s *storeSuite) TestAKeyLivesAsTheContractSays() {
	for _, algorithm := range ours {
		s.Run(string(algorithm), func() {
			test := agent.SelfTest{
				Open: s.rig.Store, Place: s.place(), Algorithms: []agent.KeyAlgorithm{algorithm}, WrongPIN: true,
				PIN: s.pin().ask,
				Report: func(c agent.Check) {
					s.T().Run(string(c.Name), func(t *testing.T) {
						reason := s.lacks(string(c.Name))
						if c.Name == agent.CheckGenerate {
							reason = s.lacks(string(algorithm))
						}
						switch {
						case c.Outcome == agent.CheckFailed, c.Outcome == agent.CheckSkipped && reason == "":
							t.Errorf("%s: %v", c.Outcome, c.Err)
						case c.Outcome == agent.CheckSkipped:
							t.Skipf("%s (%v)", reason, c.Err)
						case reason != "":
							t.Error("it is there, although the test says: " + reason)
						}
					})
				},
			}
			s.Require().NoError(test.Run(s.ctx))
		})
	}
}

func (s *storeSuite) TestKeysAreKeptApart() {
	first, second := s.made(s.algorithm()), s.made(s.algorithm())
	s.NotEqual(first.ID, second.ID)
	store := s.rig.Store()
	chain := s.certify(second.Public)
	s.Require().NoError(store.(agent.Attacher).Attach(s.ctx, second.ID, chain, s.pin().ask))
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
	s.Require().NoError(store.(agent.Deleter).Delete(s.ctx, second.ID, s.pin().ask))
	s.whole(first)
}

// The next three go on where the contract's checks, which have but one key and one session at a time, end.

func (s *storeSuite) TestACertificateForAnotherKeyIsRefused() {
	first, second := s.made(s.algorithm()), s.made(s.algorithm())
	pin := s.pin()
	s.code(problem.CertificateMismatch, s.rig.Store().(agent.Attacher).Attach(s.ctx, first.ID, s.certify(second.Public), pin.ask))
	s.Empty(pin.asked)
}

func (s *storeSuite) TestWithoutConsentNothingOpens() {
	first, second := s.made(s.algorithm()), s.made(s.algorithm())
	for what, id := range map[string]string{"another key": second.ID, "a new key": first.Place} {
		pin := s.pin()
		_, err := s.rig.Store().Open(s.ctx, first.ID, agent.NewConsent(first.Store, id, 1), pin.ask)
		s.Equal(problem.ConsentSpent, problem.CodeOf(err), "a consent for %s: %v", what, err)
		s.Empty(pin.asked)
	}
}

func (s *storeSuite) TestAConsentIsSpentOverAllSessions() {
	key := s.made(s.algorithm())
	consent := agent.NewConsent(key.Store, key.ID, 2)
	var sessions []agent.Session
	for range 3 { // open at one time
		session, err := s.rig.Store().Open(s.ctx, key.ID, consent, s.pin().ask)
		s.Require().NoError(err)
		defer func() { s.NoError(session.Close()) }()
		sessions = append(sessions, session)
	}
	s.NoError(s.sign(sessions[2]))
	s.NoError(s.sign(sessions[0]))
	for _, session := range sessions {
		s.code(problem.ConsentSpent, s.sign(session))
	}
}

// whole wants that key to be the only one, as it was made, and to sign.
func (s *bench) whole(key agent.Key) {
	s.T().Helper()
	found := s.only(key.ID)
	s.Equal(key.Label, found.Label)
	s.Empty(found.Chain)
	s.signs(found)
}

// only returns the key with that ID, which must be the only one.
func (s *bench) only(id string) agent.Key {
	s.T().Helper()
	keys, err := s.rig.Store().List(s.ctx)
	s.Require().NoError(err)
	s.Require().Len(keys, 1)
	s.Require().Equal(id, keys[0].ID)
	return keys[0]
}

// signs opens a key and makes one signature.
func (s *bench) signs(key agent.Key) {
	s.T().Helper()
	store := s.rig.Store()
	session, err := store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, 1), s.pin().ask)
	s.Require().NoError(err)
	s.NoError(s.sign(session))
	s.NoError(session.Close())
}

// sign makes a signature, which must verify if there is one.
func (s *bench) sign(session agent.Session) error {
	digest := digestOf(crypto.SHA256, "zgłoszenie")
	signature, err := session.Sign(rand.Reader, digest, crypto.SHA256)
	if err == nil {
		requireSignature(s.T(), session.Public(), crypto.SHA256, digest, signature)
	}
	return err
}

// operations are what a store does with a key under a PIN.
func (s *bench) operations(key agent.Key) map[string]func(agent.AskPIN) error {
	place, algorithm, chain := s.place().ID, s.algorithm(), s.certify(key.Public)
	return map[string]func(agent.AskPIN) error{
		"opening": func(pin agent.AskPIN) error {
			session, err := s.rig.Store().Open(s.ctx, key.ID, agent.NewConsent(key.Store, key.ID, 1), pin)
			if err == nil {
				err = session.Close()
			}
			return err
		},
		"making another": func(pin agent.AskPIN) error {
			_, session, err := s.rig.Store().Generate(s.ctx, agent.GenerateRequest{Place: place, Algorithm: algorithm},
				agent.NewConsent(key.Store, place, 1), pin)
			if err == nil {
				err = session.Close()
			}
			return err
		},
		"storing a certificate": func(pin agent.AskPIN) error {
			return s.rig.Store().(agent.Attacher).Attach(s.ctx, key.ID, chain, pin)
		},
		"deleting": func(pin agent.AskPIN) error { return s.rig.Store().(agent.Deleter).Delete(s.ctx, key.ID, pin) },
	}
}

func (s *storeSuite) TestALockedPINOpensNothing() {
	s.needs(locking)
	key := s.made(s.algorithm())
	operations := s.operations(key)
	s.rig.(lockable).Lock(s.T())
	place := s.place()
	for name, op := range operations {
		pin := s.pin()
		s.code(problem.PINLocked, op(pin.ask))
		s.wiped(pin)
		if place.State == agent.PINLocked {
			s.Empty(pin.asked, "%s: nobody is asked for a PIN that cannot help", name)
		}
	}
	s.Empty(s.only(key.ID).Chain, "it is still listed, and nothing happened to it")
}

// absent is what is said of a key whose place is gone.
var absent = []problem.Code{problem.TokenAbsent, problem.KeyAbsent}

func (s *storeSuite) TestAStoreThatIsAwayHasNoKeysUntilItIsBack() {
	key := s.made(s.algorithm())
	operations := s.operations(key)
	putBack := s.rig.Remove(s.T())
	keys, err := s.rig.Store().List(s.ctx)
	s.NoError(err)
	s.Empty(keys)
	places, err := s.rig.Store().(agent.Placer).Places(s.ctx)
	s.NoError(err)
	if slices.ContainsFunc(places, func(p agent.Place) bool { return p.ID == key.Place }) {
		delete(operations, "making another") // only the key is gone
	}
	for name, op := range operations {
		pin := s.pin()
		err := op(pin.ask)
		s.Contains(absent, problem.CodeOf(err), "%s: %v", name, err)
		s.Empty(pin.asked)
	}
	putBack()
	s.whole(key)
}

func (s *storeSuite) TestWhatIsTakenAwayBetweenOpeningAndSigningIsMissed() {
	key := s.made(s.algorithm())
	store := s.rig.Store()
	session, err := store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, 1), s.pin().ask)
	s.Require().NoError(err)
	putBack := s.rig.Remove(s.T())
	if reason := s.lacks(missing); reason != "" {
		s.NoError(s.sign(session), reason)
	} else {
		err := s.sign(session)
		s.Contains(absent, problem.CodeOf(err), "%v", err)
	}
	_, err = store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, 1), s.pin().ask)
	s.Contains(absent, problem.CodeOf(err), "%v", err)
	s.NoError(session.Close())
	putBack()
	s.whole(key)
	s.needs(missing)
}

func (s *storeSuite) TestWhatIsTakenAwayWhileThePINIsAskedForComesBackWhole() {
	s.needsPIN()
	for name := range s.operations(s.made(s.algorithm())) {
		s.Run(name, func() {
			key := s.made(s.algorithm())
			var putBack func()
			err := s.operations(key)[name](func(ctx context.Context, req agent.PINRequest) (*agent.Secret, error) {
				putBack = s.rig.Remove(s.T())
				return s.pin().ask(ctx, req)
			})
			if putBack == nil {
				s.Require().NoError(err)
				s.T().Skipf("%s asks for no PIN here", s.rig.Store().Name())
			}
			putBack()
			if err == nil {
				s.needs(missing)
			}
			s.Contains(absent, problem.CodeOf(err), "%v", err)
			s.whole(key)
		})
	}
}
