package agent_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stretchr/testify/suite"

	"certsign/agent"
	"certsign/agent/home"
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
		if len(ends) > 0 { // a TPM counts a stop without notice as a wrong PIN (TPM 2.0 Library, part 1, on dictionary attacks)
			out, err := exec.Command(testtool.Need(t, "tpm2_shutdown"), "--clear").CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
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

// lastingRig is a rig with one store for its whole life, as the agent has one.
type lastingRig struct {
	rig
	store agent.KeyStore
}

func (r lastingRig) Store() agent.KeyStore { return r.store }

// A TPM that stops is out of reach of a store that has seen it: no PIN is lost on it, and nothing left in it.
func TestATPMThatStopsIsATokenTakenAwayAndWorksAgainAfterwards(t *testing.T) {
	d, helper := newTPM(t), moduleProcess(t)
	log, shims := filepath.Join(t.TempDir(), "log"), t.TempDir()
	s := &tokenSuite{helper: helper, log: log}
	s.fresh = func(t *testing.T) rig {
		r := d.fresh(t, helper)
		t.Setenv("SHIM_MODULE", d.module)
		t.Setenv("SHIM_LOG", log)
		config := r.Where().PKCS11
		config.Modules = []string{builtShim(t, shims, "away")} // which writes down what is called
		dir, err := home.Open(filepath.Join(t.TempDir(), "certsign"))
		require.NoError(t, err)
		config.Home = dir
		return lastingRig{r, pkcs11.New(*config)}
	}
	s.SetT(t)
	s.SetupTest()
	key := s.made(agent.P256)
	s.whole(key)
	back := func() {
		d.start()
		s.Equal(0, d.wrongPINs(t), "no try was spent")
		s.whole(key)
	}
	t.Run("between opening and signing", func(t *testing.T) {
		session, err := s.open(key, 2, s.pin())
		require.NoError(t, err)
		require.NoError(t, s.sign(session))
		d.stop()
		s.code(problem.TokenAbsent, s.sign(session))
		require.NoError(t, session.Close())
		back()
	})
	for name, op := range s.operations(key) {
		t.Run("before "+name, func(t *testing.T) {
			d.stop()
			logIns, pin := s.count("C_Login"), s.pin()
			s.code(problem.TokenAbsent, op(pin.ask))
			s.Empty(pin.asked)
			s.Equal(logIns, s.count("C_Login"))
			back()
		})
		t.Run(name+", while the PIN is asked for", func(t *testing.T) {
			logIns, pin := s.count("C_Login"), s.pin()
			s.code(problem.TokenAbsent, op(func(ctx context.Context, req agent.PINRequest) (*agent.Secret, error) {
				d.stop()
				return pin.ask(ctx, req)
			}))
			s.wiped(pin)
			s.LessOrEqual(s.count("C_Login"), logIns+1)
			back()
		})
	}
}

// wrongPINs is how many wrong PINs the TPM counts.
func (*tpm) wrongPINs(t *testing.T) int {
	t.Helper()
	out, err := exec.Command(testtool.Need(t, "tpm2_getcap"), "properties-variable").Output()
	require.NoError(t, err)
	found := regexp.MustCompile(`TPM2_PT_LOCKOUT_COUNTER: 0x([0-9A-Fa-f]+)`).FindSubmatch(out)
	require.NotNil(t, found, "%s", out)
	n, err := strconv.ParseInt(string(found[1]), 16, 32)
	require.NoError(t, err)
	return int(n)
}
