package agent_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

const (
	tokenPUK   = "so-pin-1357"
	changedPIN = "Pin-9753"
)

// secrets answers the two questions of a change, and remembers them.
type secrets struct{ old, fresh pins }

func (s *secrets) ask(ctx context.Context, req agent.PINRequest) (*agent.Secret, error) {
	if req.New {
		return s.fresh.ask(ctx, req)
	}
	return s.old.ask(ctx, req)
}

// changePIN changes the PIN of the only token, and sees to it that each secret was asked for once and wiped.
func (s *bench) changePIN(how agent.PINChange, old, fresh string) (*secrets, error) {
	asked := &secrets{old: pins{answer: old}, fresh: pins{answer: fresh}}
	err := s.rig.Store().(agent.PINChanger).ChangePIN(s.ctx, s.place().ID, how, asked.ask)
	s.wiped(&asked.old)
	s.wiped(&asked.fresh)
	s.NotContains(fmt.Sprintf("%v %+v", err, err), fresh)
	return asked, err
}

// opens says what becomes of a log-in with a PIN.
func (s *bench) opens(key agent.Key, pin string) error {
	store := s.rig.Store()
	session, err := store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, 1), (&pins{answer: pin}).ask)
	if err == nil {
		s.NoError(session.Close())
	}
	return err
}

func TestAPINIsChangedOnEveryToken(t *testing.T) {
	helper := moduleProcess(t)
	for _, c := range []struct {
		name    string
		fresh   func(t *testing.T) rig
		unblock problem.Code // what becomes of the PUK
	}{
		{"SoftHSM2", func(t *testing.T) rig { return newSoftToken(t, helper) }, ""},
		{"NSS", func(t *testing.T) rig { return newNSSToken(t, helper) }, problem.Unsupported}, // it has no security officer
		{"TPM", func(t *testing.T) rig { return newTPM(t).fresh(t, helper) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &bench{fresh: c.fresh}
			s.SetT(t)
			s.SetupTest()
			key := s.made(s.algorithm())
			asked, err := s.changePIN(agent.PINRenew, s.rig.PIN(), changedPIN)
			require.NoError(t, err)
			req := asked.fresh.asked[0]
			s.Equal(agent.PurposePIN, asked.old.asked[0].Purpose)
			s.False(asked.old.asked[0].PUK)
			s.Positive(req.Min)
			s.LessOrEqual(req.Max, 255)
			s.Greater(req.Max, req.Min)
			s.NoError(s.opens(key, changedPIN))
			s.code(problem.PINIncorrect, s.opens(key, s.rig.PIN()))

			_, err = s.changePIN(agent.PINUnblock, tokenPUK, s.rig.PIN())
			s.code(c.unblock, err)
			if c.unblock == "" {
				s.NoError(s.opens(key, s.rig.PIN()), "the keys are still there")
			}
		})
	}
}

// spied counts the calls of a function that reach the token.
func (s *tokenSuite) spied() func(function string) int {
	log := filepath.Join(s.T().TempDir(), "spy")
	s.T().Setenv("PKCS11SPY", softHSM)
	s.T().Setenv("PKCS11SPY_OUTPUT", log)
	s.token.module = testtool.File(s.T(), spyModule)
	return func(function string) int {
		b, err := os.ReadFile(log)
		s.Require().NoError(err)
		return strings.Count(string(b), ": "+function+"\n")
	}
}

func (s *tokenSuite) TestAWrongPINOrPUKChangesNothingAndIsOneLogIn() {
	key := s.made(agent.P256)
	calls := s.spied()
	s.place()
	for i, c := range []struct {
		how        agent.PINChange
		old, fresh string
		code       problem.Code
		logIns     int
	}{
		{agent.PINRenew, s.rig.WrongPIN(), changedPIN, problem.PINIncorrect, 1},
		{agent.PINUnblock, "wrong-puk", changedPIN, problem.PINIncorrect, 2},
		{agent.PINRenew, s.rig.PIN(), "123", problem.PINUnsuitable, 2}, // shorter than the token allows
		{agent.PINRenew, s.rig.PIN(), "zażółć", problem.PINUnsuitable, 2},
		{agent.PINRenew, "1", changedPIN, problem.PINIncorrect, 2},
		{agent.PINFirst, tokenPUK, changedPIN, problem.Unsupported, 2},
		{"guess", tokenPUK, changedPIN, problem.BadRequest, 2},
	} {
		_, err := s.changePIN(c.how, c.old, c.fresh)
		s.code(c.code, err)
		s.Equal(c.logIns, calls("C_Login"), "case %d", i)
	}
	s.Zero(calls("C_SetPIN"))
	s.Zero(calls("C_InitPIN"))
	s.NoError(s.opens(key, s.rig.PIN()), "the PIN is the old one")

	_, err := s.changePIN(agent.PINUnblock, tokenPUK, changedPIN)
	s.NoError(err)
	s.Equal(1, calls("C_InitPIN"))
	s.NoError(s.opens(key, changedPIN))
}

