//go:build unix

package terminal

import "os"

// openTerminal opens the process's own terminal, wherever its standard files lead.
func openTerminal() (in, out *os.File, err error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	return tty, tty, err
}
