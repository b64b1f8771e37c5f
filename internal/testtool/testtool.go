// Package testtool finds the programs that tests use as judges and peers. It is imported by tests only.
package testtool

import (
	"os"
	"os/exec"
	"testing"
)

// Need returns the path of a program. Where it is missing the test is skipped with that reason, and fails where CI is
// set: there a skip would hide that nothing was judged.
func Need(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name+" is not installed")
	}
	return path
}

// File returns path when it exists, and otherwise ends the test as Need does.
func File(t testing.TB, path string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		Missing(t, path+" is not there")
	}
	return path
}

// Missing skips the test with that reason, or fails it where CI is set.
func Missing(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}
