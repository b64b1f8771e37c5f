//go:build unix

package child

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// family starts a shell with a grandchild and returns the grandchild's pid.
func family(t *testing.T, ctx context.Context, script string) (*Process, int) {
	t.Helper()
	p, out, err := StartReading(ctx, exec.Command("/bin/sh", "-c", script))
	require.NoError(t, err)
	defer func() { _ = out.Close() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	return p, pid
}

// gone reports that a process has ended: it is no more, or only waits to be reaped by init.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func TestAProgramAndItsChildrenEndWithTheirContext(t *testing.T) {
	for name, script := range map[string]string{
		"when they leave on request":          "sleep 60 & echo $!; wait",
		"when they ignore the request":        "trap '' TERM; (trap '' TERM; sleep 60; sleep 60) & echo $!; wait; sleep 60",
		"when the program left them behind":   "sleep 60 & echo $!",
		"when only the grandchild is willing": "trap '' TERM; sleep 60 & echo $!; while :; do sleep 1; done",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			p, pid := family(t, ctx, script)
			cancel()
			p.Stop()
			assert.Eventually(t, func() bool { return gone(pid) }, time.Second, 5*time.Millisecond)
			select {
			case <-p.Done():
			default:
				assert.Fail(t, "the program itself still runs")
			}
		})
	}
}

func TestAProgramThatEndsByItselfSaysHow(t *testing.T) {
	p, err := Start(context.Background(), exec.Command("/bin/sh", "-c", "exit 3"))
	require.NoError(t, err)
	var exit *exec.ExitError
	require.ErrorAs(t, p.Err(), &exit)
	assert.Equal(t, 3, exit.ExitCode())
	p.Stop()
	p.Stop()
}

func TestNothingStartsUnderAContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Start(ctx, exec.Command("/bin/true"))
	assert.ErrorIs(t, err, context.Canceled)
	_, err = Start(context.Background(), exec.Command("/nonexistent/program"))
	assert.Error(t, err)
}

// The test runs itself as the agent that is killed.
func TestAKilledAgentTakesItsChildrenAlong(t *testing.T) {
	if os.Getenv("CHILD_TEST_AGENT") != "" {
		cmd := exec.Command("/bin/sh", "-c", "echo $$; exec sleep 60")
		cmd.Stdout = os.Stdout
		_, err := Start(context.Background(), cmd)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		return
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("only Linux promises this")
	}
	agent := exec.Command(os.Args[0], "-test.run=^TestAKilledAgentTakesItsChildrenAlong$")
	agent.Env = append(os.Environ(), "CHILD_TEST_AGENT=1")
	out, err := agent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, agent.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	require.False(t, gone(pid))
	require.NoError(t, agent.Process.Kill())
	_ = agent.Wait()
	assert.Eventually(t, func() bool { return gone(pid) }, 2*time.Second, 5*time.Millisecond)
}
