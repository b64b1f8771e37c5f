package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/agent/home"
	"certsign/agent/keystore/keyfile"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

func selftestCommand(t *testing.T, in string) (*command, *bytes.Buffer) {
	t.Helper()
	dir, err := home.Open(filepath.Join(testtool.TempDir(t), "home"))
	require.NoError(t, err)
	var out bytes.Buffer
	return &command{in: strings.NewReader(in), out: &out, errs: io.Discard, home: dir, lang: problem.English}, &out
}

func TestATestKeyIsMadeOnATokenOnlyWhenThePersonAgrees(t *testing.T) {
	for answer, want := range map[string]bool{
		"y\n": true, "yes\n": true, "t\n": true, " TAK \r\n": true, "n\n": false, "\n": false, "": false, "yesterday\n": false,
	} {
		c, _ := selftestCommand(t, answer)
		assert.Equal(t, want, c.agrees(agent.Place{Label: "Moja karta"}), "%q", answer)
	}
}

// unspeakable is a store that names the person and his folders in its errors.
type unspeakable struct{ *keyfile.Store }

func (unspeakable) Generate(context.Context, agent.GenerateRequest, *agent.Consent, agent.AskPIN) (agent.Key, agent.Session, error) {
	dir, _ := os.UserHomeDir()
	return agent.Key{}, nil, problem.Wrap(problem.DriverFailed, errors.New("cause"), "no %s", filepath.Join(dir, "secret\x1b[31m"))
}

func TestASelfTestsReportNamesNobody(t *testing.T) {
	for _, json := range []bool{false, true} {
		c, out := selftestCommand(t, "")
		c.json = json
		dir, err := os.UserHomeDir()
		require.NoError(t, err)
		require.Greater(t, len(dir), 2)
		test := &agent.SelfTest{
			Open:       func() agent.KeyStore { return unspeakable{keyfile.New(c.home.Path("keys"))} },
			Place:      agent.Place{Label: "PESEL 44051401359", Detail: filepath.Join(dir, "x"), Keys: []agent.KeyAlgorithm{agent.P256}},
			Algorithms: []agent.KeyAlgorithm{agent.RSA2048, agent.P256},
		}
		assert.Equal(t, exitStatus(exitProblem), c.selftest(t.Context(), test, "keyfile"))
		text := out.String()
		for _, secret := range []string{dir, c.home.Path(""), "44051401359", "\x1b"} {
			assert.NotContains(t, text, secret)
		}
		assert.Contains(t, text, "driver_failed")
		assert.Contains(t, text, "~")
		if !json {
			assert.Contains(t, text, "\n0 passed, 1 failed, 1 skipped\n")
			assert.Contains(t, text, "– rsa2048 ")
			assert.Contains(t, text, "✗ p256 ")
		}
	}
}

func TestEachCheckIsSaidInBothLanguages(t *testing.T) {
	for _, name := range agent.Checks() {
		en, pl := (&command{lang: problem.English}).checkText(name), (&command{lang: problem.Polish}).checkText(name)
		assert.NotEqual(t, string(name), en)
		assert.NotEqual(t, en, pl)
	}
}
