package agent_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"certsign/agent"
	"certsign/agent/keystore/pkcs11"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

// What is found: modules, readers, and keys that are hidden until log-in.

func (s *tokenSuite) TestAModuleThatP11KitKnowsIsFound() {
	key := s.made(agent.P256)
	s.shim("reader")
	home := s.T().TempDir()
	s.T().Setenv("HOME", home)
	folder := filepath.Join(home, ".config", "pkcs11", "modules")
	s.Require().NoError(os.MkdirAll(folder, 0o700))
	s.Require().NoError(os.WriteFile(filepath.Join(folder, "mine.module"), []byte("module: "+s.token.module+"\npriority: 100\n"), 0o600))
	s.token.tune = func(c *pkcs11.Config) { c.Modules, c.OnlyModules = nil, false }
	store := s.rig.Store()
	keys, err := store.List(s.ctx)
	s.Require().NoError(err)
	s.Require().Len(keys, 1, "the system's own registrations show the same token, and it is listed once")
	s.Equal(key.ID, keys[0].ID)
	s.Equal(1, s.count("C_GetFunctionList"), "through the module that the person registered")

	session, err := store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, 1), s.pin().ask)
	s.Require().NoError(err)
	s.NoError(s.sign(session))
	s.NoError(session.Close())
	s.Equal(2, s.count("C_GetFunctionList"))
}

func (s *tokenSuite) TestAVirtualReaderOfWindowsHelloIsLeftOut() {
	s.made(agent.P256)
	s.shim("reader")
	s.T().Setenv("SHIM_READER", "ACS ACR39U ICC Reader 00 00")
	s.place()
	s.T().Setenv("SHIM_READER", "Windows Hello for Business 1")
	places, err := s.rig.Store().(agent.Placer).Places(s.ctx)
	s.NoError(err)
	s.Empty(places)
}

func (s *tokenSuite) TestACardThatNoDriverKnowsIsShownWithItsReader() {
	key := s.made(agent.P256)
	s.shim("reader")
	s.T().Setenv("SHIM_READER", "Czytnik Łódź")
	s.T().Setenv("SHIM_UNKNOWN", "1")
	place := s.place()
	s.Equal(string(problem.TokenUnrecognized), place.Problem)
	s.Equal("Czytnik Łódź", place.Label)
	s.Empty(place.Keys)
	s.code(problem.TokenAbsent, s.opens(key, s.rig.PIN()))
	keys, err := s.rig.Store().List(s.ctx)
	s.NoError(err)
	s.Empty(keys)
}

func (s *tokenSuite) TestADriverForOtherProgramsSaysSo() {
	module := filepath.Join(s.T().TempDir(), "driver.so")
	header := make([]byte, 64)
	copy(header, "\x7fELF\x01\x01\x01") // 32 bits
	header[18] = 3                      // Intel 80386
	s.Require().NoError(os.WriteFile(module, header, 0o600))
	s.token.module = module
	place := s.place()
	s.Equal(string(problem.DriverMismatch), place.Problem)
	_, err := s.rig.Store().List(s.ctx)
	s.code(problem.DriverMismatch, err)
}

func (s *tokenSuite) TestAKeyThatIsHiddenUntilLogInSignsAndGetsItsCertificate() {
	for _, algorithm := range []agent.KeyAlgorithm{agent.RSA2048, agent.P256} {
		s.Run(string(algorithm), func() {
			key := s.made(algorithm)
			s.shim("hidden")
			keys, err := s.rig.Store().List(s.ctx)
			s.NoError(err)
			s.Empty(keys, "the list asks for no PIN")

			chain := s.certify(key.Public)
			pin := s.pin()
			s.Require().NoError(s.rig.Store().(agent.Attacher).Attach(s.ctx, key.ID, chain, pin.ask))
			s.wiped(pin)
			other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			s.Require().NoError(err)
			s.code(problem.CertificateMismatch, s.rig.Store().(agent.Attacher).Attach(s.ctx, key.ID, s.certify(other.Public()), s.pin().ask))
			pin = s.pin()
			session, err := s.open(key, 1, pin)
			s.Require().NoError(err)
			s.wiped(pin)
			digest := digestOf(crypto.SHA256, "x")
			signature, err := session.Sign(rand.Reader, digest, crypto.SHA256)
			s.Require().NoError(err)
			requireSignature(s.T(), key.Public, crypto.SHA256, digest, signature)
			s.Equal(3, s.count("C_Login"), "one for each operation")

			s.token.module = softHSM
			keys, err = s.rig.Store().List(s.ctx)
			s.Require().NoError(err)
			s.Equal(chain, keys[0].Chain)

			s.shim("hidden")
			s.NoError(s.rig.Store().(agent.Deleter).Delete(s.ctx, key.ID, s.pin().ask))
			s.code(problem.KeyAbsent, s.opens(key, s.rig.PIN()))
		})
	}
}

