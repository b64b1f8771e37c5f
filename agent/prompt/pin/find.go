package pin

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"certsign/internal/problem"
)

// find returns the dialog of this computer.
func (p *Prompter) find() (dialog, error) {
	tty := p.config.TTY
	if tty == "" {
		tty = os.Getenv("GPG_TTY")
	}
	entryOf := func(program string) *entry {
		return &entry{program: program, args: p.config.Args, env: p.config.Env, tty: tty}
	}
	if p.config.Program != "" {
		path, err := exec.LookPath(p.config.Program)
		if err != nil {
			return nil, problem.Wrap(problem.PromptUnavailable, err, "the PIN program is not there")
		}
		return entryOf(path), nil
	}
	display := p.env("DISPLAY") != "" || p.env("WAYLAND_DISPLAY") != ""
	for _, name := range pinentries(display, tty != "") {
		path, err := exec.LookPath(name)
		if err == nil && (tty != "" || !needsTerminal(path)) {
			return entryOf(path), nil
		}
	}
	return native(p.config, display)
}

// env returns a variable as the program will see it.
func (p *Prompter) env(name string) string {
	for i := len(p.config.Env) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(p.config.Env[i], name+"="); ok {
			return value
		}
	}
	return os.Getenv(name)
}

// pinentries are the names to look for. Windows and macOS have good dialogs of their own.
func pinentries(display, terminal bool) []string {
	switch {
	case runtime.GOOS == "windows" || runtime.GOOS == "darwin":
		return nil
	case display:
		return []string{"pinentry", "pinentry-gnome3", "pinentry-qt", "pinentry-gtk-2", "pinentry-x11"}
	case terminal:
		return []string{"pinentry-curses", "pinentry-tty", "pinentry"}
	default:
		return nil
	}
}

// needsTerminal tells whether what a name leads to is a program without a window.
func needsTerminal(path string) bool {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	name := filepath.Base(path)
	return strings.HasSuffix(name, "-curses") || strings.HasSuffix(name, "-tty")
}
