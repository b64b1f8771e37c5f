//go:build unix

package home

import "os"

// makeFolder makes a folder for its owner alone, unless there is one.
func makeFolder(path string) error { return os.MkdirAll(path, 0o700) }
