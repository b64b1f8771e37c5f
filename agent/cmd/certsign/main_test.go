package main

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/testpki"
	"certsign/internal/testtool"
)

func TestMain(m *testing.M) {
	if runtime.GOOS == "windows" {
		os.Exit(m.Run()) // no stories, and so no folder that os.RemoveAll fails to remove under Wine 8
	}
	testscript.Main(m, map[string]func(){"certsign": main})
}

func TestStories(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the stories are told by programs of POSIX, and their folders cannot be removed under Wine 8")
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("CERTSIGN_HOME", e.WorkDir+"/home")
			e.Setenv("LANG", "C")
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("PATH", testtool.Built(e.Getenv("PATH")))
			e.Values["t"] = t
			e.Defer(func() { endAgent(filepath.Join(e.WorkDir, "home", "agent.json")) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"startca": startCA, "mint": mint, "status": status, "waitfor": waitFor, "hello": hello, "edit": edit, "pick": pick, "key": key, "quit": quit, "save": save, "blanktoken": blankToken,
		},
	})
}

// status EXIT ARGS… runs certsign and demands an exit status; stdout and stderr stay for the next lines.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status EXIT args...")
	}
	err := ts.Exec("certsign", args[1:]...)
	got := 0
	if err != nil {
		var exit interface{ ExitCode() int }
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit status %d, not %s", got, args[0])
	}
}

// waitFor waits until a file is there.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	for range 200 {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s does not come", args[0])
}

// hello asks the agent of $CERTSIGN_HOME as a page would.
func hello(ts *testscript.TestScript, _ bool, _ []string) {
	var r running
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("home/agent.json")), &r))
	req, err := http.NewRequest("GET", "http://127.0.0.1:"+strconv.Itoa(r.Port)+"/certsign/v1/hello", nil)
	ts.Check(err)
	req.Header.Set("Origin", "https://portal.example")
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if string(b) != `{"agent":"certsign","protocol":1}` {
		ts.Fatalf("hello: %s", b)
	}
}

// endAgent ends an agent that a story left running because it failed.
func endAgent(state string) {
	var r running
	b, err := os.ReadFile(state)
	if err != nil || json.Unmarshal(b, &r) != nil || r.PID <= 1 {
		return
	}
	if p, err := os.FindProcess(r.PID); err == nil {
		_ = p.Kill()
	}
}

// quit ends the agent that `open` started, by the process id that it wrote down itself, and waits for its end.
func quit(ts *testscript.TestScript, _ bool, _ []string) {
	var r running
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("home/agent.json")), &r))
	p, err := os.FindProcess(r.PID)
	ts.Check(err)
	if r.PID <= 1 {
		ts.Fatalf("no agent of ours: process %d", r.PID)
	}
	ts.Check(p.Signal(os.Interrupt))
	for range 200 {
		if _, err := os.Stat(ts.MkAbs("home/agent.json")); err != nil {
			time.Sleep(100 * time.Millisecond)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("the agent does not stop")
}

// pick NAME sets $NAME to the beginning of the first serial number on stdout, where `list --json` left it.
func pick(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(`"serial": "([0-9a-f]{8})`).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("stdout holds no serial number")
	}
	ts.Setenv(args[0], m[1])
}

// key NAME sets $NAME to the first key without a certificate on stdout, where `list --json` left it.
func key(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(`"keys": \[\s+\{\s+"store": "([^"]+)",\s+"key": "([^"]+)"`).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("stdout holds no key")
	}
	ts.Setenv(args[0], m[1]+"/"+m[2])
}

// blankToken LABEL puts a token of SoftHSM2 without a PIN into the reader; its PUK is 12345678 and $SOFTHSM its driver.
func blankToken(ts *testscript.TestScript, _ bool, args []string) {
	t := ts.Value("t").(*testing.T)
	driver := testtool.File(t, "/usr/lib/softhsm/libsofthsm2.so")
	beside := filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "certsign-pkcs11") // where testscript put certsign
	out, err := exec.Command(testtool.Need(t, "go"), "build", "-o", beside, "certsign/agent/cmd/certsign-pkcs11").CombinedOutput()
	require.NoError(t, err, "%s", out)
	tokens, conf := ts.MkAbs("tokens"), ts.MkAbs("softhsm2.conf")
	ts.Check(os.MkdirAll(tokens, 0o700))
	ts.Check(os.WriteFile(conf, []byte("directories.tokendir = "+tokens+"\nslots.removable = true\n"), 0o600))
	ts.Setenv("SOFTHSM2_CONF", conf)
	ts.Setenv("SOFTHSM", driver)
	ts.Check(ts.Exec(testtool.Need(t, "pkcs11-tool"), "--module", driver, "--init-token", "--slot-index", "0", "--label", args[0], "--so-pin", "12345678"))
}

