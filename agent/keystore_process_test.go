package agent_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"certsign/agent"
)

// steps are a key's life, each step in a process of its own that knows only the key's ID.
var steps = []struct {
	name string
	run  func(s *bench, id string) string
}{
	{"it is generated", func(s *bench, _ string) string {
		key, session := s.generate(s.algorithm(), 1)
		_, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, session)
		s.Require().NoError(err)
		s.Require().NoError(session.Close())
		return key.ID
	}},
	{"it is listed without a certificate", func(s *bench, id string) string {
		key := s.only(id)
		s.Equal("Zgłoszenia celne", key.Label)
		s.Equal(s.algorithm(), key.Algorithm)
		s.Empty(key.Chain)
		return id
	}},
	{"its certificate is attached", func(s *bench, id string) string {
		s.Require().NoError(s.rig.Store().(agent.Attacher).Attach(s.ctx, id, s.certify(s.only(id).Public), s.pin().ask))
		return id
	}},
	{"it signs", func(s *bench, id string) string {
		key := s.only(id)
		s.Require().Len(key.Chain, 2)
		leaf, err := x509.ParseCertificate(key.Chain[0])
		s.Require().NoError(err)
		s.Equal(leaf.PublicKey, key.Public)
		s.signs(key)
		return id
	}},
	{"it is deleted", func(s *bench, id string) string {
		s.Require().NoError(s.rig.Store().(agent.Deleter).Delete(s.ctx, id, s.pin().ask))
		return id
	}},
	{"it stays deleted", func(s *bench, id string) string {
		keys, err := s.rig.Store().List(s.ctx)
		s.NoError(err)
		s.Empty(keys)
		return id
	}},
}

func (s *storeSuite) TestAKeyOutlivesProcessesAndItsDeletionLasts() { s.liveOverProcesses(nil) }

// stepRig is what the process of a step knows.
type stepRig struct {
	rig
	At       where
	Password string
	Step, ID string
}

func (r *stepRig) Store() agent.KeyStore { return r.At.open() }
func (r *stepRig) PIN() string           { return r.Password }

const stepVariable = "CERTSIGN_TEST_STEP"

// liveOverProcesses takes a key through its life. after, when not nil, is called after each step.
func (s *bench) liveOverProcesses(after func(step string)) {
	self, err := os.Executable()
	s.Require().NoError(err)
	id := ""
	for _, step := range steps {
		encoded, err := json.Marshal(stepRig{At: s.rig.Where(), Password: s.rig.PIN(), Step: step.name, ID: id})
		s.Require().NoError(err)
		cmd := exec.Command(self, "-test.run=^TestAStepInAKeysLife$", "-test.count=1")
		cmd.Env = append(os.Environ(), stepVariable+"="+string(encoded))
		out, err := cmd.CombinedOutput()
		s.Require().NoError(err, "%s:\n%s", step.name, out)
		found := regexp.MustCompile(`(?m)^key (\S+)\r?$`).FindSubmatch(out)
		s.Require().NotNil(found, "%s:\n%s", step.name, out)
		if id = string(found[1]); after != nil {
			after(step.name)
		}
	}
}

func TestAStepInAKeysLife(t *testing.T) {
	encoded := os.Getenv(stepVariable)
	if encoded == "" {
		t.Skip("run by the stores' contract, in processes of its own")
	}
	var r stepRig
	require.NoError(t, json.Unmarshal([]byte(encoded), &r))
	s := &bench{rig: &r, ctx: t.Context()}
	s.SetT(t)
	for _, step := range steps {
		if step.name == r.Step {
			fmt.Printf("\nkey %s\n", step.run(s, r.ID))
		}
	}
}
