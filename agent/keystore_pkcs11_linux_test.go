package agent_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stretchr/testify/suite"

	"certsign/agent"
	"certsign/agent/keystore/pkcs11"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

const (
	softHSM   = "/usr/lib/softhsm/libsofthsm2.so"
	spyModule = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so"
	tokenPIN  = "Pin-2468"
)

// softToken is SoftHSM2 with a folder of tokens of its own.
type softToken struct {
	helper string
	tokens string
	module string
	tune   func(*pkcs11.Config)
}

// moduleProcess builds certsign-pkcs11.
func moduleProcess(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "certsign-pkcs11")
	out, err := exec.Command(testtool.Need(t, "go"), "build", "-o", path, "certsign/agent/cmd/certsign-pkcs11").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// newSoftToken sets SoftHSM2 up with one token. The module process finds it through the environment that it inherits.
func newSoftToken(t *testing.T, helper string) *softToken {
	t.Helper()
	dir := t.TempDir()
	r := &softToken{helper: helper, tokens: filepath.Join(dir, "tokens"), module: testtool.File(t, softHSM)}
	require.NoError(t, os.Mkdir(r.tokens, 0o700))
	conf := filepath.Join(dir, "softhsm2.conf")
	require.NoError(t, os.WriteFile(conf, []byte("directories.tokendir = "+r.tokens+"\nslots.removable = true\nlog.level = ERROR\n"), 0o600))
	t.Setenv("SOFTHSM2_CONF", conf)
	r.initToken(t, "Moja karta")
	return r
}

