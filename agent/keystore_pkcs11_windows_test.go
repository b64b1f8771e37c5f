package agent_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stretchr/testify/suite"

	"certsign/agent"
	"certsign/agent/keystore/pkcs11"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

// folderToken is the token of testdata/pkcs11/token.c: a folder, with its keys in containers of CAPI's own provider.
type folderToken struct {
	built   string // where testdata/pkcs11/build put the programs
	dir     string
	modules []string
	timeout time.Duration
}

const folderPIN = "Pin-2468"

// newFolderToken makes a token. The module process finds it through the environment that it inherits.
func newFolderToken(t *testing.T) *folderToken {
	t.Helper()
	built := os.Getenv("CERTSIGN_WINDOWS")
	if built == "" {
		testtool.Missing(t, "CERTSIGN_WINDOWS does not name the folder that testdata/pkcs11/build filled")
	}
	built, err := filepath.Abs(built)
	require.NoError(t, err)
	r := &folderToken{built: built, dir: filepath.Join(testtool.TempDir(t), "token")}
	r.modules = []string{r.dll(t, "token")}
	require.NoError(t, os.Mkdir(r.dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "token"),
		[]byte(strings.Join([]string{"Moja karta", rand.Text()[:16], folderPIN, "3", "Puk-13579", ""}, "\n")), 0o600))
	t.Setenv("TOKEN_DIR", r.dir)
	t.Setenv("SHIM_MODULE", r.modules[0])
	t.Cleanup(func() { r.empty(t) })
	return r
}

// dll returns the path of one of the test modules.
func (r *folderToken) dll(t *testing.T, name string) string {
	return testtool.File(t, filepath.Join(r.built, name+".dll"))
}

// empty deletes the keys, which would otherwise stay in the person's containers.
func (r *folderToken) empty(t *testing.T) {
	if _, err := os.Stat(r.dir + " away"); err == nil {
		require.NoError(t, os.Rename(r.dir+" away", r.dir))
	}
	r.modules, r.timeout = []string{r.dll(t, "token")}, 0
	b, err := os.ReadFile(filepath.Join(r.dir, "token"))
	require.NoError(t, err)
	pin := &pins{answer: strings.Split(string(b), "\n")[2]} // as it is now
	store := r.Store()
	keys, err := store.List(context.Background())
	require.NoError(t, err)
	for _, key := range keys {
		require.NoError(t, store.(agent.Deleter).Delete(context.Background(), key.ID, pin.ask))
	}
}

func (r *folderToken) Where() where {
	return where{PKCS11: &pkcs11.Config{
		Helper: filepath.Join(r.built, "certsign-pkcs11.exe"), Modules: r.modules, OnlyModules: true, Timeout: r.timeout,
	}}
}

func (r *folderToken) Store() agent.KeyStore { return r.Where().open() }

func (*folderToken) PIN() string      { return folderPIN }
func (*folderToken) WrongPIN() string { return "Pin-1111" }

func (r *folderToken) Remove(t *testing.T) func() { return moved(t, r.dir) }

// Lock gives wrong PINs until the token takes none.
func (r *folderToken) Lock(t *testing.T) {
	wrongPINs(t, r, 3)
	path := filepath.Join(r.dir, "token")
	t.Cleanup(func() { // before the keys are deleted
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, bytes.Replace(b, []byte("\n0\n"), []byte("\n3\n"), 1), 0o600))
	})
}

func (*folderToken) Lacks() map[string]string {
	const pkcs1, rsa = "the test module has no CKM_RSA_PKCS_PSS", "the test module has no CKM_EC_KEY_PAIR_GEN and no CKM_ECDSA"
	return map[string]string{
		string(agent.CheckPSS256): pkcs1, string(agent.CheckPSS384): pkcs1, string(agent.CheckPSS512): pkcs1,
		string(agent.P256): rsa, string(agent.P384): rsa,
	}
}

func TestPKCS11WindowsStore(t *testing.T) {
	suite.Run(t, &storeSuite{bench{fresh: func(t *testing.T) rig { return newFolderToken(t) }}})
}

// folderSuite is what drivers do on Windows on a bad day.
type folderSuite struct {
	bench
	token *folderToken
}

func TestPKCS11WindowsDrivers(t *testing.T) {
	s := &folderSuite{}
	s.fresh = func(t *testing.T) rig {
		s.token = newFolderToken(t)
		return s.token
	}
	suite.Run(t, s)
}

