package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// harden keeps Windows from showing a dialog, and from making a dump, when a driver crashes. It also leaves the folder in which
// the person started the agent, such as that of downloads: Windows looks in the current one for the libraries that a driver
// names, and ours is where it looks first anyway.
func harden() error {
	windows.SetErrorMode(windows.SEM_FAILCRITICALERRORS | windows.SEM_NOGPFAULTERRORBOX | windows.SEM_NOOPENFILEERRORBOX)
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program's own folder: %w", err)
	}
	return os.Chdir(filepath.Dir(self))
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
