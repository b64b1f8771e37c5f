package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/assert"

	"certsign/internal/keyorigin"
	"certsign/internal/testtool"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"customs-ca": func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", testtool.Built(e.Getenv("PATH")))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"freeports": freeports,
			"await":     await,
		},
		Condition: judge,
	})
}

// judge is the condition judge:PROGRAM: that the program is installed. Where CI is set it must be, as in testtool.Need.
func judge(condition string) (bool, error) {
	name, ok := strings.CutPrefix(condition, "judge:")
	if !ok {
		return false, fmt.Errorf("unknown condition %q", condition)
	}
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") != "" {
			return false, err
		}
		return false, nil
	}
	return true, nil
}

// freeports NAME… sets each variable to a port that was free a moment ago.
func freeports(ts *testscript.TestScript, neg bool, names []string) {
	if neg || len(names) == 0 {
		ts.Fatalf("usage: freeports NAME…")
	}
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer l.Close()
		ts.Setenv(name, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	}
}

// await URL STATUS waits until a GET is answered with that status.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await URL STATUS")
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, //nolint:gosec // only whether it answers
	}}
	last := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		r, err := client.Get(args[0])
		if err != nil {
			last = err.Error()
			continue
		}
		_ = r.Body.Close()
		if last = fmt.Sprint(r.StatusCode); last == args[1] {
			return
		}
	}
	ts.Fatalf("%s: %s", args[0], last)
}

func TestTheAgentsWordOfAKeyIsOneLine(t *testing.T) {
	assert.Equal(t, "key-stated -", statedOrigin(nil))
	assert.Equal(t, `key-stated store=keyfile hardware=false local=no never-extractable=- by=""`,
		statedOrigin(&keyorigin.Statement{Store: "keyfile", Local: "no"}))
	assert.Equal(t, `key-stated store=pkcs11 hardware=true local=yes never-extractable=yes by="Zakład Kart \"EP-2\""`,
		statedOrigin(&keyorigin.Statement{Store: "pkcs11", Hardware: true, By: `Zakład Kart "EP-2"`, Local: "yes", NeverExtractable: "yes"}))
}