// trySign opens a key and signs once, through that module.
func (s *folderSuite) trySign(key agent.Key, module string) error {
	s.token.modules = []string{s.token.dll(s.T(), module)}
	store := s.rig.Store()
	session, err := store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, 1), s.pin().ask)
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

func (s *folderSuite) TestADriverThatFailsCostsAnErrorAndNoMore() {
	for _, c := range []struct {
		name  string
		shim  string
		fault string
		want  problem.Code
	}{
		{"it crashes while it signs", "faults", "crash in C_Sign", problem.DriverFailed},
		{"it hangs while it signs", "faults", "hang in C_Sign", problem.DriverFailed},
		{"it ends its process", "faults", "exit in C_Sign", problem.DriverFailed},
		{"it crashes while it logs in", "faults", "crash in C_Login", problem.DriverFailed},
		{"it hangs when it is asked for its tokens", "faults", "hang in C_GetSlotList", problem.DriverFailed},
		{"it has no functions", "faults", "functions that are nowhere", problem.DriverFailed},
		{"it counts slots without number", "faults", "slots without number", problem.DriverFailed},
		{"its signature is without end", "faults", "a signature without end", problem.DriverFailed},
		{"its signature is noise", "faults", "a signature of noise", problem.DriverFailed},
		{"its signature is wrong", "wrong", "", problem.DriverFailed},
		{"the card is pulled out", "removed", "", problem.TokenAbsent},
	} {
		s.Run(c.name, func() {
			key := s.made(agent.RSA2048)
			s.token.timeout = 5 * time.Second
			s.T().Setenv("SHIM_FAULT", c.fault)
			start := time.Now()
			s.code(c.want, s.trySign(key, c.shim))
			s.Less(time.Since(start), 20*time.Second, "it answers within its limit, and no dialog waits for a person")
			s.NoError(s.trySign(key, "token"), "the next signature is made")
		})
	}
}

func (s *folderSuite) TestADriverThatTalksNonsenseHidesNoOther() {
	key := s.made(agent.RSA2048)
	other := filepath.Join(testtool.TempDir(s.T()), "token") // the faulty driver has a token of its own
	s.Require().NoError(os.Mkdir(other, 0o700))
	s.Require().NoError(os.WriteFile(filepath.Join(other, "token"), []byte("Inna karta\n0123456789\n"+folderPIN+"\n3\nPuk-13579\n"), 0o600))
	s.T().Setenv("SHIM_SETTING", "TOKEN_DIR="+other)
	s.token.timeout = 10 * time.Second
	for _, fault := range nonsense {
		s.T().Setenv("SHIM_FAULT", fault)
		s.token.modules = []string{s.token.dll(s.T(), "faults"), s.token.dll(s.T(), "token")}
		keys, err := s.rig.Store().List(s.ctx)
		s.NoError(err, fault)
		s.True(slices.ContainsFunc(keys, func(k agent.Key) bool { return k.ID == key.ID }), fault)
	}
}

func (s *folderSuite) TestALibraryInTheCurrentFolderIsNotTakenForOneOfTheDrivers() {
	log := filepath.Join(testtool.TempDir(s.T()), "log")
	s.T().Setenv("SHIM_LOG", log)
	planted, err := os.ReadFile(s.token.dll(s.T(), "token"))
	s.Require().NoError(err)
	s.token.modules = []string{s.token.dll(s.T(), "companion")}
	here := testtool.TempDir(s.T())
	s.Require().NoError(os.WriteFile(filepath.Join(here, "certsign-companion.dll"), planted, 0o600))
	s.T().Chdir(here)
	_, err = s.rig.Store().List(s.ctx)
	s.Require().NoError(err)
	b, err := os.ReadFile(log)
	s.Require().NoError(err)
	s.Contains(string(b), "no companion was found")
	s.NotContains(string(b), "a companion was found")
}

func (s *folderSuite) TestAKeyStaysOnItsTokenAndLeavesNothingThereWhenItIsDeleted() {
	key := s.made(agent.RSA2048)
	s.Equal(agent.StatedYes, key.Made.Local)
	s.Equal(agent.StatedYes, key.Made.NeverExtractable)
	s.Require().NoError(s.rig.Store().(agent.Attacher).Attach(s.ctx, key.ID, s.certify(key.Public)[:1], s.pin().ask))
	s.Require().NoError(s.rig.Store().(agent.Deleter).Delete(s.ctx, key.ID, s.pin().ask))
	entries, err := os.ReadDir(s.token.dir)
	s.Require().NoError(err)
	s.Len(entries, 1, "no object is left")
}
