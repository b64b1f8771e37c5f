//go:build !windows

package ws

import "syscall"

// exclusive has nothing to do here: a port that is listened on cannot be taken by another program.
func exclusive(string, string, syscall.RawConn) error { return nil }
