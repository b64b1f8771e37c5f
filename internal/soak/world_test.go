//go:build linux

package soak_test

import (
	"bufio"
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"certsign/internal/testtool"
)

var stores = []string{"keyfile", "pkcs11"}

const (
	password = "Kot-w-Butach-2026"
	tokenPIN = "271828"
)

// world is a CA and an agent as processes, each with a folder of its own.
type world struct {
	bin, home, caDir, database string
	web, ca                    string
	tokens                     string // SoftHSM2's folder
	pinFiles                   map[string]string
	env                        []string
	gate                       *gate
	serve                      *exec.Cmd
	visitor                    *visitor
}

// ceremony is an enrolment whose request was handed out.
type ceremony struct {
	ID, CSRSHA256, store string
	CSR                  []byte // DER
}

const account = "lucja.zak@example.test"

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{bin: filepath.Join(dir, "bin"), home: filepath.Join(dir, "home"), caDir: filepath.Join(dir, "ca"), tokens: filepath.Join(dir, "tokens"), pinFiles: map[string]string{}}
	w.database = filepath.Join(w.caDir, "customs-ca.db")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "bin"), 0o700))
	if bin := os.Getenv("CERTSIGN_BIN"); bin != "" {
		w.bin = bin // what make has just built
	} else {
		build := exec.Command("go", "build", "-o", w.bin+"/", "certsign/agent/cmd/certsign", "certsign/agent/cmd/certsign-pkcs11", "certsign/ca/cmd/customs-ca")
		out, err := build.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	module := testtool.File(t, "/usr/lib/softhsm/libsofthsm2.so")
	conf := filepath.Join(dir, "softhsm.conf")
	require.NoError(t, os.MkdirAll(w.tokens, 0o700))
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", w.tokens), 0o600))
	w.env = append(os.Environ(), "SOFTHSM2_CONF="+conf, "CERTSIGN_HOME="+w.home, "LC_ALL=C.UTF-8")
	hsm := exec.Command("softhsm2-util", "--module", module, "--init-token", "--free", "--label", "Card", "--pin", tokenPIN, "--so-pin", "12345678")
	hsm.Env = w.env
	out, err := hsm.CombinedOutput()
	require.NoError(t, err, string(out))
	for store, secret := range map[string]string{"keyfile": password, "pkcs11": tokenPIN} {
		w.pinFiles[store] = filepath.Join(dir, store+".pin")
		require.NoError(t, os.WriteFile(w.pinFiles[store], []byte(secret+"\n"), 0o600))
	}

	w.web = "http://" + freeAddress(t)
	w.ca = "https://" + freeAddress(t)
	out, err = w.customsCA("init", "--dir", w.caDir, "--test", "--public-url", w.web, "--ca-url", w.ca, "--status-url", "http://"+freeAddress(t)).CombinedOutput()
	require.NoError(t, err, string(out))
	w.enrolWithoutEnd(t)
	t.Cleanup(func() {
		if w.serve != nil {
			w.killCA(t)
		}
	})
	w.gate = newGate(t, w.ca, filepath.Join(w.caDir, "root.crt"))
	w.addAccount(t)
	w.startCA(t)
	roots := w.gate.roots(t, filepath.Join(w.caDir, "root.crt"), dir)
	out, err = w.certsign("sites", "add", "--name", "portal", "--origin", w.web, "--ca", w.gate.server.URL, "--root", roots).CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, os.WriteFile(filepath.Join(w.home, "config.yaml"), fmt.Appendf(nil, "pkcs11-modules: [%q]\n", module), 0o600))
	return w
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func (w *world) certsign(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(w.bin, "certsign"), append([]string{"--lang", "en"}, args...)...)
	cmd.Env = w.env
	return cmd
}

func (w *world) customsCA(args ...string) *exec.Cmd {
	if args[0] != "init" {
		args = append([]string{"--config", filepath.Join(w.caDir, "customs-ca.yaml")}, args...)
	}
	cmd := exec.Command(filepath.Join(w.bin, "customs-ca"), args...)
	cmd.Env = w.env
	return cmd
}

func (w *world) startCA(t *testing.T) {
	t.Helper()
	w.serve = w.customsCA("serve")
	out, err := w.serve.StdoutPipe()
	require.NoError(t, err)
	var errs bytes.Buffer
	w.serve.Stderr = &errs
	require.NoError(t, w.serve.Start())
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if lines.Text() == "ready" {
				ready <- true
			}
		}
		ready <- false
	}()
	select {
	case ok := <-ready:
		if !ok {
			_ = w.serve.Wait()
			t.Fatalf("the CA does not start: %s", errs.String())
		}
	case <-time.After(60 * time.Second):
		t.Fatal("the CA is not ready after a minute")
	}
}

func (w *world) killCA(t *testing.T) {
	t.Helper()
	require.NoError(t, w.serve.Process.Kill())
	w.endCA(t)
}

// endCA waits for a CA that is killed, or kills it.
func (w *world) endCA(t *testing.T) {
	t.Helper()
	_ = w.serve.Process.Kill()
	_ = w.serve.Wait()
	w.serve = nil
}

// enroll is the first leg.
func (w *world) enroll(store string) *exec.Cmd {
	return w.certsign("enroll", "--site", "portal", "--store", store, "--key", "p256", "--label", "soak", "--pin-file", w.pinFiles[store], "--json")
}