// edit FILE OLD NEW replaces text in a file.
func edit(ts *testscript.TestScript, _ bool, args []string) {
	b := ts.ReadFile(args[0])
	if !strings.Contains(b, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(b, args[1], args[2], 1)), 0o600))
}

// startCA starts a CA that issues for tokens of mint; root.pem and root.crl are its own, $CA is its address.
func startCA(ts *testscript.TestScript, _ bool, _ []string) {
	t := ts.Value("t").(*testing.T)
	root := testpki.Root(t, testpki.At(time.Now()))
	front := root.Leaf(testpki.Named("TEST ca"), testpki.ExtendedUsage(x509.ExtKeyUsageServerAuth), testpki.Edit(func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}))
	var mu sync.Mutex
	spent := map[string]bool{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /1.0/sign", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var q struct{ CSR, OTT string }
		_ = json.NewDecoder(r.Body).Decode(&q)
		block, _ := pem.Decode([]byte(q.CSR))
		csr, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil || spent[q.OTT] {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"code":"token_spent","message":"the token was used"}`)
			return
		}
		spent[q.OTT] = true
		leaf := root.Leaf(testpki.WithKey(publicKey{csr.PublicKey}))
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"certChain": []string{toPEM(leaf.DER), toPEM(root.DER)}})
	})
	s := httptest.NewUnstartedServer(mux)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{front.DER}, PrivateKey: front.Key}}}
	s.StartTLS()
	ts.Defer(s.Close)
	ts.Setenv("CA", s.URL)
	ts.Check(os.WriteFile(ts.MkAbs("root.pem"), []byte(toPEM(root.DER)), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("root.crl"), root.CRL(testpki.CRL{}), 0o600))
}

func toPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

type publicKey struct{ public crypto.PublicKey }

func (p publicKey) Public() crypto.PublicKey { return p.public }
func (publicKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("only the public key is known")
}

// mint CSR TOKEN CEREMONY writes a token for a request, and $NAME for the ceremony that stderr named.
func mint(ts *testscript.TestScript, _ bool, args []string) {
	block, _ := pem.Decode([]byte(ts.ReadFile(args[0])))
	if block == nil {
		ts.Fatalf("%s is no request", args[0])
	}
	sum := sha256.Sum256(block.Bytes)
	b, err := json.Marshal(map[string]any{
		"exp": time.Now().Add(time.Hour).Unix(), "cnf": map[string]string{"x5rt#S256": base64.RawURLEncoding.EncodeToString(sum[:])},
	})
	ts.Check(err)
	token := "eyJhbGciOiJFUzI1NiJ9." + base64.RawURLEncoding.EncodeToString(b) + "." + hex.EncodeToString(sum[:4])
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(token+"\n"), 0o600))
	if len(args) > 2 {
		m := regexp.MustCompile(`[0-9a-f]{32}`).FindString(ts.ReadFile("stderr"))
		if m == "" {
			ts.Fatalf("stderr names no ceremony")
		}
		ts.Setenv(args[2], m)
	}
}

// save REQUEST TOKEN FILE has the CA of startca certify a request and writes the certificate as the portal's "Save
// certificate" does: DER, application/pkix-cert.
func save(ts *testscript.TestScript, _ bool, args []string) {
	body, err := json.Marshal(map[string]string{"csr": ts.ReadFile(args[0]), "ott": strings.TrimSpace(ts.ReadFile(args[1]))})
	ts.Check(err)
	// The test's own CA: the story is not about how it is trusted.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // see above
	resp, err := client.Post(ts.Getenv("CA")+"/1.0/sign", "application/json", bytes.NewReader(body))
	ts.Check(err)
	defer resp.Body.Close()
	var answer struct{ CertChain []string }
	ts.Check(json.NewDecoder(resp.Body).Decode(&answer))
	if len(answer.CertChain) == 0 {
		ts.Fatalf("the CA answers %s", resp.Status)
	}
	block, _ := pem.Decode([]byte(answer.CertChain[0]))
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), block.Bytes, 0o600))
}

func TestEveryCommandHasAnExample(t *testing.T) {
	c := &command{out: io.Discard, errs: io.Discard}
	for _, cmd := range c.root().Commands() {
		subs := cmd.Commands()
		if len(subs) == 0 {
			subs = append(subs, cmd)
		}
		for _, s := range subs {
			if s.Name() == "help" || s.Name() == "version" || s.Name() == "list" && s.Parent().Name() == "sites" {
				continue
			}
			assert.Contains(t, s.Example, "certsign "+strings.TrimPrefix(s.CommandPath(), "certsign "), s.CommandPath())
			assert.NotEmpty(t, s.Short)
		}
	}
}
