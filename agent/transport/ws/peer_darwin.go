package ws

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"certsign/agent"
	"certsign/internal/problem"
)

// OwnUser tells by the kernel's list of connections (sysctl net.inet.tcp.pcblist_n) which user owns the other end. It
// was written after the kernel's headers and has not run on a Mac; where it does not understand the list it refuses.
func OwnUser() agent.Peers { return pcbPeers{} }

type pcbPeers struct{}

// Mine implements agent.Peers.
func (pcbPeers) Mine(_ context.Context, local, remote netip.AddrPort) error {
	list, err := unix.SysctlRaw("net.inet.tcp.pcblist_n")
	if err != nil {
		return problem.Wrap(problem.NotYours, fmt.Errorf("read connections: %w", err), "the other end's user cannot be told")
	}
	uid, err := findUID(list, remote, local)
	if err != nil {
		return problem.Wrap(problem.NotYours, err, "the other end's user cannot be told")
	}
	if uid != uint32(os.Geteuid()) {
		return problem.New(problem.NotYours, "the other end is user %d", uid)
	}
	return nil
}

// Kinds of records (sys/socketvar.h), and offsets in struct xinpcb_n (netinet/in_pcb.h) and struct xsocket_n; both are
// packed to four octets.
const (
	kindSocket, kindInpcb          = 0x001, 0x010
	inpForeignPort, inpLocalPort   = 16, 18
	inpVersion                     = 44
	inpForeign, inpLocal, inpBytes = 48, 64, 80
	soUID, soBytes                 = 64, 68
)

var errNoPeer = errors.New("the connection is not in the kernel's list")

// findUID walks the records: each begins with its length and kind, and one connection is an inpcb followed by its socket.
func findUID(list []byte, from, to netip.AddrPort) (uint32, error) {
	if len(list) < 4 {
		return 0, errNoPeer
	}
	step := func() []byte {
		if len(list) < 8 {
			return nil
		}
		n := int(binary.LittleEndian.Uint32(list))
		if n < 8 || n > len(list) {
			return nil
		}
		record := list[:n]
		list = list[min(len(list), (n+7)&^7):]
		return record
	}
	if head := int(binary.LittleEndian.Uint32(list)); head >= 8 && head <= len(list) { // struct xinpgen
		list = list[min(len(list), (head+7)&^7):]
	}
	found := false
	for r := step(); r != nil; r = step() {
		switch kind := binary.LittleEndian.Uint32(r[4:]); {
		case kind == kindInpcb && len(r) >= inpBytes:
			found = end(r, inpLocal, inpLocalPort) == plain(from) && end(r, inpForeign, inpForeignPort) == plain(to)
		case kind == kindSocket && len(r) >= soBytes && found:
			return binary.LittleEndian.Uint32(r[soUID:]), nil
		}
	}
	return 0, errNoPeer
}

func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// end reads one end; an IPv4 address stands in the last four of its sixteen octets (struct in_addr_4in6).
func end(r []byte, addr, port int) netip.AddrPort {
	raw := r[addr : addr+16]
	if r[inpVersion]&0x1 != 0 { // INP_IPV4
		raw = raw[12:]
	}
	a, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(r[port:]))
}
