package testtool

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TempDir is t.TempDir, also where os.RemoveAll does not work: under Wine 8 it fails with "Invalid function", and every
// test that left a file in t.TempDir with it.
func TempDir(t testing.TB) string {
	t.Helper()
	if runtime.GOOS != "windows" {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("", "certsign-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { RemoveAll(dir) })
	return dir
}

// RemoveAll removes a folder and what is in it with os.Remove alone, as far as that goes.
func RemoveAll(dir string) {
	var all []string
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			all = append(all, path)
		}
		return nil
	})
	for i := len(all) - 1; i >= 0; i-- {
		_ = os.Remove(all[i])
	}
}
