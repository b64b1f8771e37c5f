//go:build !windows

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// forbidDumps keeps PINs, passwords and keys out of what a crash leaves on the disk.
func forbidDumps() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	return forbidTracing()
}
