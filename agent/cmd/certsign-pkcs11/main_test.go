package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent/keystore/pkcs11/wire"
)

// program builds the command.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "certsign-pkcs11")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// noModule is a file that is no module.
func noModule(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "driver.so")
	require.NoError(t, os.WriteFile(path, []byte("no module"), 0o600))
	return path
}

// talk serves some calls and returns the answers.
func talk(t *testing.T, path string, calls ...wire.Call) []wire.Answer {
	t.Helper()
	var in, out bytes.Buffer
	for _, call := range calls {
		require.NoError(t, wire.Write(&in, call, []byte("a secret that must not come back")))
	}
	require.NoError(t, serve(&module{path: path}, &in, &out, func() {}))
	assert.NotContains(t, out.String(), "secret")
	var answers []wire.Answer
	for {
		var answer wire.Answer
		if _, err := wire.Read(&out, &answer); errors.Is(err, io.EOF) {
			return answers
		} else {
			require.NoError(t, err)
		}
		answers = append(answers, answer)
	}
}

func TestCallsThatMakeNoSenseAreRefused(t *testing.T) {
	params := func(v any) json.RawMessage {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return b
	}
	for _, c := range []struct {
		name string
		call wire.Call
		want wire.Cause
	}{
		{"another version", wire.Call{Version: wire.Version + 1, Op: wire.OpTokens}, wire.CauseCall},
		{"a file that is no module", wire.Call{Version: wire.Version, Op: wire.OpTokens, Params: params(wire.TokensParams{})}, wire.CauseLoad},
		{"tokens without parameters", wire.Call{Version: wire.Version, Op: wire.OpTokens}, wire.CauseCall},
		{"an operation that is none", wire.Call{Version: wire.Version, Op: "format"}, wire.CauseLoad},
		{"a signature before a session", wire.Call{Version: wire.Version, Op: wire.OpSign, Params: params(wire.SignParams{})}, wire.CauseLoad},
	} {
		t.Run(c.name, func(t *testing.T) {
			answers := talk(t, noModule(t), c.call)
			require.Len(t, answers, 1)
			require.NotNil(t, answers[0].Failure)
			assert.Equal(t, c.want, answers[0].Failure.Cause)
			assert.Nil(t, answers[0].Result)
		})
	}
}

func TestTheProcessEndsWithItsInput(t *testing.T) {
	path := program(t)
	for _, c := range []struct {
		name   string
		module string
		input  string
		status int
		stderr string
	}{
		{"in order when nothing came", noModule(t), "", 0, ""},
		{"with an error after half a frame", noModule(t), "\x00\x00", 1, "malformed frame"},
		{"with an error after a frame over the limit", noModule(t), "\xff\xff\xff\xff\x00\x00\x00\x00", 1, "malformed frame"},
		{"at once when the module's path is relative", "driver.so", "", 2, "usage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(path, c.module)
			cmd.Stdin = bytes.NewReader([]byte(c.input))
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if c.status == 0 {
				require.NoError(t, err, "%s", &stderr)
			} else {
				require.ErrorAs(t, err, &exit)
				assert.Equal(t, c.status, exit.ExitCode())
			}
			assert.Empty(t, stdout.String())
			assert.Contains(t, stderr.String(), c.stderr)
		})
	}
}

func TestTextsOfTokensAreCleaned(t *testing.T) {
	for in, want := range map[string]string{
		"Moja karta          ":   "Moja karta",
		"karta\x00\x00\x00\x00":  "karta",
		"za\xbf\xf3\xb3\xe6":     "za?",
		"\x00":                   "",
		"  Zażółć gęślą jaźń   ": "Zażółć gęślą jaźń",
		"\x1b[2Jkarta\r\n\u202e": "?[2Jkarta???",
	} {
		assert.Equal(t, want, clean(in))
	}
}

func FuzzServe(f *testing.F) {
	var seed bytes.Buffer
	require.NoError(f, wire.Write(&seed, wire.Call{Version: wire.Version, Op: wire.OpTokens, Params: json.RawMessage(`{"reserved":"x"}`)}, nil))
	require.NoError(f, wire.Write(&seed, wire.Call{Version: wire.Version, Op: wire.OpOpen, Params: json.RawMessage(`{"slot":1}`)}, []byte("1234")))
	require.NoError(f, wire.Write(&seed, wire.Call{Version: wire.Version, Op: wire.OpEnd}, nil))
	f.Add(seed.Bytes())
	f.Add([]byte{0, 0, 0, 2, 0, 0, 0, 0, '{', '}'})
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		_ = serve(&module{path: "/nowhere/driver.so"}, bytes.NewReader(in), &out, func() {})
		for {
			var answer wire.Answer
			if _, err := wire.Read(&out, &answer); err != nil {
				require.ErrorIs(t, err, io.EOF, "what we write is well formed")
				return
			}
			require.True(t, answer.Failure != nil || answer.Result == nil, "without a module nothing succeeds")
		}
	})
}
