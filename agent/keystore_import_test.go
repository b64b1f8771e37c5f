package agent_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/suite"

	"certsign/agent"
	"certsign/internal/problem"
	"certsign/internal/testpki"
)

// madeElsewhere returns a key as a file holds it.
func (s *bench) madeElsewhere(algorithm agent.KeyAlgorithm) crypto.Signer {
	var key crypto.Signer
	var err error
	switch algorithm {
	case agent.RSA2048:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case agent.P384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	s.Require().NoError(err)
	return key
}

func (s *storeSuite) importer() agent.Importer {
	store, ok := s.rig.Store().(agent.Importer)
	if !ok {
		s.T().Skipf("%s takes no keys that were made elsewhere", s.rig.Store().Name())
	}
	return store
}

func (s *storeSuite) TestAKeyThatWasMadeElsewhereSigns() {
	for _, algorithm := range []agent.KeyAlgorithm{agent.RSA2048, agent.P256, agent.P384} {
		s.Run(string(algorithm), func() {
			into, private := s.importer(), s.madeElsewhere(algorithm)
			chain := s.certify(private.Public())
			pin := s.pin()
			key, err := into.Import(s.ctx, agent.Bundle{Private: private, Chain: chain, Label: "Stary klucz"}, pin.ask)
			if problem.CodeOf(err) == problem.Unsupported {
				s.Empty(pin.asked)
				s.T().Skipf("%s takes no %s keys: %v", s.rig.Store().Name(), algorithm, err)
			}
			s.Require().NoError(err)
			s.wiped(pin)
			s.NotEqual(agent.StatedYes, key.Made.Local, "it was not made here")
			s.NotEqual(agent.StatedYes, key.Made.NeverExtractable, "it came from a file")

			store := s.rig.Store()
			keys, err := store.List(s.ctx)
			s.Require().NoError(err)
			s.Require().Len(keys, 1)
			s.Equal(key.ID, keys[0].ID)
			s.Equal(chain, keys[0].Chain)
			s.Equal(algorithm, keys[0].Algorithm)
			session, err := store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, 1), s.pin().ask)
			s.Require().NoError(err)
			digest := digestOf(crypto.SHA256, "zgłoszenie")
			signature, err := session.Sign(rand.Reader, digest, crypto.SHA256)
			s.Require().NoError(err)
			s.NoError(session.Close())
			requireSignature(s.T(), private.Public(), crypto.SHA256, digest, signature)

			again := s.pin()
			same, err := s.importer().Import(s.ctx, agent.Bundle{Private: private, Chain: chain}, again.ask)
			s.Require().NoError(err)
			s.Empty(again.asked, "there is nothing to store")
			s.Equal(key.ID, same.ID)
			keys, err = s.rig.Store().List(s.ctx)
			s.Require().NoError(err)
			s.Require().Len(keys, 1, "a key that is there is not stored twice")
			s.Equal(chain, keys[0].Chain)
		})
	}
}

func (s *storeSuite) TestAnImportedKeyGetsTheCertificateThatItLacked() {
	into, private := s.importer(), s.madeElsewhere(agent.RSA2048)
	key, err := into.Import(s.ctx, agent.Bundle{Private: private, Label: "Bez certyfikatu"}, s.pin().ask)
	s.Require().NoError(err)
	s.Empty(key.Chain)
	chain := s.certify(private.Public())
	with, err := s.importer().Import(s.ctx, agent.Bundle{Private: private, Chain: chain}, s.pin().ask)
	s.Require().NoError(err)
	s.Equal(key.ID, with.ID)
	s.Equal(chain, with.Chain)
}

