package agent_test

import (
	"bufio"
	"crypto"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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

const tpmModule = "/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so"

// tpm is a TPM 2.0 in software (swtpm) behind its resource manager, on a message bus of its own. A token of tpm2-pkcs11 is
// a database whose keys only this TPM can use; each test gets a copy of the same blank one.
type tpm struct {
	module string
	blank  string // the folder of the blank token
	start  func() // starts the programs
	stop   func() // and stops them
}

// freePair returns two free ports side by side: swtpm's control channel must be the next one.
func freePair(t *testing.T) int {
	t.Helper()
	for range 50 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		port := first.Addr().(*net.TCPAddr).Port
		second, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		_ = first.Close()
		if err == nil {
			_ = second.Close()
			return port
		}
	}
	t.Fatal("no two free ports side by side")
	return 0
}

// running starts a program that runs until end is called.
func running(t *testing.T, path string, args ...string) (end func()) {
	t.Helper()
	cmd := exec.Command(path, args...)
	require.NoError(t, cmd.Start())
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// startBus starts a message bus and tells the programs that follow where it is.
func startBus(t *testing.T) {
	t.Helper()
	cmd := exec.Command(testtool.Need(t, "dbus-daemon"), "--session", "--nofork", "--print-address")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", strings.TrimSpace(address))
}

func newTPM(t *testing.T) *tpm {
	t.Helper()
	dir := testtool.TempDir(t)
	state := filepath.Join(dir, "state")
	d := &tpm{module: testtool.File(t, tpmModule), blank: filepath.Join(dir, "blank")}
	require.NoError(t, os.Mkdir(state, 0o700))
	require.NoError(t, os.Mkdir(d.blank, 0o700))
	swtpm, broker, ptool := testtool.Need(t, "swtpm"), testtool.Need(t, "tpm2-abrmd"), testtool.Need(t, "tpm2_ptool")
	startBus(t)
	t.Setenv("TPM2_PKCS11_TCTI", "tabrmd:bus_type=session")
	t.Setenv("TPM2TOOLS_TCTI", "tabrmd:bus_type=session")
	t.Setenv("TPM2_PKCS11_STORE", d.blank)
	port := freePair(t)
	var ends []func()
	d.start = func() {
		ends = append(ends, running(t, swtpm, "socket", "--tpm2", "--tpmstate", "dir="+state,
			"--server", fmt.Sprintf("type=tcp,port=%d", port), "--ctrl", fmt.Sprintf("type=tcp,port=%d", port+1),
			"--flags", "not-need-init,startup-clear"))
		require.Eventually(t, func() bool {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		}, 10*time.Second, 20*time.Millisecond, "swtpm listens")
		ends = append(ends, running(t, broker, "--session", "--allow-root", fmt.Sprintf("--tcti=swtpm:host=127.0.0.1,port=%d", port)))
		require.Eventually(t, func() bool {
			return exec.Command(testtool.Need(t, "tpm2_getcap"), "properties-fixed").Run() == nil
		}, 20*time.Second, 100*time.Millisecond, "the TPM answers")
	}
	d.stop = func() {
		for i := len(ends) - 1; i >= 0; i-- {
			ends[i]()
		}
		ends = nil
	}
	d.start()
	t.Cleanup(func() { d.stop() })
	for _, args := range [][]string{
		{"init", "--path", d.blank},
		{"addtoken", "--pid=1", "--sopin=so-pin-1357", "--userpin=" + tokenPIN, "--label=Moja karta", "--path", d.blank},
	} {
		out, err := exec.Command(ptool, args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	return d
}

// tpmToken is a token that only the TPM can use.
type tpmToken struct {
	*tpm
	helper string
	dir    string
}

// fresh returns a blank token. The TPM counts wrong PINs of all its tokens together: the count begins anew.
func (d *tpm) fresh(t *testing.T, helper string) *tpmToken {
	t.Helper()
	out, err := exec.Command(testtool.Need(t, "tpm2_dictionarylockout"), "--clear-lockout").CombinedOutput()
	require.NoError(t, err, "%s", out)
	r := &tpmToken{tpm: d, helper: helper, dir: filepath.Join(testtool.TempDir(t), "token")}
	require.NoError(t, os.CopyFS(r.dir, os.DirFS(d.blank)))
	t.Setenv("TPM2_PKCS11_STORE", r.dir)
	return r
}

func (r *tpmToken) Where() where {
	return where{PKCS11: &pkcs11.Config{Helper: r.helper, Modules: []string{r.module}, OnlyModules: true}}
}

func (r *tpmToken) Store() agent.KeyStore { return r.Where().open() }

func (*tpmToken) PIN() string      { return tokenPIN }
func (*tpmToken) WrongPIN() string { return "Pin-1111" }

// Remove takes the database away; the module makes an empty one.
func (r *tpmToken) Remove(t *testing.T) func() {
	return moved(t, filepath.Join(r.dir, "tpm2_pkcs11.sqlite3"))
}

// Lock gives wrong PINs until the TPM takes none.
func (r *tpmToken) Lock(t *testing.T) {
	tries := func(n int) {
		out, err := exec.Command(testtool.Need(t, "tpm2_dictionarylockout"), "--setup-parameters", fmt.Sprintf("--max-tries=%d", n),
			"--recovery-time=1000", "--lockout-recovery-time=1000").CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	tries(1)
	t.Cleanup(func() { tries(32) })
	wrongPINs(t, r, 1)
}

func (*tpmToken) Lacks() map[string]string {
	return map[string]string{missing: "the module has read its database; a TPM that stops has a test of its own"}
}

func TestPKCS11StoreWithTPM(t *testing.T) {
	d, helper := newTPM(t), moduleProcess(t)
	suite.Run(t, &storeSuite{bench{fresh: func(t *testing.T) rig { return d.fresh(t, helper) }}})
}

func TestATPMThatStopsIsATokenTakenAwayAndWorksAgainAfterwards(t *testing.T) {
	d, helper := newTPM(t), moduleProcess(t)
	s := &bench{fresh: func(t *testing.T) rig { return d.fresh(t, helper) }}
	s.SetT(t)
	s.SetupTest()
	key := s.made(agent.P256)
	store := s.rig.Store()
	open := func() (agent.Session, error) {
		return store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, 2), s.pin().ask)
	}
	digest := digestOf(crypto.SHA256, "x")
	session, err := open()
	require.NoError(t, err)
	_, err = session.Sign(rand.Reader, digest, crypto.SHA256)
	require.NoError(t, err)

	d.stop()
	_, err = session.Sign(rand.Reader, digest, crypto.SHA256)
	s.code(problem.TokenAbsent, err)
	require.NoError(t, session.Close())
	_, err = open()
	s.code(problem.TokenAbsent, err)

	d.start()
	session, err = open()
	require.NoError(t, err)
	signature, err := session.Sign(rand.Reader, digest, crypto.SHA256)
	require.NoError(t, err)
	require.NoError(t, session.Close())
	requireSignature(t, key.Public, crypto.SHA256, digest, signature)
}
