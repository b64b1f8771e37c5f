package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

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

// awayStep is a function at which the token is taken out, and what the operation ends with when the token stays away and
// when it is back after the call; "" is that the driver still has in memory what it needs.
type awayStep struct {
	function  string
	out, back problem.Code
}

// TestATokenTakenOutAtAnyStep takes the token out before each function that an operation calls. A token that is gone is
// token_absent, whatever its driver says. One that is there again is what the driver says: it has forgotten its handles. No
// PIN goes anywhere when the token is missed before, and nothing is left half done.
func (s *tokenSuite) TestATokenTakenOutAtAnyStep() {
	const absent, failed, forgotten = problem.TokenAbsent, problem.DriverFailed, problem.KeyAbsent
	reach := []awayStep{{"C_GetSlotList", absent, ""}, {"C_GetTokenInfo", absent, absent}, {"C_OpenSession", absent, ""}}
	find := append(reach[:3:3], awayStep{"C_FindObjectsInit", absent, failed}, awayStep{"C_GetAttributeValue", absent, failed})
	logIn := awayStep{"C_Login", absent, failed}
	deleteKey := func(key agent.Key) error {
		return s.rig.Store().(agent.Deleter).Delete(s.ctx, key.ID, s.pin().ask)
	}
	for _, op := range []struct {
		name  string
		do    func(agent.Key) error
		steps []awayStep // in the order of their first calls
	}{
		{"signing", s.trySign, append(find[:5:5], logIn, awayStep{"C_SignInit", absent, forgotten}, awayStep{"C_Sign", "", ""})},
		{"storing a certificate", s.attachTo, append(find[:5:5], logIn, awayStep{"C_CreateObject", absent, failed})},
		{"deleting", deleteKey, append(find[:5:5], logIn, awayStep{"C_DestroyObject", absent, forgotten})},
		{"making a key", s.generateBeside, append(reach[:3:3], logIn, awayStep{"C_GenerateKeyPair", absent, failed},
			awayStep{"C_GetAttributeValue", absent, forgotten}, awayStep{"C_SetAttributeValue", "", ""})},
	} {
		logIns := 0
		for _, step := range op.steps {
			if step == logIn {
				logIns = 1
			}
			for _, back := range []bool{false, true} {
				name, want := op.name+", out at "+step.function, step.out
				if back {
					name, want = name+" and in again", step.back
				}
				s.Run(name, func() {
					key, putBack := s.away(step.function, back)
					notes := s.keeping()
					conf := os.Getenv("SOFTHSM2_CONF")
					before := s.objects(conf)
					err := op.do(key)
					putBack()
					s.code(want, err)
					if err != nil {
						s.Equal(logIns, s.count("C_Login"))
					} else {
						s.Equal(1, s.count("C_Login"))
					}
					s.Equal(agent.PINOK, s.place().State, "no try was spent")
					if made := step.function == "C_GetAttributeValue"; err != nil && op.name == "making a key" && len(s.notes(notes)) > 0 {
						// Where the token was out before a key that was made could be discarded, the next one who writes discards it.
						s.Equal(made, s.objects(conf) != before)
						s.Require().NoError(s.generateBeside(key))
						s.Equal(2, strings.Count(s.objects(conf), "Private Key Object"), "the key from before and the new one")
						for _, k := range s.faultyKeys(key) {
							if k.ID != key.ID {
								s.Require().NoError(deleteKey(k))
							}
						}
						s.Empty(s.notes(notes))
					}
					if err != nil {
						s.Equal(before, s.objects(conf), "nothing is half done")
					}
					for _, k := range s.faultyKeys(key) {
						s.NoError(s.trySign(k), "every key that is listed signs")
					}
				})
			}
		}
	}
}
