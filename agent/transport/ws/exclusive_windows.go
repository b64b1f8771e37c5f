package ws

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// soExclusiveAddrUse is SO_EXCLUSIVEADDRUSE of winsock2.h: ((int)(~SO_REUSEADDR)).
const soExclusiveAddrUse = ^4

// exclusive keeps other programs from listening on the same port beside us, which Windows otherwise lets them.
func exclusive(_, _ string, c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) {
		err = windows.SetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, soExclusiveAddrUse, 1)
	}); cerr != nil {
		return cerr
	}
	return err
}
