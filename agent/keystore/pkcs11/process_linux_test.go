package pkcs11

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent/keystore/pkcs11/wire"
	"certsign/internal/problem"
)

// TestMain can stand in for an agent that has started a driver.
func TestMain(m *testing.M) {
	if os.Getenv("PKCS11_TEST_AGENT") == "" {
		os.Exit(m.Run())
	}
	p, err := start("/bin/sleep", "1000", time.Second)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(p.group.id)
	select {}
}

func TestADriverEndsWithAnAgentThatIsKilled(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PKCS11_TEST_AGENT=1")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, 0), "it runs")

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	assert.Eventually(t, func() bool {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		return err != nil || strings.Contains(string(b), ") Z ")
	}, 5*time.Second, 10*time.Millisecond)
}

// script is a helper that does what a shell script says.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "helper")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700))
	return path
}

func TestAHelperThatMisbehavesIsADriverThatFailed(t *testing.T) {
	result, err := json.Marshal(wire.Answer{Result: json.RawMessage(`{"signature":""}`)})
	require.NoError(t, err)
	empty := string([]byte{0, 0, 0, byte(len(result)), 0, 0, 0, 0}) + string(result)
	file := filepath.Join(t.TempDir(), "answer")
	require.NoError(t, os.WriteFile(file, []byte(empty), 0o600))
	for name, text := range map[string]string{
		"it ends":                      "exit 0",
		"it crashes":                   "kill -SEGV $$",
		"it prints over its frames":    "echo Insert your card please; sleep 100",
		"it never answers":             "sleep 100",
		"it leaves a child and ends":   "sleep 100 & exit 0",
		"it reads nothing":             "exec 0<&-; sleep 100",
		"it answers against the rules": "cat " + file + "; sleep 100",
	} {
		t.Run(name, func(t *testing.T) {
			p, err := start(script(t, text), "/module.so", time.Second)
			require.NoError(t, err)
			err = p.call(t.Context(), time.Second, wire.OpSign, wire.SignParams{Data: []byte("x")}, nil, &wire.SignResult{})
			assert.Equal(t, problem.DriverFailed, problem.CodeOf(err), "%v", err)
			err = p.call(t.Context(), time.Second, wire.OpSign, nil, nil, nil)
			assert.Equal(t, problem.DriverFailed, problem.CodeOf(err), "it is not asked again")
			p.end()
		})
	}
}

func TestACancelledCallEndsTheDriver(t *testing.T) {
	p, err := start(script(t, "sleep 100"), "/module.so", time.Minute)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	err = p.call(ctx, time.Minute, wire.OpTokens, nil, nil, nil)
	assert.Equal(t, problem.UserCancelled, problem.CodeOf(err))
	assert.ErrorIs(t, err, context.Canceled)
	<-p.exited
	p.end()
	_, err = p.out.Read(make([]byte, 1))
	assert.True(t, errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF))
}
