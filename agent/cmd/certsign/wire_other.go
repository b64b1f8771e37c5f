//go:build !windows

package main

import (
	"log/slog"
	"os"
	"os/exec"
	"syscall"

	"certsign/agent"
)

// systemStores are the key stores that only this system has: none.
func (*command) systemStores(*slog.Logger) []agent.KeyStore { return nil }

// systemLanguage is the locale of messages (POSIX, XBD 8.2).
func systemLanguage() string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// detach makes a program outlive the one that starts it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