func (r *softToken) initToken(t *testing.T, label string) {
	t.Helper()
	out, err := exec.Command(testtool.Need(t, "softhsm2-util"),
		"--init-token", "--free", "--label", label, "--so-pin", "so-pin-1357", "--pin", tokenPIN).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func (r *softToken) Where() where {
	config := pkcs11.Config{Helper: r.helper, Modules: []string{r.module}, OnlyModules: true}
	if r.tune != nil {
		r.tune(&config)
	}
	return where{PKCS11: &config}
}

func (r *softToken) Store() agent.KeyStore { return r.Where().open() }

func (*softToken) PIN() string      { return tokenPIN }
func (*softToken) WrongPIN() string { return "Pin-1111" }

// Remove takes the token's own folder away, as a hand takes a card.
func (r *softToken) Remove(t *testing.T) func() {
	entries, err := os.ReadDir(r.tokens)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	return moved(t, filepath.Join(r.tokens, entries[0].Name()))
}

// Lock puts a driver before the token whose flags say that the PIN is locked: SoftHSM2 itself locks none.
func (r *softToken) Lock(t *testing.T) {
	r.module = builtShim(t, t.TempDir(), "locked")
	t.Setenv("SHIM_MODULE", softHSM)
}

func TestPKCS11Store(t *testing.T) {
	helper := moduleProcess(t)
	suite.Run(t, &storeSuite{bench{fresh: func(t *testing.T) rig { return newSoftToken(t, helper) }}})
}

// tokenSuite is what only tokens do, and what their drivers do on a bad day.
type tokenSuite struct {
	bench
	helper string
	shims  string
	token  *softToken
	log    string
}

func TestPKCS11Tokens(t *testing.T) {
	s := &tokenSuite{helper: moduleProcess(t), shims: t.TempDir()}
	s.fresh = func(t *testing.T) rig {
		s.token = newSoftToken(t, s.helper)
		s.log = filepath.Join(t.TempDir(), "log")
		return s.token
	}
	suite.Run(t, s)
}

// builtShim builds the driver of testdata/shims/NAME.c, which behaves as it says, into a folder.
func builtShim(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name+".so")
	if _, err := os.Stat(path); err != nil {
		headers, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/miekg/pkcs11").Output()
		require.NoError(t, err)
		out, err := exec.Command(testtool.Need(t, "cc"), "-shared", "-fPIC", "-Wall", "-Wno-unused-function", "-Werror",
			"-I", strings.TrimSpace(string(headers)), "-o", path, filepath.Join("..", "testdata", "shims", name+".c"), "-ldl").CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	return path
}

// shim puts such a driver between the store and SoftHSM2.
func (s *tokenSuite) shim(name string) {
	s.T().Helper()
	s.token.module = builtShim(s.T(), s.shims, name)
	s.T().Setenv("SHIM_MODULE", softHSM)
	s.T().Setenv("SHIM_LOG", s.log)
}

// count returns how many lines of the log are this one.
func (s *tokenSuite) count(line string) int {
	b, err := os.ReadFile(s.log)
	if !os.IsNotExist(err) {
		s.Require().NoError(err)
	}
	n := 0
	for _, found := range strings.Split(string(b), "\n") {
		if found == line {
			n++
		}
	}
	return n
}

// open opens a key with a consent for n signatures.
func (s *tokenSuite) open(key agent.Key, n int, pin *pins) (agent.Session, error) {
	store := s.rig.Store()
	session, err := store.Open(s.ctx, key.ID, agent.NewConsent(store.Name(), key.ID, n), pin.ask)
	if err == nil {
		s.T().Cleanup(func() { _ = session.Close() })
	}
	return session, err
}

func (s *tokenSuite) tryGenerate(pin *pins) error {
	store, place := s.rig.Store(), s.place()
	_, session, err := store.Generate(s.ctx, agent.GenerateRequest{Place: place.ID, Algorithm: agent.P256},
		agent.NewConsent(store.Name(), place.ID, 1), pin.ask)
	if err == nil {
		s.NoError(session.Close())
	}
	return err
}

func (s *tokenSuite) TestTheDriversNormalDayIsUnchangedByAShim() {
	key := s.made(agent.RSA2048)
	s.shim("swapped")
	session, err := s.open(key, 1, s.pin())
	s.Require().NoError(err)
	s.NoError(s.sign(session))
	s.Equal(1, s.count("C_Login"))
}

func (s *tokenSuite) TestAWrongPINIsOneLogIn() {
	key := s.made(agent.P256)
	log := filepath.Join(s.T().TempDir(), "spy")
	s.T().Setenv("PKCS11SPY", softHSM)
	s.T().Setenv("PKCS11SPY_OUTPUT", log)
	s.token.module = testtool.File(s.T(), spyModule)
	logIns := func() int {
		b, err := os.ReadFile(log)
		s.Require().NoError(err)
		return strings.Count(string(b), ": C_Login\n")
	}
	_, err := s.open(key, 1, &pins{answer: s.rig.WrongPIN()})
	s.code(problem.PINIncorrect, err)
	s.Equal(1, logIns())

	s.code(problem.PINIncorrect, s.tryGenerate(&pins{answer: s.rig.WrongPIN()}))
	s.Equal(2, logIns())

	_, err = s.open(key, 1, &pins{answer: "1"})
	s.code(problem.PINIncorrect, err)
	s.Equal(2, logIns(), "a PIN of an impossible length does not reach the token")

	session, err := s.open(key, 3, s.pin())
	s.Require().NoError(err)
	for range 3 {
		s.NoError(s.sign(session))
	}
	s.Equal(3, logIns(), "three signatures, one log-in")
}

func (s *tokenSuite) TestALockedTokenSeesNoLogIn() {
	key := s.made(agent.P256)
	s.shim("locked")
	pin := s.pin()
	_, err := s.open(key, 1, pin)
	s.code(problem.PINLocked, err)
	s.code(problem.PINLocked, s.tryGenerate(pin))
	s.Empty(pin.asked)
	s.Equal(0, s.count("C_Login"))
	place := s.place()
	s.Equal(agent.PINLocked, place.State)
	s.Equal(string(problem.PINLocked), place.Problem)
	keys, err := s.rig.Store().List(s.ctx)
	s.NoError(err)
	s.Len(keys, 1, "its keys are still listed")
}

func (s *tokenSuite) TestALockedTokenThatDoesNotSaySoIsAskedOnce() {
	key := s.made(agent.P256)
	s.shim("locking")
	_, err := s.open(key, 1, s.pin())
	s.code(problem.PINLocked, err)
	s.Equal(1, s.count("C_Login"))
}

func (s *tokenSuite) TestTheLastTryIsSaid() {
	key := s.made(agent.P256)
	s.shim("lasttry")
	s.Equal(agent.PINFinal, s.place().State)
	pin := &pins{answer: s.rig.WrongPIN()}
	_, err := s.open(key, 1, pin)
	s.code(problem.PINLocked, err)
	s.Equal(agent.PINFinal, pin.asked[0].State)
	s.Equal(1, s.count("C_Login"))
}

func (s *tokenSuite) TestADriverThatCrashesDoesNotTakeTheAgentAlong() {
	key := s.made(agent.P256)
	s.shim("crash")
	session, err := s.open(key, 2, s.pin())
	s.Require().NoError(err)
	s.code(problem.DriverFailed, s.sign(session))
	s.code(problem.DriverFailed, s.sign(session))
	s.NoError(session.Close())
	s.Equal(1, s.count("C_Sign"))

	s.token.module = softHSM
	session, err = s.open(key, 1, s.pin())
	s.Require().NoError(err)
	s.NoError(s.sign(session))
}

func (s *tokenSuite) TestADriverThatHangsIsEndedWithAllItStarted() {
	key := s.made(agent.P256)
	s.shim("hang")
	s.token.tune = func(c *pkcs11.Config) { c.Timeout = time.Second }
	session, err := s.open(key, 1, s.pin())
	s.Require().NoError(err)
	start := time.Now()
	s.code(problem.DriverFailed, s.sign(session))
	s.Less(time.Since(start), 5*time.Second)
	s.NoError(session.Close())

	b, err := os.ReadFile(s.log)
	s.Require().NoError(err)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	for _, id := range strings.Fields(lines[len(lines)-1]) {
		pid, err := strconv.Atoi(id)
		s.Require().NoError(err)
		s.Eventually(func() bool { return ended(pid) }, 5*time.Second, 20*time.Millisecond, "process %d", pid)
	}
}

// ended says whether a process is gone, or is only a zombie that its parent has not buried yet.
func ended(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

func (s *tokenSuite) TestATokenIsAbsentWhenItsDriverSaysSo() {
	key := s.made(agent.P256)
	s.shim("removed")
	session, err := s.open(key, 1, s.pin())
	s.Require().NoError(err)
	s.code(problem.TokenAbsent, s.sign(session))
}

func (s *tokenSuite) TestAPINGoesOnlyToTheTokenThatWasShown() {
	key := s.made(agent.P256)
	s.shim("swapped")
	s.T().Setenv("SHIM_SWAP", "2") // once for the list of tokens, once for that of objects
	_, err := s.open(key, 1, s.pin())
	s.code(problem.TokenAbsent, err)
	s.Equal(0, s.count("C_Login"))
}

func (s *tokenSuite) TestATokenThatIsSwappedWhileItsSessionIsOpenedGetsNoPIN() {
	key := s.made(agent.P256)
	s.shim("swapped")
	s.T().Setenv("SHIM_SWAP_IN_SESSION", "2") // the first is for the list of objects
	_, err := s.open(key, 1, s.pin())
	s.code(problem.TokenAbsent, err)
	s.T().Setenv("SHIM_SWAP_IN_SESSION", "1")
	_, err = s.changePIN(agent.PINRenew, tokenPIN, "Pin-9753")
	s.code(problem.TokenAbsent, err)
	s.Equal(0, s.count("C_Login"))
}

func (s *tokenSuite) TestTokensWithEqualLabelsAreToldApart() {
	s.token.initToken(s.T(), "Moja karta")
	store := s.rig.Store()
	places, err := store.(agent.Placer).Places(s.ctx)
	s.Require().NoError(err)
	s.Require().Len(places, 2)
	s.NotEqual(places[0].ID, places[1].ID)
	s.NotEqual(places[0].Label, places[1].Label, "a person sees the serial number")
	for _, place := range places {
		key, session, err := store.Generate(s.ctx, agent.GenerateRequest{Place: place.ID, Algorithm: agent.P256, Label: "klucz"},
			agent.NewConsent(store.Name(), place.ID, 1), s.pin().ask)
		s.Require().NoError(err)
		s.NoError(session.Close())
		s.Equal(place.ID, key.Place)
	}
	keys, err := s.rig.Store().List(s.ctx)
	s.Require().NoError(err)
	s.Require().Len(keys, 2)
	for _, key := range keys {
		session, err := s.open(key, 1, s.pin())
		s.Require().NoError(err)
		digest := digestOf(crypto.SHA256, "x")
		signature, err := session.Sign(rand.Reader, digest, crypto.SHA256)
		s.Require().NoError(err)
		requireSignature(s.T(), key.Public, crypto.SHA256, digest, signature)
	}
}

func (s *tokenSuite) TestATokenThatSaysTooMuchHidesNoOtherOfItsDriver() {
	key := s.made(agent.P256)
	s.token.initToken(s.T(), "Pełna")
	s.shim("bulky")
	keys, err := s.rig.Store().List(s.ctx)
	s.Require().NoError(err)
	s.True(slices.ContainsFunc(keys, func(k agent.Key) bool { return k.ID == key.ID }))
	session, err := s.open(key, 1, s.pin())
	s.Require().NoError(err)
	s.NoError(s.sign(session))
}

func (s *tokenSuite) TestATokenWithoutAUserPINSaysSo() {
	entries, err := os.ReadDir(s.token.tokens)
	s.Require().NoError(err)
	s.Require().NoError(os.RemoveAll(filepath.Join(s.token.tokens, entries[0].Name())))
	out, err := exec.Command(testtool.Need(s.T(), "pkcs11-tool"), "--module", softHSM, "--init-token", "--slot-index", "0",
		"--label", "blank", "--so-pin", "so-pin-1357").CombinedOutput()
	s.Require().NoError(err, "%s", out)
	place := s.place()
	s.Equal(agent.PINUnset, place.State)
	s.Equal(string(problem.PINNotSet), place.Problem)
	pin := s.pin()
	s.code(problem.PINNotSet, s.tryGenerate(pin))
	s.Empty(pin.asked)
}

func (s *tokenSuite) TestATokenThatMakesNoKeySaysWhy() {
	for shim, want := range map[string]problem.Code{
		"full": problem.TokenFull, "forbidden": problem.KeyGenerationForbidden, "copyable": problem.Unsupported,
	} {
		s.Run(shim, func() {
			s.shim(shim)
			s.code(want, s.tryGenerate(s.pin()))
			keys, err := s.rig.Store().List(s.ctx)
			s.NoError(err)
			s.Empty(keys, "nothing is left behind")
		})
	}
}

func (s *tokenSuite) TestATokenThatDislikesTheTemplateGetsALessStrictOne() {
	s.shim("picky")
	key := s.made(agent.P256)
	s.Require().NoError(s.rig.Store().(agent.Attacher).Attach(s.ctx, key.ID, s.certify(key.Public), s.pin().ask))
	keys, err := s.rig.Store().List(s.ctx)
	s.Require().NoError(err)
	s.Require().Len(keys, 1)
	s.NotEmpty(keys[0].Chain)
	session, err := s.open(keys[0], 1, s.pin())
	s.Require().NoError(err)
	s.NoError(s.sign(session))
}

func (s *tokenSuite) TestAPINPadIsUsedInsteadOfAWindow() {
	key := s.made(agent.P256)
	s.shim("pinpad")
	s.T().Setenv("SHIM_PIN", tokenPIN)
	pin := s.pin()
	session, err := s.open(key, 1, pin)
	s.Require().NoError(err)
	s.NoError(s.sign(session))
	s.Require().Len(pin.asked, 1)
	s.True(pin.asked[0].Pad, "whoever may let the pad ask is told, and gives no PIN")
	s.Empty(pin.given)
	s.Equal(1, s.count("C_Login without a PIN"))
	s.Equal(0, s.count("C_Login with a PIN"))

	for name, op := range s.operations(key) {
		s.code(problem.UserCancelled, op((&pins{err: errNo}).ask))
		s.Equal(1, s.count("C_Login without a PIN"), "%s: the pad asks nobody who is not to be asked", name)
	}

	s.Require().NoError(os.Unsetenv("SHIM_PIN"))
	_, err = s.open(key, 1, pin)
	s.code(problem.UserCancelled, err)
}

func (s *tokenSuite) TestASelfTestLeavesTheQuestionToAPINPad() {
	s.shim("pinpad")
	s.T().Setenv("SHIM_PIN", tokenPIN)
	pin, passed := s.pin(), 0
	test := agent.SelfTest{
		Open: s.rig.Store, Place: s.place(), Algorithms: []agent.KeyAlgorithm{agent.P256}, WrongPIN: true, PIN: pin.ask,
		Report: func(c agent.Check) {
			s.NotEqual(agent.CheckFailed, c.Outcome, "%s: %v", c.Name, c.Err)
			if c.Outcome == agent.CheckPassed {
				passed++
			}
		},
	}
	s.Require().NoError(test.Run(s.ctx))
	s.NotZero(passed)
	s.Empty(pin.asked)
	s.Zero(s.count("C_Login with a PIN"))
}

func (s *tokenSuite) TestAKeyThatAsksAtEachSignatureGetsThePINEachTime() {
	key := s.made(agent.RSA2048)
	s.shim("always")
	s.T().Setenv("SHIM_PIN", tokenPIN)
	pin := s.pin()
	session, err := s.open(key, 2, pin)
	s.Require().NoError(err)
	s.NoError(s.sign(session))
	s.NoError(s.sign(session))
	s.wiped(pin)
	s.Equal(1, s.count("C_Login as user"))
	s.Equal(2, s.count("C_Login for one signature"))
}

func (s *tokenSuite) TestAPINThatIsRefusedForASignatureIsNotGivenAgain() {
	key := s.made(agent.RSA2048)
	s.shim("always")
	s.T().Setenv("SHIM_PIN", "another one than the log-in's")
	session, err := s.open(key, 3, s.pin())
	s.Require().NoError(err)
	for range 3 {
		s.code(problem.PINIncorrect, s.sign(session))
	}
	s.Equal(1, s.count("C_Login for one signature"))
}

func (s *tokenSuite) TestAFaultySignatureDoesNotLeave() {
	for _, algorithm := range []agent.KeyAlgorithm{agent.RSA2048, agent.P256} {
		s.Run(string(algorithm), func() {
			key := s.made(algorithm)
			s.shim("wrong")
			session, err := s.open(key, 1, s.pin())
			s.Require().NoError(err)
			s.code(problem.DriverFailed, s.sign(session))
		})
	}
}

func (s *tokenSuite) TestADriverThatPrintsDoesNoHarm() {
	key := s.made(agent.P256)
	s.shim("noisy")
	session, err := s.open(key, 1, s.pin())
	s.Require().NoError(err)
	s.NoError(s.sign(session))
}

func (s *tokenSuite) TestOtherProgramsFindKeyAndCertificate() {
	for _, algorithm := range []agent.KeyAlgorithm{agent.RSA2048, agent.P256} {
		s.Run(string(algorithm), func() {
			key := s.made(algorithm)
			chain := s.certify(key.Public)
			s.Require().NoError(s.rig.Store().(agent.Attacher).Attach(s.ctx, key.ID, chain, s.pin().ask))
			out, err := exec.Command(testtool.Need(s.T(), "pkcs11-tool"), "--module", softHSM, "--list-objects",
				"--login", "--pin", tokenPIN).CombinedOutput()
			s.Require().NoError(err, "%s", out)
			leaf, err := x509.ParseCertificate(chain[0])
			s.Require().NoError(err)
			text := string(out)
			s.Equal(3, strings.Count(text, fmt.Sprintf("%x", keyIdentifier(s.T(), leaf))), "private key, public key and certificate\n%s", text)
			s.Contains(text, "Private Key Object")
			s.Contains(text, "sensitive, always sensitive, never extractable, local")
			s.Contains(text, "Zgłoszenia celne")
			s.Contains(strings.ToLower(text), fmt.Sprintf("serial:     %x\n", leaf.SerialNumber.Bytes()))
			s.Regexp("Usage: +sign\\n", text, "for signatures only")
		})
	}
}

// keyIdentifier returns the subject key identifier that a CA would write by the usual method.
func keyIdentifier(t *testing.T, c *x509.Certificate) []byte {
	t.Helper()
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		PublicKey asn1.BitString
	}
	_, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki)
	require.NoError(t, err)
	sum := sha1.Sum(spki.PublicKey.Bytes)
	return sum[:]
}

