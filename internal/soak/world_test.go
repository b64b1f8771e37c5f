package soak_test

import (
	"bufio"
	"bytes"
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
	pinFiles                   map[string]string
	env                        []string
	serve                      *exec.Cmd
	accounts                   int
	spent                      []string
}

type ceremony struct {
	ID, CSR, CSRSHA256, store string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{bin: filepath.Join(dir, "bin"), home: filepath.Join(dir, "home"), caDir: filepath.Join(dir, "ca"), pinFiles: map[string]string{}}
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
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "tokens"), 0o700))
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", filepath.Join(dir, "tokens")), 0o600))
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
	t.Cleanup(func() {
		if w.serve != nil {
			w.killCA(t)
		}
	})
	w.startCA(t)
	out, err = w.certsign("sites", "add", "--name", "portal", "--origin", w.web, "--ca", w.ca, "--root", filepath.Join(w.caDir, "root.crt")).CombinedOutput()
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
	_ = w.serve.Wait()
	w.serve = nil
}

// enroll is the first leg.
func (w *world) enroll(store string) *exec.Cmd {
	return w.certsign("enroll", "--site", "portal", "--store", store, "--key", "p256", "--pin-file", w.pinFiles[store], "--json")
}

// ask runs the first leg to its end.
func (w *world) ask(t *testing.T, store string) ceremony {
	t.Helper()
	cmd := w.enroll(store)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, errs.String())
	c := ceremony{store: store}
	var answer struct{ Ceremony, CSR, CSRSHA256 string }
	require.NoError(t, json.Unmarshal(out, &answer), string(out))
	c.ID, c.CSR, c.CSRSHA256 = answer.Ceremony, answer.CSR, answer.CSRSHA256
	return c
}

// finish is the second leg; the token goes in by standard input.
func (w *world) finish(c ceremony, token string) *exec.Cmd {
	cmd := w.certsign("enroll", "--resume", c.ID, "--token-file", "-", "--pin-file", w.pinFiles[c.store])
	cmd.Stdin = strings.NewReader(token)
	return cmd
}

// killed starts cmd and kills it after that time; false when it had ended before.
func (w *world) killed(t *testing.T, cmd *exec.Cmd, after time.Duration) bool {
	t.Helper()
	require.NoError(t, cmd.Start())
	time.Sleep(after)
	_ = cmd.Process.Kill()
	err := cmd.Wait()
	return err != nil && cmd.ProcessState.ExitCode() == -1
}

// runAgentOnce starts the agent, waits until it listens, which it does after it took up what was left, and stops it.
func (w *world) runAgentOnce(t *testing.T) {
	t.Helper()
	cmd := w.certsign("run", "--ui", "none", "--port", freeAddress(t)[len("127.0.0.1:"):])
	out, err := cmd.StderrPipe()
	require.NoError(t, err)
	cmd.Stdout = cmd.Stderr
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	var said strings.Builder
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "listening") {
			break
		}
	}
	time.Sleep(time.Second)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	go func() { _, _ = io.Copy(io.Discard, out) }()
	require.NoError(t, cmd.Wait(), said.String())
}

// token walks the portal as a new person and returns the one-time token for the ceremony's request.
func (w *world) token(t *testing.T, c ceremony) string {
	t.Helper()
	w.accounts++
	email := fmt.Sprintf("person%d@example.test", w.accounts)
	passwordFile := w.pinFiles["keyfile"]
	out, err := w.customsCA("person", "add", "--given-name", "Łucja", "--surname", fmt.Sprintf("Żak-%d", w.accounts),
		"--identity", fmt.Sprintf("IDCDE-T%08d", w.accounts), "--country", "DE", "--id-sisc", fmt.Sprintf("DE%015d", w.accounts)).CombinedOutput()
	require.NoError(t, err, string(out))
	number := regexp.MustCompile(`person (\d+)`).FindSubmatch(out)
	require.NotNil(t, number, string(out))
	out, err = w.customsCA("account", "add", email, "--kind", "extended", "--person", string(number[1]), "--language", "en", "--password-file", passwordFile).CombinedOutput()
	require.NoError(t, err, string(out))

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	visitor := &visitor{client: &http.Client{Jar: jar, Timeout: 30 * time.Second}, web: w.web}
	if status, _ := visitor.post(t, "/login", url.Values{"email": {email}, "password": {password}}); status == http.StatusTooManyRequests {
		w.killCA(t) // the limit on log-ins from one address is in the process's memory
		w.startCA(t)
		status, page := visitor.post(t, "/login", url.Values{"email": {email}, "password": {password}})
		require.Equal(t, http.StatusOK, status, page)
	}
	status, page := visitor.post(t, "/my/certificates/generate/send-code", nil)
	require.Equal(t, http.StatusOK, status, page)
	_, page = visitor.get(t, "/mailbox?address="+url.QueryEscape(email))
	code := regexp.MustCompile(`\b(\d{6})\b`).FindStringSubmatch(page)
	require.NotNil(t, code, page)
	status, page = visitor.post(t, "/my/certificates/generate/code", url.Values{"code": {code[1]}})
	require.Equal(t, http.StatusOK, status, page)
	version := regexp.MustCompile(`name="version"[^>]*value="([^"]+)"`).FindStringSubmatch(page)
	require.NotNil(t, version, page)
	status, page = visitor.post(t, "/my/certificates/generate/terms", url.Values{"accept": {"yes"}, "version": {version[1]}})
	require.Equal(t, http.StatusOK, status, page)

	block, _ := pem.Decode([]byte(c.CSR))
	require.NotNil(t, block, c.CSR)
	body, err := json.Marshal(map[string]string{"csr": base64.StdEncoding.EncodeToString(block.Bytes)})
	require.NoError(t, err)
	status, page = visitor.send(t, "/api/v1/enrolments", "application/json", bytes.NewReader(body))
	require.Contains(t, []int{http.StatusOK, http.StatusCreated}, status, page)
	var answer struct{ Token string }
	require.NoError(t, json.Unmarshal([]byte(page), &answer), page)
	w.spent = append(w.spent, answer.Token)
	return answer.Token
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
	r, err := http.NewRequest(http.MethodPost, v.web+path, body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Origin", v.web)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	answer, err := v.client.Do(r)
	require.NoError(t, err)
	return read(t, answer)
}

func read(t *testing.T, r *http.Response) (int, string) {
	t.Helper()
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	require.NoError(t, err)
	return r.StatusCode, string(b)
}