// ask runs the first leg to its end.
func (w *world) ask(t *testing.T, store string) ceremony {
	t.Helper()
	cmd := w.enroll(store)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, errs.String())
	var answer struct{ Ceremony, CSR, CSRSHA256 string }
	require.NoError(t, json.Unmarshal(out, &answer), string(out))
	block, _ := pem.Decode([]byte(answer.CSR))
	require.NotNil(t, block, answer.CSR)
	return ceremony{ID: answer.Ceremony, CSRSHA256: answer.CSRSHA256, CSR: block.Bytes, store: store}
}

// finish is the second leg; the token goes in by standard input.
func (w *world) finish(c ceremony, token string) *exec.Cmd {
	cmd := w.certsign("enroll", "--resume", c.ID, "--token-file", "-", "--pin-file", w.pinFiles[c.store])
	cmd.Stdin = strings.NewReader(token)
	return cmd
}

// enrolWithoutEnd lets one person have as many certificates as the test makes.
func (w *world) enrolWithoutEnd(t *testing.T) {
	t.Helper()
	path := filepath.Join(w.caDir, "customs-ca.yaml")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	changed := bytes.Replace(b, []byte("max-certificates: 3 "), []byte("max-certificates: 100000 "), 1)
	require.NotEqual(t, b, changed)
	require.NoError(t, os.WriteFile(path, changed, 0o600))
}

func (w *world) addAccount(t *testing.T) {
	t.Helper()
	out, err := w.customsCA("person", "add", "--given-name", "Łucja", "--surname", "Żak", "--identity", "IDCDE-T00000001", "--country", "DE",
		"--id-sisc", "DE000000000000001").CombinedOutput()
	require.NoError(t, err, string(out))
	number := regexp.MustCompile(`person (\d+)`).FindSubmatch(out)
	require.NotNil(t, number, string(out))
	out, err = w.customsCA("account", "add", account, "--kind", "extended", "--person", string(number[1]), "--language", "en",
		"--password-file", w.pinFiles["keyfile"]).CombinedOutput()
	require.NoError(t, err, string(out))
}

// token has the portal mint a one-time token for the ceremony's request, in the session at hand or in a new one.
func (w *world) token(t *testing.T, c ceremony) string {
	t.Helper()
	status, answer := 0, ""
	if w.visitor != nil {
		status, answer = w.visitor.send(t, "/api/v1/enrolments", "application/json", bytes.NewReader(c.question(t)))
	}
	if status != http.StatusCreated { // the CA was started anew, or the second factor is used up
		w.logIn(t)
		status, answer = w.visitor.send(t, "/api/v1/enrolments", "application/json", bytes.NewReader(c.question(t)))
	}
	require.Equal(t, http.StatusCreated, status, answer)
	var minted struct{ Token string }
	require.NoError(t, json.Unmarshal([]byte(answer), &minted), answer)
	return minted.Token
}

func (c ceremony) question(t *testing.T) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]string{"csr": base64.StdEncoding.EncodeToString(c.CSR)})
	require.NoError(t, err)
	return body
}

// logIn walks the portal as far as a person goes before the agent is asked for a key. What limits how often a person may is
// forgotten first: here one does it all day.
func (w *world) logIn(t *testing.T) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.database+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	_, err = db.Exec("DELETE FROM attempts")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	v := &visitor{client: &http.Client{Jar: jar, Timeout: 30 * time.Second}, web: w.web}
	w.visitor = v
	if status, _ := v.post(t, "/login", url.Values{"email": {account}, "password": {password}}); status == http.StatusTooManyRequests {
		w.killCA(t) // the limit on log-ins from one address is in the process's memory
		w.startCA(t)
		status, page := v.post(t, "/login", url.Values{"email": {account}, "password": {password}})
		require.Equal(t, http.StatusOK, status, page)
	}
	status, page := v.post(t, "/my/certificates/generate/send-code", nil)
	require.Equal(t, http.StatusOK, status, page)
	_, page = v.get(t, "/mailbox?address="+url.QueryEscape(account))
	code := regexp.MustCompile(`\b(\d{6})\b`).FindStringSubmatch(page)
	require.NotNil(t, code, page)
	status, page = v.post(t, "/my/certificates/generate/code", url.Values{"code": {code[1]}})
	require.Equal(t, http.StatusOK, status, page)
	version := regexp.MustCompile(`name="version"[^>]*value="([^"]+)"`).FindStringSubmatch(page)
	require.NotNil(t, version, page)
	status, page = v.post(t, "/my/certificates/generate/terms", url.Values{"accept": {"yes"}, "version": {version[1]}})
	require.Equal(t, http.StatusOK, status, page)
}

// visitor is a browser without a screen.
type visitor struct {
	client *http.Client
	web    string
}

func (v *visitor) get(t *testing.T, path string) (int, string) {
	t.Helper()
	r, err := v.client.Get(v.web + path)
	require.NoError(t, err)
	return read(t, r)
}

func (v *visitor) post(t *testing.T, path string, form url.Values) (int, string) {
	t.Helper()
	return v.send(t, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

func (v *visitor) send(t *testing.T, path, kind string, body io.Reader) (int, string) {
	t.Helper()
	status, answer, err := v.try(path, kind, body)
	require.NoError(t, err)
	return status, answer
}

// try is send to somebody who may be killed meanwhile.
func (v *visitor) try(path, kind string, body io.Reader) (int, string, error) {
	r, err := http.NewRequest(http.MethodPost, v.web+path, body)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Origin", v.web)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	answer, err := v.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	return answer.StatusCode, string(b), err
}

func read(t *testing.T, r *http.Response) (int, string) {
	t.Helper()
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	require.NoError(t, err)
	return r.StatusCode, string(b)
}
