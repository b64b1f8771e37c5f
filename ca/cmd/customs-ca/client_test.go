package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/testtool"
)

const accountPassword = "Haslo-do-testow-1"

// server is customs-ca as a process of its own, with its folder.
type server struct {
	dir         string
	web, ca     string
	config      []string
	environment []string
}

func serveOnFreePorts(t *testing.T) *server {
	t.Helper()
	s := &server{dir: filepath.Join(t.TempDir(), "ca"), web: "http://" + freeAddress(t), ca: "https://" + freeAddress(t)}
	s.config = []string{"--config", filepath.Join(s.dir, "customs-ca.yaml")}
	s.environment = append(os.Environ(), "CUSTOMS_CA_ACCOUNT_PASSWORD="+accountPassword)
	s.run(t, "init", "--dir", s.dir, "--test", "--public-url", s.web, "--ca-url", s.ca, "--status-url", "http://"+freeAddress(t))
	s.run(t, append([]string{"account", "seed", "--language", "en"}, s.config...)...)

	serve := s.command(append([]string{"serve"}, s.config...)...)
	out, err := serve.StdoutPipe()
	require.NoError(t, err)
	var errs bytes.Buffer
	serve.Stderr = &errs
	require.NoError(t, serve.Start())
	t.Cleanup(func() {
		assert.NoError(t, serve.Process.Signal(os.Interrupt))
		assert.NoError(t, serve.Wait())
		assert.Empty(t, errs.String())
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "ready" {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return s
		}
	}
	require.Fail(t, "the server ended", errs.String())
	return nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func (s *server) command(args ...string) *exec.Cmd {
	c := exec.Command("customs-ca", args...) // which testscript.Main put on the path
	c.Env = s.environment
	return c
}

func (s *server) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.command(args...).CombinedOutput()
	require.NoError(t, err, "customs-ca %s\n%s", strings.Join(args, " "), out)
	return string(out)
}

// session is a browser without a screen.
type session struct {
	*http.Client
	web string
}

func (s *session) do(t *testing.T, method, path, kind, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, s.web+path, strings.NewReader(body))
	require.NoError(t, err)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Origin", s.web)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	answer, err := s.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(b)
}

func (s *session) get(t *testing.T, path string) string {
	t.Helper()
	status, page := s.do(t, http.MethodGet, path, "", "")
	require.Equal(t, http.StatusOK, status, page)
	return page
}

func (s *session) post(t *testing.T, path string, form url.Values) string {
	t.Helper()
	status, page := s.do(t, http.MethodPost, path, "application/x-www-form-urlencoded", form.Encode())
	require.Equal(t, http.StatusOK, status, page)
	return page
}

// logIn goes as far as a person goes before the agent is asked for a key: password, code from the e-mail, terms.
func (s *server) logIn(t *testing.T, email string) *session {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	b := &session{Client: &http.Client{Jar: jar, Timeout: 30 * time.Second}, web: s.web}
	b.post(t, "/login", url.Values{"email": {email}, "password": {accountPassword}})
	b.post(t, "/my/certificates/generate/send-code", nil)
	page := b.get(t, "/mailbox?address="+url.QueryEscape(email))
	code := regexp.MustCompile(`\b(\d{6})\b`).FindStringSubmatch(page)
	require.NotNil(t, code, page)
	page = b.post(t, "/my/certificates/generate/code", url.Values{"code": {code[1]}})
	version := regexp.MustCompile(`name="version"[^>]*value="([^"]+)"`).FindStringSubmatch(page)
	require.NotNil(t, version, page)
	b.post(t, "/my/certificates/generate/terms", url.Values{"accept": {"yes"}, "version": {version[1]}})
	return b
}

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testtool.Need(t, name), args...).CombinedOutput()
	require.NoError(t, err, "%s %s\n%s", name, strings.Join(args, " "), out)
	return string(out)
}