func (s *tokenSuite) TestBrokenModulesAreToldAndHideNoOthers() {
	key := s.made(agent.P256)
	text := filepath.Join(s.T().TempDir(), "driver.so")
	s.Require().NoError(os.WriteFile(text, []byte("no module"), 0o600))
	s.token.tune = func(c *pkcs11.Config) { c.Modules = []string{text, "/nowhere/driver.so", softHSM} }
	store := s.rig.Store()
	keys, err := store.List(s.ctx)
	s.NoError(err)
	s.Require().Len(keys, 1)
	s.Equal(key.ID, keys[0].ID)
	places, err := store.(agent.Placer).Places(s.ctx)
	s.Require().NoError(err)
	s.Require().Len(places, 3)
	s.Empty(places[0].Problem)
	s.Equal(string(problem.DriverFailed), places[1].Problem)
	s.Equal("driver.so", places[1].Label)

	s.token.tune = func(c *pkcs11.Config) { c.Modules = []string{text} }
	_, err = s.rig.Store().List(s.ctx)
	s.code(problem.DriverFailed, err)
}

func (s *tokenSuite) TestTheSameTokenThroughTwoModulesIsListedOnce() {
	s.made(agent.P256)
	s.T().Setenv("PKCS11SPY", softHSM)
	s.T().Setenv("PKCS11SPY_OUTPUT", filepath.Join(s.T().TempDir(), "spy"))
	s.token.tune = func(c *pkcs11.Config) { c.Modules = []string{softHSM, testtool.File(s.T(), spyModule), softHSM} }
	s.place()
	keys, err := s.rig.Store().List(s.ctx)
	s.NoError(err)
	s.Len(keys, 1)
}

func (s *tokenSuite) TestWithoutTheModuleProcessTheStoreIsUnavailable() {
	s.token.tune = func(c *pkcs11.Config) { c.Helper = "/nowhere/certsign-pkcs11" }
	_, err := s.rig.Store().List(s.ctx)
	s.code(problem.StoreUnavailable, err)
}

func (s *tokenSuite) TestClosingASessionEndsItsProcess() {
	key := s.made(agent.P256)
	session, err := s.open(key, 1, s.pin())
	s.Require().NoError(err)
	s.Len(s.processes(), 1)
	s.NoError(session.Close())
	s.NoError(session.Close(), "twice is no harm")
	s.Empty(s.processes())
}

// processes returns the module processes that run now.
func (s *tokenSuite) processes() []string {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	s.Require().NoError(err)
	var ours []string
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err == nil && strings.HasPrefix(string(b), s.helper+"\x00") {
			s.NotContains(string(b), tokenPIN)
			ours = append(ours, path)
		}
	}
	return ours
}
