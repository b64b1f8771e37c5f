//go:build unix

package keyfile

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/internal/problem"
)

// Whoever opens a pipe that nobody writes to waits for ever.
func TestAPipeInTheFolderHoldsNothingUp(t *testing.T) {
	dir := t.TempDir()
	store, e, _ := seal(t, dir)
	pipe := filepath.Join(dir, "a-pipe")
	require.NoError(t, syscall.Mkfifo(pipe+extPublic, 0o600))
	require.NoError(t, os.WriteFile(pipe+extKey, []byte("key"), 0o600))

	within(t, func() {
		keys, err := store.List(t.Context())
		assert.NoError(t, err)
		assert.Len(t, keys, 1)
	})
	within(t, func() {
		unlock, err := store.lock(t.Context()) // which sweeps
		if assert.NoError(t, err) {
			unlock()
		}
	})
	require.NoError(t, os.Remove(e.path+extKey))
	require.NoError(t, syscall.Mkfifo(e.path+extKey, 0o600))
	within(t, func() {
		_, _, err := e.unlock(t.Context(), answer(t, password), agent.PurposeSign)
		assert.Equal(t, problem.KeyAbsent, problem.CodeOf(err))
	})
}

func within(t *testing.T, run func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		run()
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		require.Fail(t, "it waits for the pipe")
	}
}