func (s *tokenSuite) TestAPersonWhoCancelsAChangeSpendsNothing() {
	key := s.made(agent.P256)
	calls := s.spied()
	place := s.place()
	for _, asked := range []*secrets{
		{old: pins{err: problem.New(problem.UserCancelled, "")}},
		{old: pins{answer: s.rig.PIN()}, fresh: pins{err: problem.New(problem.UserCancelled, "")}},
	} {
		s.code(problem.UserCancelled, s.rig.Store().(agent.PINChanger).ChangePIN(s.ctx, place.ID, agent.PINRenew, asked.ask))
		s.wiped(&asked.old)
	}
	s.Zero(calls("C_Login"))
	s.NoError(s.opens(key, s.rig.PIN()))
}

func (s *tokenSuite) TestALockedPINIsNotChangedButUnblocked() {
	key := s.made(agent.P256)
	s.shim("locked")
	asked, err := s.changePIN(agent.PINRenew, s.rig.PIN(), changedPIN)
	s.code(problem.PINLocked, err)
	s.Empty(asked.old.asked)
	s.Zero(s.count("C_Login"))
	asked, err = s.changePIN(agent.PINUnblock, tokenPUK, changedPIN)
	s.Require().NoError(err)
	s.True(asked.old.asked[0].PUK)
	s.Equal(agent.PINOK, asked.old.asked[0].State, "of the PUK")
	s.token.module = softHSM
	s.NoError(s.opens(key, changedPIN))
}

func (s *tokenSuite) TestTheFirstPINOfABlankTokenIsSetByItsPUK() {
	entries, err := os.ReadDir(s.token.tokens)
	s.Require().NoError(err)
	s.Require().NoError(os.RemoveAll(filepath.Join(s.token.tokens, entries[0].Name())))
	out, err := exec.Command(testtool.Need(s.T(), "pkcs11-tool"), "--module", softHSM, "--init-token", "--slot-index", "0",
		"--label", "blank", "--so-pin", tokenPUK).CombinedOutput()
	s.Require().NoError(err, "%s", out)
	_, err = s.changePIN(agent.PINRenew, s.rig.PIN(), changedPIN)
	s.code(problem.PINNotSet, err)
	_, err = s.changePIN(agent.PINUnblock, tokenPUK, changedPIN)
	s.code(problem.PINNotSet, err)
	s.Equal(agent.PINUnset, s.place().State)
	_, err = s.changePIN(agent.PINFirst, tokenPUK, s.rig.PIN())
	s.Require().NoError(err)
	s.Equal(agent.PINOK, s.place().State)
	key := s.made(agent.P256)
	s.NoError(s.opens(key, s.rig.PIN()))
}

func (s *tokenSuite) TestAReadersOwnKeysTakeTheSecretsOfAChange() {
	s.made(agent.P256)
	s.shim("pinpad")
	asked, err := s.changePIN(agent.PINRenew, "not asked for", "not asked for")
	s.code(problem.UserCancelled, err)
	s.Empty(asked.old.asked, "nothing is asked for on the screen")
	s.Empty(asked.fresh.asked)
	s.Equal(1, s.count("C_Login without a PIN"))
	s.Zero(s.count("C_Login with a PIN"))
}

func (s *tokenSuite) TestATokenThatIsAwayHasNoPINToChange() {
	id := s.place().ID
	s.rig.Remove(s.T())
	asked := &secrets{}
	s.code(problem.TokenAbsent, s.rig.Store().(agent.PINChanger).ChangePIN(s.ctx, id, agent.PINRenew, asked.ask))
	s.Empty(asked.old.asked)
	s.code(problem.TokenAbsent, s.rig.Store().(agent.PINChanger).ChangePIN(s.ctx, "nobody's", agent.PINRenew, asked.ask))
}

func (s *tokenSuite) TestANewKeySaysHowItWasMade() {
	key := s.made(agent.P256)
	s.Equal(agent.Made{By: "SoftHSM project SoftHSM v2", Local: agent.StatedYes, NeverExtractable: agent.StatedYes}, key.Made)
}