func (s *storeSuite) TestTheNewerOfTwoCertificatesForAnImportedKeyStays() {
	into, private := s.importer(), s.madeElsewhere(agent.RSA2048)
	ca, now := testpki.Root(s.T()), time.Now().Truncate(time.Second)
	issued := func(ago time.Duration) [][]byte {
		return [][]byte{leafFor(ca, private.Public(), testpki.Valid(now.Add(-ago), now.Add(time.Hour))).DER}
	}
	first, older, newer := issued(2*time.Hour), issued(3*time.Hour), issued(time.Hour)
	for _, step := range []struct {
		name         string
		comes, stays [][]byte
	}{{"the first", first, first}, {"an older one", older, first}, {"a newer one", newer, newer}, {"the first again", first, newer}} {
		pin := s.pin()
		key, err := into.Import(s.ctx, agent.Bundle{Private: private, Chain: step.comes}, pin.ask)
		s.Require().NoError(err, step.name)
		s.Equal(step.stays, key.Chain, step.name)
		s.Equal(step.stays, s.only(key.ID).Chain, step.name)
		if string(step.comes[0]) != string(step.stays[0]) {
			s.Empty(pin.asked, "%s: there is nothing to store", step.name)
		}
	}
}

func (s *storeSuite) TestACertificateForAnotherKeyIsNotImportedWithIt() {
	into, private := s.importer(), s.madeElsewhere(agent.RSA2048)
	pin := s.pin()
	_, err := into.Import(s.ctx, agent.Bundle{Private: private, Chain: s.certify(s.madeElsewhere(agent.RSA2048).Public())}, pin.ask)
	s.code(problem.CertificateMismatch, err)
	s.Empty(pin.asked)
	keys, err := s.rig.Store().List(s.ctx)
	s.NoError(err)
	s.Empty(keys)
}

// keyfileSuite is what only key files can do.
type keyfileSuite struct{ bench }

func TestKeyfiles(t *testing.T) { suite.Run(t, &keyfileSuite{bench{fresh: newKeyfileRig}}) }

const changedPassword = "Zupełnie-nowe-hasło-9"

// two answers the question for the password that holds, and the one for the new one.
func (s *keyfileSuite) two(old, renewed string) (*pins, *pins, agent.AskPIN) {
	first, second := &pins{answer: old}, &pins{answer: renewed}
	return first, second, func(ctx context.Context, req agent.PINRequest) (*agent.Secret, error) {
		if req.New {
			return second.ask(ctx, req)
		}
		return first.ask(ctx, req)
	}
}

func (s *keyfileSuite) change(id string, how agent.PINChange, pin agent.AskPIN) error {
	return s.rig.Store().(agent.PINChanger).ChangePIN(s.ctx, id, how, pin)
}

func (s *keyfileSuite) opens(id, password string) error {
	store, pin := s.rig.Store(), &pins{answer: password}
	session, err := store.Open(s.ctx, id, agent.NewConsent(store.Name(), id, 1), pin.ask)
	if err == nil {
		s.NoError(session.Close())
	}
	return err
}

func (s *keyfileSuite) TestANewPasswordTakesTheOldOnesPlace() {
	key := s.made(agent.P256)
	s.Require().NoError(s.rig.Store().(agent.Attacher).Attach(s.ctx, key.ID, s.certify(key.Public), s.pin().ask))
	before, err := s.rig.Store().List(s.ctx)
	s.Require().NoError(err)
	old, renewed, pin := s.two(s.rig.PIN(), changedPassword)
	s.Require().NoError(s.change(key.ID, agent.PINRenew, pin))
	s.wiped(old)
	s.wiped(renewed)
	s.Equal(agent.PurposePIN, old.asked[0].Purpose)
	s.True(renewed.asked[0].New)
	s.NoError(s.opens(key.ID, changedPassword))
	s.code(problem.PINIncorrect, s.opens(key.ID, s.rig.PIN()))
	after, err := s.rig.Store().List(s.ctx)
	s.Require().NoError(err)
	s.Equal(before, after, "all else is as it was")
}