func (s *tokenSuite) TestAnIDThatNobodyGaveAKeyCostsNoLogIn() {
	s.shim("hidden")
	place := s.place()
	for _, id := range []string{place.ID, place.ID + ".k00", place.ID + ".k" + "../../../../../../../../../../..", place.ID + ".i", place.ID + ".x00"} {
		pin := s.pin()
		store := s.rig.Store()
		_, err := store.Open(s.ctx, id, agent.NewConsent(store.Name(), id, 1), pin.ask)
		s.code(problem.KeyAbsent, err)
		s.Empty(pin.asked)
	}
	s.Zero(s.count("C_Login"))
}

func (s *tokenSuite) TestWhoWaitsForACardIsToldWhenItComesAndGoes() {
	s.token.tune = func(c *pkcs11.Config) { c.Poll = 50 * time.Millisecond }
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	changes, err := s.rig.Store().(agent.Watcher).Watch(ctx)
	s.Require().NoError(err)
	told := func(what string) {
		s.T().Helper()
		select {
		case _, more := <-changes:
			s.True(more)
		case <-time.After(10 * time.Second):
			s.Fail("nobody is told", what)
		}
	}
	select {
	case <-changes:
		s.Fail("nothing has changed")
	case <-time.After(300 * time.Millisecond):
	}
	aside := s.token.tokens + " aside"
	s.Require().NoError(os.Rename(s.token.tokens, aside))
	s.Require().NoError(os.Mkdir(s.token.tokens, 0o700))
	told("that it went")
	s.Require().NoError(os.Remove(s.token.tokens))
	s.Require().NoError(os.Rename(aside, s.token.tokens))
	told("that it came")
	s.code(problem.PINIncorrect, s.tryGenerate(&pins{answer: s.rig.WrongPIN()}))
	told("that a try was lost")
	cancel()
	s.Eventually(func() bool { _, more := <-changes; return !more }, 5*time.Second, 10*time.Millisecond)
	s.token.tune = func(c *pkcs11.Config) { c.Helper = "/nowhere/certsign-pkcs11" }
	_, err = s.rig.Store().(agent.Watcher).Watch(s.ctx)
	s.code(problem.StoreUnavailable, err)
}

// generateUnder lets another program make a key under the ID of ours.
func (s *tokenSuite) generateUnder(key agent.Key, kind string) {
	leaf, err := x509.ParseCertificate(s.certify(key.Public)[0])
	s.Require().NoError(err)
	out, err := exec.Command(testtool.Need(s.T(), "pkcs11-tool"), "--module", softHSM, "--login", "--pin", tokenPIN, "--keypairgen",
		"--key-type", kind, "--id", hex.EncodeToString(keyIdentifier(s.T(), leaf)), "--label", "another's").CombinedOutput()
	s.Require().NoError(err, "%s", out)
}

func (s *tokenSuite) TestWhatAnotherKeyOwnsUnderTheSameIDStays() {
	key := s.made(agent.P256)
	s.generateUnder(key, "rsa:2048")
	list := func() (ours, others agent.Key) {
		keys, err := s.rig.Store().List(s.ctx)
		s.Require().NoError(err)
		for _, k := range keys {
			if k.ID == key.ID {
				ours = k
			} else {
				others = k
			}
		}
		return ours, others
	}
	_, other := list()
	s.Equal(agent.RSA2048, other.Algorithm)
	mine, theirs := s.certify(key.Public), s.certify(other.Public)
	s.Require().NoError(s.rig.Store().(agent.Attacher).Attach(s.ctx, other.ID, theirs, s.pin().ask))
	s.Require().NoError(s.rig.Store().(agent.Attacher).Attach(s.ctx, key.ID, mine, s.pin().ask))
	mine = s.certify(key.Public)
	s.Require().NoError(s.rig.Store().(agent.Attacher).Attach(s.ctx, key.ID, mine, s.pin().ask))
	ours, others := list()
	s.Equal(mine, ours.Chain)
	s.Equal(theirs, others.Chain)
	s.NoError(s.rig.Store().(agent.Deleter).Delete(s.ctx, key.ID, s.pin().ask))
	ours, others = list()
	s.Empty(ours.ID)
	s.Equal(theirs, others.Chain)
	session, err := s.open(others, 1, s.pin())
	s.Require().NoError(err)
	s.NoError(s.sign(session))
}

func (s *tokenSuite) TestOfTwoKeysThatNothingTellsApartNoneIsDeleted() {
	key := s.made(agent.P256)
	s.generateUnder(key, "EC:prime256v1")
	s.code(problem.Unsupported, s.rig.Store().(agent.Deleter).Delete(s.ctx, key.ID, s.pin().ask))
	keys, err := s.rig.Store().List(s.ctx)
	s.NoError(err)
	s.Len(keys, 2)
}
