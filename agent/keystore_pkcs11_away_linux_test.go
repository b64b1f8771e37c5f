package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"certsign/agent"
	"certsign/internal/problem"
)

// away prepares a token with one key and a driver that takes it out at a function's call. putBack puts it in again.
func (s *tokenSuite) away(function string, back bool) (key agent.Key, putBack func()) {
	key = s.made(agent.P256)
	entries, err := os.ReadDir(s.token.tokens)
	s.Require().NoError(err)
	folder, aside := filepath.Join(s.token.tokens, entries[0].Name()), s.token.tokens+" aside"
	s.shim("away")
	s.T().Setenv("SHIM_TOKEN", folder)
	s.T().Setenv("SHIM_ASIDE", aside)
	s.T().Setenv("SHIM_AWAY", function)
	if back {
		s.T().Setenv("SHIM_BACK", "1")
	}
	return key, func() {
		if err := os.Rename(aside, folder); !errors.Is(err, os.ErrNotExist) {
			s.NoError(err)
		}
		s.T().Setenv("SHIM_AWAY", "")
	}
}

// TestATokenTakenOutAtAnyStep takes the token out before each function that an operation calls, and leaves it out or puts
// it in again at once. What the driver still has in memory may succeed; nothing may be half done.
func (s *tokenSuite) TestATokenTakenOutAtAnyStep() {
	deleteKey := func(key agent.Key) error {
		return s.rig.Store().(agent.Deleter).Delete(s.ctx, key.ID, s.pin().ask)
	}
	find := []string{"C_GetSlotList", "C_GetTokenInfo", "C_OpenSession", "C_FindObjectsInit", "C_GetAttributeValue"}
	for _, op := range []struct {
		name  string
		do    func(agent.Key) error
		steps []string // in the order of their first calls
	}{
		{"signing", s.trySign, append(find[:5:5], "C_Login", "C_SignInit", "C_Sign")},
		{"storing a certificate", s.attachTo, append(find[:5:5], "C_Login", "C_CreateObject")},
		{"deleting", deleteKey, append(find[:5:5], "C_Login", "C_DestroyObject")},
		{"making a key", s.generateBeside, append(find[:3:3], "C_Login", "C_GenerateKeyPair", "C_GetAttributeValue", "C_SetAttributeValue")},
	} {
		for i, function := range op.steps {
			for _, back := range []bool{false, true} {
				name := op.name + ", out at " + function
				if back {
					name += " and in again"
				}
				s.Run(name, func() {
					key, putBack := s.away(function, back)
					conf := os.Getenv("SOFTHSM2_CONF")
					before := s.objects(conf)
					err := op.do(key)
					putBack()
					s.LessOrEqual(s.count("C_Login"), 1)
					if err != nil && i < slices.Index(op.steps, "C_Login")-1 {
						s.Equal(0, s.count("C_Login"), "the token is missed before the PIN goes anywhere")
					}
					s.Equal(agent.PINOK, s.place().State, "no try was spent")
					switch {
					case err != nil && back:
						s.Contains([]problem.Code{problem.TokenAbsent, problem.KeyAbsent, problem.DriverFailed}, problem.CodeOf(err), "%v", err)
					case err != nil || !back && i < 2:
						s.code(problem.TokenAbsent, err)
					}
					keys, listErr := s.rig.Store().List(s.ctx)
					s.NoError(listErr)
					if err != nil && op.name == "making a key" && function == "C_GetAttributeValue" {
						// The key was made, and the token out before it could be discarded: it is whole, and listed.
						s.Require().Len(keys, 2)
						for _, k := range keys {
							if k.ID != key.ID {
								s.NoError(s.trySign(k))
								s.NoError(deleteKey(k))
							}
						}
						keys = []agent.Key{key}
					}
					if err != nil {
						s.Equal(before, s.objects(conf), "nothing is half done")
					}
					for _, k := range keys {
						s.NoError(s.trySign(k), "every key that is listed signs")
					}
				})
			}
		}
	}
}