func (s *keyfileSuite) TestWhatIsWrongWithANewPasswordLeavesTheOldOne() {
	key := s.made(agent.P256)
	for name, tc := range map[string]struct {
		old, renewed string
		want         problem.Code
	}{
		"the old one is wrong":         {s.rig.WrongPIN(), changedPassword, problem.PINIncorrect},
		"the new one breaks the rules": {s.rig.PIN(), "short", problem.PasswordWeak},
	} {
		old, renewed, pin := s.two(tc.old, tc.renewed)
		s.code(tc.want, s.change(key.ID, agent.PINRenew, pin))
		s.wiped(old)
		s.wiped(renewed)
		s.Equal(tc.want == problem.PINIncorrect, len(renewed.asked) == 0, "%s: a new one is asked for when the old one was right", name)
	}
	for _, how := range []agent.PINChange{agent.PINUnblock, agent.PINFirst} {
		old, _, pin := s.two(s.rig.PIN(), changedPassword)
		s.code(problem.Unsupported, s.change(key.ID, how, pin))
		s.Empty(old.asked, "a key file has no PUK")
	}
	_, _, pin := s.two(s.rig.PIN(), changedPassword)
	s.code(problem.KeyAbsent, s.change("nobody", agent.PINRenew, pin))
	s.NoError(s.opens(key.ID, s.rig.PIN()))
}

func (s *keyfileSuite) TestAnImportedKeyHasAPasswordThatMeetsTheRules() {
	pin := &pins{answer: "changeit"}
	into := s.rig.Store().(agent.Importer)
	_, err := into.Import(s.ctx, agent.Bundle{Private: s.madeElsewhere(agent.P256)}, pin.ask)
	s.code(problem.PasswordWeak, err)
	s.wiped(pin)
	keys, err := s.rig.Store().List(s.ctx)
	s.NoError(err)
	s.Empty(keys)
}

func (s *keyfileSuite) TestWeakKeysAreNotImported() {
	rsa1024, err := rsa.GenerateKey(rand.Reader, 1024)
	s.Require().NoError(err)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	s.Require().NoError(err)
	for name, weak := range map[string]crypto.Signer{"RSA of 1024 bits": rsa1024, "P-521": p521} {
		pin := s.pin()
		_, err := s.rig.Store().(agent.Importer).Import(s.ctx, agent.Bundle{Private: weak}, pin.ask)
		s.code(problem.KeyWeak, err)
		s.Empty(pin.asked, name)
	}
}

func (s *keyfileSuite) TestAnImportWritesOverNoFile() {
	private := s.madeElsewhere(agent.P256)
	first, err := s.rig.Store().(agent.Importer).Import(s.ctx, agent.Bundle{Private: private, Label: "klucz"}, s.pin().ask)
	s.Require().NoError(err)
	// Its public part is lost: nobody sees the key, and its file must stay all the same.
	lost, err := os.ReadFile(first.Where)
	s.Require().NoError(err)
	s.Require().NoError(os.Remove(first.Where[:len(first.Where)-len(filepath.Ext(first.Where))] + ".json"))
	second, err := s.rig.Store().(agent.Importer).Import(s.ctx, agent.Bundle{Private: private, Label: "klucz"}, s.pin().ask)
	s.Require().NoError(err)
	s.NotEqual(first.Where, second.Where)
	still, err := os.ReadFile(first.Where)
	s.Require().NoError(err)
	s.Equal(lost, still)
}

func (s *keyfileSuite) TestACopyIsTheFileItself() {
	key := s.made(agent.P256)
	file, name, err := s.rig.Store().(agent.Copier).Copy(s.ctx, key.ID)
	s.Require().NoError(err)
	want, err := os.ReadFile(key.Where)
	s.Require().NoError(err)
	s.Equal(want, file)
	s.Equal(filepath.Base(key.Where), name)
	_, _, err = s.rig.Store().(agent.Copier).Copy(s.ctx, "nobody")
	s.code(problem.KeyAbsent, err)
	s.Require().NoError(os.WriteFile(key.Where, want[:len(want)/2], 0o600))
	_, _, err = s.rig.Store().(agent.Copier).Copy(s.ctx, key.ID)
	s.code(problem.IntegrityFailed, err)
}

func (s *keyfileSuite) TestAKeyFileStatesHowItsKeyCameToBe() {
	made := s.made(agent.P256)
	s.Equal(agent.Made{Local: agent.StatedYes, NeverExtractable: agent.StatedNo}, made.Made)
	keys, err := s.rig.Store().List(s.ctx)
	s.Require().NoError(err)
	s.Equal(made.Made, keys[0].Made, "after a restart too")
}
