package child

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"
)

// The test runs itself as each generation.
func TestMain(m *testing.M) {
	switch os.Getenv("CHILD_TEST_ROLE") {
	case "agent": // starts a parent, and never stops it
		_, err := Start(context.Background(), role("parent", os.Stdout))
		fmt.Fprintln(os.Stderr, err)
		time.Sleep(time.Minute)
	case "parent":
		cmd := role("sleeper", nil)
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(os.Getpid(), cmd.Process.Pid)
		_ = cmd.Wait()
	case "sleeper":
		time.Sleep(time.Minute)
	case "failure":
		os.Exit(3)
	default:
		os.Exit(m.Run())
	}
}

func role(name string, out io.Writer) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CHILD_TEST_ROLE="+name)
	cmd.Stdout = out
	return cmd
}

// held are handles of the processes that a parent names: they stay valid when the processes have ended.
func held(t *testing.T, out io.Reader) (all []windows.Handle) {
	t.Helper()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	for _, field := range strings.Fields(line) {
		pid, err := strconv.ParseUint(field, 10, 32)
		require.NoError(t, err, line)
		h, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(pid))
		require.NoError(t, err)
		t.Cleanup(func() { _ = windows.CloseHandle(h) })
		all = append(all, h)
	}
	require.Len(t, all, 2)
	return all
}

func ended(h windows.Handle, wait time.Duration) bool {
	e, err := windows.WaitForSingleObject(h, uint32(wait.Milliseconds()))
	return err == nil && e == windows.WAIT_OBJECT_0
}

func TestAProgramAndItsChildrenEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, out, err := StartReading(ctx, role("parent", nil))
	require.NoError(t, err)
	defer out.Close()
	family := held(t, out)
	for _, h := range family {
		require.False(t, ended(h, 0))
	}
	cancel()
	p.Stop()
	for _, h := range family {
		assert.True(t, ended(h, 5*time.Second))
	}
	<-p.Done()
}

func TestAKilledAgentTakesItsChildrenAlong(t *testing.T) {
	agent := role("agent", nil)
	out, err := agent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, agent.Start())
	family := held(t, out)
	require.False(t, ended(family[1], 0))
	require.NoError(t, agent.Process.Kill())
	for _, h := range family {
		assert.True(t, ended(h, 5*time.Second))
	}
	_ = agent.Wait()
}

func TestAProgramThatEndsByItselfSaysHow(t *testing.T) {
	p, err := Start(t.Context(), role("failure", nil))
	require.NoError(t, err)
	var exit *exec.ExitError
	require.ErrorAs(t, p.Err(), &exit)
	assert.Equal(t, 3, exit.ExitCode())
	p.Stop()
	p.Stop()
}

func TestNothingStartsUnderAContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, role("sleeper", nil))
	assert.ErrorIs(t, err, context.Canceled)
	_, err = Start(t.Context(), exec.Command(`C:\nonexistent\program.exe`))
	assert.Error(t, err)
}
