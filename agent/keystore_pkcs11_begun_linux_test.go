package agent_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"

	"certsign/agent"
	"certsign/agent/home"
	"certsign/agent/keystore/pkcs11"
	p11wire "certsign/agent/keystore/pkcs11/wire"
	"certsign/internal/problem"
)

// keeping gives the store the folder in which it notes which keys are being made.
func (s *tokenSuite) keeping() *home.Dir {
	s.T().Helper()
	dir, err := home.Open(filepath.Join(s.T().TempDir(), "certsign"))
	s.Require().NoError(err)
	tune := s.token.tune
	s.token.tune = func(c *pkcs11.Config) {
		if tune != nil {
			tune(c)
		}
		c.Home = dir
	}
	return dir
}

// notes returns what is in that folder.
func (s *tokenSuite) notes(dir *home.Dir) []string {
	found, err := filepath.Glob(dir.Path("begun", "*"))
	s.Require().NoError(err)
	return found
}

func (s *tokenSuite) TestAKeyThatWasNeverFinishedIsDeletedWhenItsTokenIsNextWrittenTo() {
	for _, c := range []struct {
		name  string
		fault string
		next  func(made, unfinished agent.Key) error
	}{
		{"the driver crashed when the key was made, and another one is", "crash in C_GenerateKeyPair's end", nil},
		{"the driver hung when the key was made", "hang in C_GenerateKeyPair's end", nil},
		{"the driver crashed before the key was read", "crash in C_GetAttributeValue", nil},
		{"the driver crashed before the key had its lasting ID", "crash in the first C_SetAttributeValue", nil},
		{"the driver crashed when half the key had its lasting ID", "crash in the second C_SetAttributeValue", nil},
		{"the driver crashed when the whole key had it", "crash in the second C_SetAttributeValue's end", nil},
		{"the person deletes it", "crash in the second C_SetAttributeValue's end", func(_, unfinished agent.Key) error {
			return s.rig.Store().(agent.Deleter).Delete(s.ctx, unfinished.ID, s.pin().ask)
		}},
		{"the person deletes another one", "crash in C_GenerateKeyPair's end", func(made, _ agent.Key) error {
			return s.rig.Store().(agent.Deleter).Delete(s.ctx, made.ID, s.pin().ask)
		}},
	} {
		s.Run(c.name, func() {
			bad := s.faulty()
			dir := s.keeping()
			conf := strings.TrimPrefix(os.Getenv("SHIM_SETTING"), "SOFTHSM2_CONF=")
			s.T().Setenv("SHIM_FAULT", c.fault)
			s.code(problem.DriverFailed, s.generateBeside(bad))
			s.T().Setenv("SHIM_FAULT", "")
			s.Contains(s.objects(conf), "Private Key Object", "a key was left")
			s.NotEmpty(s.notes(dir))

			keys := s.faultyKeys(bad)
			if c.next == nil {
				s.Require().NoError(s.generateBeside(bad))
				s.Len(s.faultyKeys(bad), 2, "the one from before and the new one")
				s.Equal(2, strings.Count(s.objects(conf), "Private Key Object"))
				s.NoError(s.trySign(bad), "the key from before is not touched")
			} else {
				s.Require().Len(keys, 2)
				unfinished := keys[0]
				if unfinished.ID == bad.ID {
					unfinished = keys[1]
				}
				before := strings.Count(s.objects(conf), "Private Key Object")
				s.Require().NoError(c.next(bad, unfinished))
				s.Equal(2, before)
				if c.fault == "crash in C_GenerateKeyPair's end" {
					s.NotContains(s.objects(conf), "Private Key Object")
				} else {
					s.Equal(1, strings.Count(s.objects(conf), "Private Key Object"))
					s.NoError(s.trySign(bad))
				}
			}
			s.Empty(s.notes(dir), "nothing is left to be done")
		})
	}
}

// faultyKeys are the keys on the token of that one.
func (s *tokenSuite) faultyKeys(key agent.Key) []agent.Key {
	keys, err := s.rig.Store().List(s.ctx)
	s.Require().NoError(err)
	var all []agent.Key
	for _, k := range keys {
		if k.Place == key.Place {
			all = append(all, k)
		}
	}
	return all
}

func (s *tokenSuite) TestAKeyThatIsFinishedOrCertifiedIsNeverClearedAway() {
	dir := s.keeping()
	key := s.made(agent.P256)
	s.Empty(s.notes(dir), "a finished key has no note")

	// A note that comes back, as out of a backup, names a key that has a certificate by now.
	place := key.Place
	s.Require().NoError(s.rig.Store().(agent.Attacher).Attach(s.ctx, key.ID, s.certify(key.Public), s.pin().ask))
	id, err := p11wire.KeyID(key.Public)
	s.Require().NoError(err)
	note := `{"keys":[{"id":"` + base64.StdEncoding.EncodeToString(id) + `","public":{"class":"public"}}]}`
	s.Require().NoError(os.WriteFile(dir.Path("begun", place+".00.json"), []byte(note), 0o600))
	s.Require().NoError(s.tryGenerate(s.pin()))
	s.NoError(s.trySign(key))
	s.Empty(s.notes(dir))

	// Another process is making a key: its note is locked.
	s.Require().NoError(os.WriteFile(dir.Path("begun", place+".01.json"), []byte(note), 0o600))
	lock, err := dir.TryLock("begun/" + place + ".01.lock")
	s.Require().NoError(err)
	s.Require().NoError(s.tryGenerate(s.pin()))
	s.Len(s.notes(dir), 2, "the note and its lock stay")
	lock.Unlock()
	s.NoError(s.trySign(key))
}
