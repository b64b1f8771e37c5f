package internal_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatCannotBeInstalledIsNamed(t *testing.T) {
	need, err := filepath.Abs("../.ci/need")
	require.NoError(t, err)
	tools := t.TempDir() // neither apt-get nor sudo
	for _, name := range []string{"sh", "id", "grep"} {
		path, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(tools, name)))
	}
	write := func(name, script string) {
		require.NoError(t, os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	}
	write("go", "echo go version go1.26.0 linux/amd64")
	for name, tt := range map[string]struct {
		args []string
		says []string
		ok   bool
	}{
		"nothing is missing":             {args: []string{"go", "id=coreutils", filepath.Join(tools, "s*") + "=dash"}, ok: true},
		"a program and a file":           {args: []string{"id=coreutils", "frobnicate=frob", "/nonexistent/*.so=libfrob", "frob2=frob"}, says: []string{"The demo needs programs that are not here: frobnicate /nonexistent/*.so frob2\n", "apt-get install frob libfrob)"}},
		"what Debian has not new enough": {args: []string{"node"}, says: []string{"The demo needs node", "Node 20"}},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(need, append([]string{"The demo"}, tt.args...)...)
			cmd.Env = []string{"PATH=" + tools}
			out, err := cmd.CombinedOutput()
			assert.Equal(t, tt.ok, err == nil, "%s", out)
			for _, says := range tt.says {
				assert.Contains(t, string(out), says)
			}
		})
	}
}
