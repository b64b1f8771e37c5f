//go:build unix

package keyfile

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// killed is how a test tells a second process of itself what to do, and where to be killed: folder, key, operation, step.
const killed = "CERTSIGN_TEST_KILLED"

func TestMain(m *testing.M) {
	if what := os.Getenv(killed); what != "" {
		os.Exit(dieAt(strings.Split(what, "\n")))
	}
	os.Exit(m.Run())
}

// dieAt runs an operation in a process that ends like a pulled plug at one of its steps.
func dieAt(what []string) int {
	dir, id := what[0], what[1]
	op := operations[slices.IndexFunc(operations, func(o operation) bool { return o.name == what[2] })]
	at, err := strconv.Atoi(what[3])
	if err != nil {
		return 2
	}
	other, err := generators["p256"]()
	if err != nil {
		return 2
	}
	store := New(dir, WithIterations(sealIterations))
	store.disk = &faultyDisk{at: at, keep: -1, stop: func(string) error {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}}
	if err := op.do(context.Background(), store, id, other.(*ecdsa.PrivateKey)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	return 0
}

func TestAKillAtAnyStepLeavesTheOldFileOrTheNewOne(t *testing.T) {
	for _, op := range operations {
		all := steps(t, op)
		for at, what := range all {
			t.Run(fmt.Sprintf("%s: killed at %s (step %d of %d)", op.name, what, at+1, len(all)), func(t *testing.T) {
				store, id, _ := folderWithKey(t)
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), killed+"="+strings.Join([]string{store.dir, id, op.name, strconv.Itoa(at + 1)}, "\n"))
				out, err := cmd.CombinedOutput()
				var exit *exec.ExitError
				require.True(t, errors.As(err, &exit), "it was to be killed: %v %s", err, out)
				require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), "%s", out)
				requireWhole(t, store.dir, id, op.gone)
			})
		}
	}
}
