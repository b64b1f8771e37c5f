package main

import (
	"log/slog"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"

	"certsign/agent"
	"certsign/agent/keystore/csp"
)

// systemStores are the key stores that only Windows has.
func (c *command) systemStores(log *slog.Logger) []agent.KeyStore {
	return []agent.KeyStore{csp.New(csp.Config{Chains: c.home.Path("csp"), Log: log})}
}

// systemLanguage is the language that the person chose for Windows, or LANG where a shell sets it.
func systemLanguage() string {
	if v := os.Getenv("LANG"); v != "" {
		return v
	}
	names, err := windows.GetUserPreferredUILanguages(windows.MUI_LANGUAGE_NAME)
	if err != nil || len(names) == 0 {
		return ""
	}
	return names[0]
}

// detach makes a program outlive the one that starts it, without a console of its own.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		HideWindow: true, CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.DETACHED_PROCESS,
	}
}
