package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// forbidTracing keeps other processes of the same user from reading the memory. It also keeps a core dump from a program
// that core_pattern names (core(5)), which no limit does.
func forbidTracing() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid tracing: %w", err)
	}
	return nil
}
