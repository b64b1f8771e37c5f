package ws

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"certsign/agent"
	"certsign/internal/problem"
)

// OwnUser tells by the kernel's table of connections which user owns the other end. Inside a container it sees the
// container's own connections, and user ids as the container names them.
func OwnUser() agent.Peers { return procPeers{} }

type procPeers struct{}

// The tables: a browser may have opened an IPv4 connection through an IPv6 socket.
var procTables = []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"}

// Mine implements agent.Peers.
func (procPeers) Mine(ctx context.Context, local, remote netip.AddrPort) error {
	uid, err := peerUID(ctx, local, remote)
	if err != nil {
		return problem.Wrap(problem.NotYours, err, "the other end's user cannot be told")
	}
	if uid != os.Geteuid() {
		return problem.New(problem.NotYours, "the other end is user %d", uid)
	}
	return nil
}

var errNoPeer = errors.New("the connection is not in the kernel's table")

// peerUID finds the connection whose local end is our remote one.
func peerUID(ctx context.Context, local, remote netip.AddrPort) (int, error) {
	for try := 0; ; try++ {
		for _, table := range procTables {
			f, err := os.Open(table)
			if errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6
				continue
			}
			if err != nil {
				return 0, fmt.Errorf("read connections: %w", err)
			}
			uid, err := findUID(f, remote, local)
			_ = f.Close()
			if !errors.Is(err, errNoPeer) {
				return uid, err
			}
		}
		// The table is read while it changes, and a row can be passed over.
		if try == 3 {
			return 0, errNoPeer
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// findUID reads a table in the form of proc(5), /proc/net/tcp: "sl local_address rem_address st queues timer retrnsmt uid".
func findUID(r io.Reader, from, to netip.AddrPort) (int, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 8 {
			continue
		}
		a, ok := tableAddr(f[1])
		if !ok || !same(a, from) {
			continue
		}
		if b, ok := tableAddr(f[2]); !ok || !same(b, to) {
			continue
		}
		uid, err := strconv.Atoi(f[7])
		if err != nil {
			return 0, fmt.Errorf("read connections: user %q", f[7])
		}
		return uid, nil
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("read connections: %w", err)
	}
	return 0, errNoPeer
}

func same(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && a.Addr().Unmap() == b.Addr().Unmap()
}

// tableAddr reads "0100007F:1F90": 32-bit words of network order, each printed as this machine reads it.
func tableAddr(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	if !ok || err != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	p, err := strconv.ParseUint(port, 16, 16)
	addr, ok := netip.AddrFromSlice(raw)
	if err != nil || !ok {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, uint16(p)), true
}
