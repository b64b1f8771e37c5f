package ws

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"

	"certsign/agent"
	"certsign/internal/problem"
)

// OwnUser tells by the system's table of connections which process owns the other end, and by that process's token whose
// it is. A process that this user may not even look at is another user's.
func OwnUser() agent.Peers { return tablePeers{} }

type tablePeers struct{}

// Mine implements agent.Peers.
func (tablePeers) Mine(_ context.Context, local, remote netip.AddrPort) error {
	pid, err := peerPID(remote, local)
	if err != nil {
		return problem.Wrap(problem.NotYours, err, "the other end's process cannot be told")
	}
	mine, err := ownProcess(pid)
	if err != nil {
		return problem.Wrap(problem.NotYours, err, "the other end's user cannot be told")
	}
	if !mine {
		return problem.New(problem.NotYours, "the other end is another user's process")
	}
	return nil
}

var procGetExtendedTCPTable = windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetExtendedTcpTable")

// tableOwnerPIDConnections is TCP_TABLE_OWNER_PID_CONNECTIONS of iprtrmib.h.
const tableOwnerPIDConnections = 4

// Sizes and offsets of MIB_TCPROW_OWNER_PID and MIB_TCP6ROW_OWNER_PID (tcpmib.h); all members are DWORDs or octets.
const (
	row4, row4Local, row4LocalPort, row4Remote, row4RemotePort, row4PID = 24, 4, 8, 12, 16, 20
	row6, row6Local, row6LocalPort, row6Remote, row6RemotePort, row6PID = 56, 0, 20, 24, 44, 52
)

var errNoPeer = errors.New("the connection is not in the system's table")

func peerPID(from, to netip.AddrPort) (uint32, error) {
	if from.Addr().Unmap().Is4() {
		table, err := connections(windows.AF_INET)
		if err != nil {
			return 0, err
		}
		for _, r := range rows(table, row4) {
			if at(r, row4Local, 4, row4LocalPort) == plain(from) && at(r, row4Remote, 4, row4RemotePort) == plain(to) {
				return binary.LittleEndian.Uint32(r[row4PID:]), nil
			}
		}
	}
	table, err := connections(windows.AF_INET6)
	if err != nil {
		return 0, err
	}
	for _, r := range rows(table, row6) {
		if at(r, row6Local, 16, row6LocalPort) == plain(from) && at(r, row6Remote, 16, row6RemotePort) == plain(to) {
			return binary.LittleEndian.Uint32(r[row6PID:]), nil
		}
	}
	return 0, errNoPeer
}

func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// at reads an address and a port, both in network order, the port in the first half of its DWORD.
func at(row []byte, addr, n, port int) netip.AddrPort {
	a, _ := netip.AddrFromSlice(row[addr : addr+n])
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(row[port:]))
}

func rows(table []byte, size int) [][]byte {
	if len(table) < 4 {
		return nil
	}
	n := int(binary.LittleEndian.Uint32(table))
	var all [][]byte
	for table = table[4:]; n > 0 && len(table) >= size; n-- {
		all, table = append(all, table[:size]), table[size:]
	}
	return all
}

func connections(family uint32) ([]byte, error) {
	size := uint32(16 << 10)
	for range 8 {
		buf := make([]byte, size)
		r, _, _ := procGetExtendedTCPTable.Call(uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0,
			uintptr(family), tableOwnerPIDConnections, 0)
		switch err := windows.Errno(r); err {
		case windows.ERROR_SUCCESS:
			return buf, nil
		case windows.ERROR_INSUFFICIENT_BUFFER:
			size += 4 << 10
		default:
			return nil, fmt.Errorf("read connections: %w", err)
		}
	}
	return nil, errors.New("read connections: the table keeps growing")
}

func ownProcess(pid uint32) (bool, error) {
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return false, fmt.Errorf("open process: %w", err)
	}
	defer windows.CloseHandle(process)
	var token windows.Token
	if err := windows.OpenProcessToken(process, windows.TOKEN_QUERY, &token); err != nil {
		return false, fmt.Errorf("open process token: %w", err)
	}
	defer token.Close()
	theirs, err := token.GetTokenUser()
	if err != nil {
		return false, fmt.Errorf("read process token: %w", err)
	}
	ours, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return false, fmt.Errorf("read own token: %w", err)
	}
	return theirs.User.Sid.Equals(ours.User.Sid), nil
}
