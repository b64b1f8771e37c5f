package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// harden keeps Windows from showing a dialog, and from making a dump, when a driver crashes.
func harden() error {
	windows.SetErrorMode(windows.SEM_FAILCRITICALERRORS | windows.SEM_NOGPFAULTERRORBOX | windows.SEM_NOOPENFILEERRORBOX)
	return nil
}

// takeStdout keeps standard output for the answers. A driver that asks Windows for the handle gets standard error; one that
// prints through a C runtime which already took the old handle still disturbs the frames, and the agent then ends us.
func takeStdout() (*os.File, error) {
	out := os.Stdout
	if err := windows.SetStdHandle(windows.STD_OUTPUT_HANDLE, windows.Handle(os.Stderr.Fd())); err != nil {
		return nil, fmt.Errorf("redirect standard output: %w", err)
	}
	return out, nil
}
