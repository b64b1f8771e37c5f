package agent_test

import (
	"crypto"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"certsign/agent"
	"certsign/agent/keystore/pkcs11"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

// The limit of the tests with drivers that fail, and what they may take beyond it: the time to end a driver, and that of a
// busy computer.
const (
	faultLimit = 3 * time.Second
	faultSlack = 8 * time.Second
)

// faulty puts the driver of faults.c, with a token of its own and a key on it, beside SoftHSM2.
func (s *tokenSuite) faulty() agent.Key {
	s.T().Helper()
	good := os.Getenv("SOFTHSM2_CONF")
	bad := newSoftToken(s.T(), s.helper)
	conf := os.Getenv("SOFTHSM2_CONF")
	key := s.keyOn(bad.Store())
	s.T().Setenv("SOFTHSM2_CONF", good)
	s.shim("faults")
	shim := s.token.module
	s.token.module = softHSM
	s.T().Setenv("SHIM_SETTING", "SOFTHSM2_CONF="+conf)
	s.token.tune = func(c *pkcs11.Config) { c.Modules, c.Timeout = []string{shim, softHSM}, faultLimit }
	return key
}

// keyOn makes a key on the only token of a store.
func (s *tokenSuite) keyOn(store agent.KeyStore) agent.Key {
	s.T().Helper()
	places, err := store.(agent.Placer).Places(s.ctx)
	s.Require().NoError(err)
	s.Require().Len(places, 1)
	key, session, err := store.Generate(s.ctx, agent.GenerateRequest{Place: places[0].ID, Algorithm: agent.P256, Label: "klucz"},
		agent.NewConsent(store.Name(), places[0].ID, 1), s.pin().ask)
	s.Require().NoError(err)
	s.Require().NoError(session.Close())
	return key
}

// trySign opens a key and makes one signature, which must verify.
func (s *tokenSuite) trySign(key agent.Key) error {
	session, err := s.open(key, 1, s.pin())
	if err != nil {
		return err
	}
	digest := digestOf(crypto.SHA256, "x")
	signature, err := session.Sign(rand.Reader, digest, crypto.SHA256)
	if err == nil {
		requireSignature(s.T(), key.Public, crypto.SHA256, digest, signature)
	}
	s.NoError(session.Close())
	return err
}

// within fails the test when f takes longer than a call's limit and what is allowed beyond it.
func (s *tokenSuite) within(what string, f func()) {
	s.T().Helper()
	start := time.Now()
	f()
	s.Less(time.Since(start), faultLimit+faultSlack, what)
}

// unharmed checks what a fault must leave alone: the other driver's keys are listed and sign, and nothing runs on.
func (s *tokenSuite) unharmed(good agent.Key) {
	s.T().Helper()
	s.within("listing", func() {
		keys, err := s.rig.Store().List(s.ctx)
		s.NoError(err)
		found := false
		for _, key := range keys {
			found = found || key.ID == good.ID
			s.printable(key.Label, key.Where)
		}
		s.True(found, "the other driver's key is listed")
	})
	s.within("the other driver", func() { s.NoError(s.trySign(good)) })
	s.Eventually(func() bool { return len(s.processes()) == 0 }, 5*time.Second, 20*time.Millisecond, "no process is left")
}

func (s *tokenSuite) printable(texts ...string) {
	s.T().Helper()
	for _, text := range texts {
		s.Equal(-1, strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", text)
	}
}

func (s *tokenSuite) TestADriverThatFailsCostsAnErrorAndNoMore() {
	for _, c := range []struct {
		name   string
		fault  string
		want   problem.Code // "" is none
		logIns int
	}{
		{"it crashes when it is loaded", "crash in C_Initialize", problem.DriverFailed, 0},
		{"it crashes when it is asked for its slots", "crash in C_GetSlotList", problem.DriverFailed, 0},
		{"it crashes when it is asked for its tokens", "crash in C_GetTokenInfo", problem.DriverFailed, 0},
		{"it crashes when it looks for objects", "crash in C_FindObjects", problem.DriverFailed, 0},
		{"it crashes when it reads an object", "crash in C_GetAttributeValue", problem.DriverFailed, 0},
		{"it crashes in a log-in", "crash in C_Login", problem.DriverFailed, 1},
		{"it crashes before a signature", "crash in C_SignInit", problem.DriverFailed, 1},
		{"it crashes in a signature", "crash in C_Sign", problem.DriverFailed, 1},
		{"it crashes when it ends", "crash in C_Finalize", "", 1},
		{"it ends its process when it is loaded", "exit in C_Initialize", problem.DriverFailed, 0},
		{"it ends its process in a signature", "exit in C_Sign", problem.DriverFailed, 1},
		{"it hangs when it is loaded", "hang in C_Initialize", problem.DriverFailed, 0},
		{"it hangs when it looks for objects", "hang in C_FindObjects", problem.DriverFailed, 0},
		{"it hangs in a log-in", "hang in C_Login", problem.DriverFailed, 1},
		{"it hangs in a signature", "hang in C_Sign", problem.DriverFailed, 1},
		{"it hangs when it ends", "hang in C_Finalize", "", 1},
		{"it has no functions", "functions that are nowhere", problem.DriverFailed, 0},
		{"its signature has no octets", "a signature of no octets", problem.DriverFailed, 1},
		{"its signature has no end", "a signature without end", problem.DriverFailed, 1},
		{"its signature has four gigabytes", "a signature of four gigabytes", problem.DriverFailed, 1},
		{"its signature is too short", "a signature that is too short", problem.DriverFailed, 1},
		{"its signature is too long", "a signature that is too long", problem.DriverFailed, 1},
		{"its signature is zeros", "a signature of zeros", problem.DriverFailed, 1},
		{"its signature is noise", "a signature of noise", problem.DriverFailed, 1},
	} {
		s.Run(c.name, func() {
			good := s.made(agent.P256)
			bad := s.faulty()
			s.T().Setenv("SHIM_FAULT", c.fault)
			s.within("signing", func() { s.code(c.want, s.trySign(bad)) })
			s.Equal(c.logIns, s.count("C_Login"), "log-ins")
			s.unharmed(good)
			s.T().Setenv("SHIM_FAULT", "")
			s.NoError(s.trySign(bad), "without the fault it works again")
		})
	}
}

func (s *tokenSuite) TestADriverThatTalksNonsenseHidesNoOther() {
	for _, fault := range nonsense {
		s.Run(fault, func() {
			good := s.made(agent.P256)
			bad := s.faulty()
			s.T().Setenv("SHIM_FAULT", fault)
			s.within("places", func() {
				places, err := s.rig.Store().(agent.Placer).Places(s.ctx)
				s.NoError(err)
				for _, place := range places {
					s.printable(place.Label, place.Detail)
				}
			})
			s.within("signing", func() {
				// Whatever such a driver seems to have: a signature comes out right or not at all.
				if err := s.trySign(bad); err != nil {
					s.Contains([]problem.Code{problem.DriverFailed, problem.TokenAbsent, problem.KeyAbsent, problem.Unsupported},
						problem.CodeOf(err), "%v", err)
				}
			})
			s.unharmed(good)
			s.T().Setenv("SHIM_FAULT", "")
			s.NoError(s.trySign(bad), "without the fault it works again")
		})
	}
}

func (s *tokenSuite) TestADriverThatFailsWhileItWritesLeavesNothing() {
	for _, c := range []struct {
		name  string
		fault string
		op    func(agent.Key) error
	}{
		{"it crashes while it makes a key", "crash in C_GenerateKeyPair", s.generateBeside},
		{"it hangs while it makes a key", "hang in C_GenerateKeyPair", s.generateBeside},
		{"it crashes while it stores a certificate", "crash in C_CreateObject", s.attachTo},
	} {
		s.Run(c.name, func() {
			good := s.made(agent.P256)
			bad := s.faulty()
			conf := strings.TrimPrefix(os.Getenv("SHIM_SETTING"), "SOFTHSM2_CONF=")
			before := s.objects(conf)
			s.T().Setenv("SHIM_FAULT", c.fault)
			s.code(problem.DriverFailed, c.op(bad))
			s.unharmed(good)
			s.Equal(before, s.objects(conf), "the token holds what it held")
			s.T().Setenv("SHIM_FAULT", "")
			s.NoError(c.op(bad), "without the fault it works")
		})
	}
}

// generateBeside makes another key on the token of that one.
func (s *tokenSuite) generateBeside(key agent.Key) error {
	store := s.rig.Store()
	_, session, err := store.Generate(s.ctx, agent.GenerateRequest{Place: key.Place, Algorithm: agent.P256, Label: "klucz"},
		agent.NewConsent(store.Name(), key.Place, 1), s.pin().ask)
	if err == nil {
		s.NoError(session.Close())
	}
	return err
}

func (s *tokenSuite) attachTo(key agent.Key) error {
	return s.rig.Store().(agent.Attacher).Attach(s.ctx, key.ID, s.certify(key.Public), s.pin().ask)
}

// objects is what pkcs11-tool sees on the token that a configuration of SoftHSM2 has.
func (s *tokenSuite) objects(conf string) string {
	cmd := exec.Command(testtool.Need(s.T(), "pkcs11-tool"), "--module", softHSM, "--list-objects", "--login", "--pin", tokenPIN)
	cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+conf)
	out, err := cmd.Output()
	s.Require().NoError(err)
	return string(out)
}

func (s *tokenSuite) TestADriverThatEatsAllMemoryIsEnded() {
	for _, function := range []string{"C_GetSlotList", "C_Sign"} {
		s.Run(function, func() {
			good := s.made(agent.P256)
			bad := s.faulty()
			shim := filepath.Join(s.shims, "faults.so")
			s.token.tune = func(c *pkcs11.Config) { c.Modules, c.Timeout = []string{shim, softHSM}, time.Minute }
			s.T().Setenv("SHIM_FAULT", "leak in "+function)
			err := s.trySign(bad)
			s.code(problem.DriverFailed, err)
			s.ErrorContains(err, "crashed", "before the time is over, and before the computer's memory is")
			s.T().Setenv("SHIM_FAULT", "")
			s.NoError(s.trySign(bad))
			s.NoError(s.trySign(good))
		})
	}
}
