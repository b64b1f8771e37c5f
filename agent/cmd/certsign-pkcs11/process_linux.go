package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// maxMemory bounds what a driver that leaks can take from the computer, in octets.
const maxMemory = 1 << 30

// harden keeps the PIN out of a core dump and the process out of other processes' debuggers, and bounds its memory.
func harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: maxMemory, Max: maxMemory}); err != nil {
		return fmt.Errorf("bound memory: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid tracing: %w", err)
	}
	return nil
}

// takeStdout keeps standard output for the answers, and gives a driver that prints standard error instead.
func takeStdout() (*os.File, error) {
	out, err := unix.FcntlInt(os.Stdout.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("take standard output: %w", err)
	}
	if err := unix.Dup3(int(os.Stderr.Fd()), int(os.Stdout.Fd()), 0); err != nil {
		return nil, fmt.Errorf("redirect standard output: %w", err)
	}
	return os.NewFile(uintptr(out), "answers"), nil
}