// TestOpensslAndCurlGetACertificateWithThePortalsToken makes key and request with openssl, has the running portal mint the
// token in a session, and sends both with curl: nothing of ours is on the client's side but the browser.
func TestOpensslAndCurlGetACertificateWithThePortalsToken(t *testing.T) {
	testtool.Need(t, "openssl")
	testtool.Need(t, "curl")
	s := serveOnFreePorts(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	root := filepath.Join(s.dir, "root.crt")

	tool(t, "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", at("key.pem"),
		"-subj", "/CN=Somebody Else/O=Of My Own", "-out", at("request.pem"))
	request, err := os.ReadFile(at("request.pem"))
	require.NoError(t, err)
	block, _ := pem.Decode(request)
	require.NotNil(t, block)

	b := s.logIn(t, "anna.kowalska@example.test")
	question, err := json.Marshal(map[string]string{"csr": base64.StdEncoding.EncodeToString(block.Bytes)})
	require.NoError(t, err)
	status, answer := b.do(t, http.MethodPost, "/api/v1/enrolments", "application/json", string(question))
	require.Equal(t, http.StatusCreated, status, answer)
	var minted struct{ Token, CA string }
	require.NoError(t, json.Unmarshal([]byte(answer), &minted))
	require.Equal(t, s.ca, minted.CA)

	body, err := json.Marshal(map[string]string{"csr": string(request), "ott": minted.Token})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(at("body.json"), body, 0o600))
	send := func() (status, answer string) {
		status = tool(t, "curl", "--silent", "--show-error", "--cacert", root, "--header", "Content-Type: application/json",
			"--data-binary", "@"+at("body.json"), "--output", at("answer.json"), "--write-out", "%{http_code}", minted.CA+"/1.0/sign")
		b, err := os.ReadFile(at("answer.json"))
		require.NoError(t, err)
		return status, string(b)
	}
	code, answer := send()
	require.Equal(t, "201", code, answer)
	var issued struct {
		Certificate string   `json:"crt"`
		CA          string   `json:"ca"`
		Chain       []string `json:"certChain"`
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &issued), answer)
	require.NoError(t, os.WriteFile(at("leaf.pem"), []byte(issued.Certificate), 0o600))
	require.NoError(t, os.WriteFile(at("issuing.pem"), []byte(issued.CA), 0o600))

	t.Run("openssl verifies it, with the issuer that came along and the CRL that it names", func(t *testing.T) {
		block, _ := pem.Decode([]byte(issued.Certificate))
		require.NotNil(t, block)
		leaf, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		require.Len(t, leaf.CRLDistributionPoints, 1)
		tool(t, "curl", "--silent", "--show-error", "--fail", "--output", at("crl.der"), leaf.CRLDistributionPoints[0])
		tool(t, "openssl", "crl", "-inform", "DER", "-in", at("crl.der"), "-out", at("crl.pem"))
		out := tool(t, "openssl", "verify", "-x509_strict", "-CAfile", root, "-untrusted", at("issuing.pem"), "-crl_check", "-CRLfile", at("crl.pem"), at("leaf.pem"))
		assert.Equal(t, at("leaf.pem")+": OK\n", out)
	})
	t.Run("it is for the key that openssl made, and for the person whom the registry knows", func(t *testing.T) {
		assert.Equal(t, tool(t, "openssl", "pkey", "-in", at("key.pem"), "-pubout"), tool(t, "openssl", "x509", "-in", at("leaf.pem"), "-noout", "-pubkey"))
		subject := tool(t, "openssl", "x509", "-in", at("leaf.pem"), "-noout", "-subject", "-nameopt", "utf8,sep_comma_plus,sname")
		assert.Contains(t, subject, "CN=Anna Kowalska")
		assert.NotContains(t, subject, "Somebody")
	})
	t.Run("its record names the versions of terms, policy and practice statement that the pages showed", func(t *testing.T) {
		var versions []string
		for _, name := range []string{"terms", "cp", "cps"} {
			shown := regexp.MustCompile(`<p class="small">[^<]*?(\d+(\.\d+)+)`).FindStringSubmatch(b.get(t, "/docs/"+name))
			require.NotNil(t, shown, name)
			versions = append(versions, name+"-"+shown[1])
		}
		serial := strings.TrimPrefix(strings.TrimSpace(tool(t, "openssl", "x509", "-in", at("leaf.pem"), "-noout", "-serial")), "serial=")
		out := s.run(t, append([]string{"certificate", "show", strings.ToLower(serial)}, s.config...)...)
		assert.Contains(t, out, "\nterms "+strings.Join(versions, " ")+"\n")
	})
	t.Run("the token buys nothing more", func(t *testing.T) {
		code, answer := send()
		assert.Equal(t, "401", code)
		var refused struct{ Code string }
		require.NoError(t, json.Unmarshal([]byte(answer), &refused), answer)
		assert.Equal(t, "token_spent", refused.Code)
		out := s.run(t, append([]string{"certificate", "list"}, s.config...)...)
		assert.Equal(t, 1, strings.Count(out, "\n"), out)
	})
	t.Run("curl does not take another CA's root", func(t *testing.T) {
		tool(t, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", at("other.key"), "-subj", "/CN=Other", "-out", at("other.crt"))
		out, err := exec.Command("curl", "--silent", "--show-error", "--cacert", at("other.crt"), s.ca+"/health").CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		assert.Equal(t, 60, exit.ExitCode(), string(out)) // CURLE_PEER_FAILED_VERIFICATION
	})
}
