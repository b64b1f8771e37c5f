package main

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent/keystore/csp"
	"certsign/internal/testpki"
	"certsign/internal/testtool"
)

// trustCall holds the arguments of certsign in a process that this test starts.
const trustCall = "CERTSIGN_TEST_TRUST_CALL"

// TestAnAuthorityComesIntoTheWindowsStoresAndLeavesThem goes the way of an installer and its uninstaller, each in a process
// of its own.
func TestAnAuthorityComesIntoTheWindowsStoresAndLeavesThem(t *testing.T) {
	if args := os.Getenv(trustCall); args != "" {
		os.Exit(run(strings.Split(args, "\n"), os.Stdin, os.Stdout, os.Stderr))
	}
	testtool.Wine(t, "trust", "the test writes to the certificate stores of the computer")
	dir := testtool.TempDir(t)
	file := func(name string, der []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(toPEM(der)), 0o600))
		return path
	}
	home := filepath.Join(dir, "home")
	self, err := os.Executable()
	require.NoError(t, err)
	call := func(want int, args ...string) (out, errs string) {
		t.Helper()
		var o, e bytes.Buffer
		cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.count=1")
		cmd.Env = append(os.Environ(), trustCall+"="+strings.Join(append([]string{"--home", home, "trust"}, args...), "\n"))
		cmd.Stdout, cmd.Stderr = &o, &e
		_ = cmd.Run() // its status says more
		require.NotNil(t, cmd.ProcessState, "%s", args)
		require.Equal(t, want, cmd.ProcessState.ExitCode(), "%s: %s%s", args, &o, &e)
		return o.String(), e.String()
	}
	states := func(args ...string) (all []csp.State) {
		t.Helper()
		out, _ := call(exitDone, append([]string{"--json"}, args...)...)
		var list struct{ Certificates []placedJSON }
		require.NoError(t, json.Unmarshal([]byte(out), &list))
		for _, p := range list.Certificates {
			assert.True(t, p.State == csp.Removed || p.Limited)
			assert.Equal(t, []string{"1.3.6.1.5.5.7.3.36", "1.3.6.1.5.5.7.3.9"}, p.Purposes)
			assert.Contains(t, p.Subject, "CN=Trial")
			all = append(all, p.State)
		}
		return all
	}
	named := func(name string) testpki.Option {
		return testpki.Subject(pkix.Name{Country: []string{"PL"}, Organization: []string{"CertSign trials"}, CommonName: name})
	}
	root := testpki.Root(t, testpki.At(time.Now()), named("Trial root of an installer"))
	issuer := root.Intermediate(named("Trial issuing CA of an installer"))
	rootFile, issuerFile := file("root.crt", root.DER), file("issuing.crt", issuer.DER)
	remove := func() { call(exitDone, "remove") }
	remove() // of what a test left that was killed
	t.Cleanup(remove)

	out, _ := call(exitDone, "list", "--lang", "en")
	assert.Contains(t, out, "CertSign has put no authority")
	_, errs := call(exitDone, "add", "--root", rootFile, "--issuer", issuerFile, "--lang", "en")
	assert.Regexp(t, `(?m)^certsign: added to LocalMachine\\CA: .*CN=Trial issuing CA of an installer.*, SHA-256 [0-9a-f]{64}; for: document signing, OCSP responses$`, errs)
	assert.Regexp(t, `(?m)^certsign: added to LocalMachine\\Root: .*CN=Trial root of an installer`, errs)
	_, errs = call(exitDone, "add", "--root", rootFile, "--issuer", issuerFile, "--lang", "pl")
	assert.Regexp(t, `(?m)^certsign: jest już w LocalMachine\\Root: .*; przeznaczenie: podpisywanie dokumentów, odpowiedzi OCSP$`, errs)
	assert.Equal(t, []csp.State{csp.Kept, csp.Kept}, states("add", "--root", rootFile, "--issuer", issuerFile))
	out, _ = call(exitDone, "list", "--lang", "en")
	assert.Regexp(t, `(?m)^CA +.*CN=Trial issuing CA`, out)
	assert.Regexp(t, `(?m)^Root +.*CN=Trial root of an installer.*document signing, OCSP responses +[0-9a-f]{64}$`, out)
	assert.Equal(t, []csp.State{csp.Removed, csp.Removed}, states("remove"))
	_, errs = call(exitDone, "remove", "--lang", "en")
	assert.Equal(t, "certsign: nothing to remove\n", errs)

	test := testpki.Root(t, testpki.At(time.Now()))
	for name, refusal := range map[string]struct {
		args []string
		want string
	}{
		"a test root":         {[]string{"--root", file("test.crt", test.DER)}, "forbidden: This is a test authority"},
		"a foreign issuer":    {[]string{"--root", rootFile, "--issuer", rootFile}, "ca_mismatch: The certificate in --issuer was not issued by that root"},
		"an end certificate":  {[]string{"--root", file("leaf.crt", root.Leaf(named("Jan")).DER)}, "bad_request: This is no certificate of a certification authority"},
		"a file that is none": {[]string{"--root", filepath.Join(dir, "nothing.crt")}, "document_unreadable: The file"},
	} {
		var out, errs bytes.Buffer
		args := append([]string{"--home", home, "--lang", "en", "trust", "add"}, refusal.args...)
		assert.Equal(t, exitProblem, run(args, strings.NewReader(""), &out, &errs), name)
		assert.Contains(t, errs.String(), refusal.want, name)
	}
	assert.Empty(t, states("list"))
	assert.NoDirExists(t, home, "an installer is nobody in particular")
}
