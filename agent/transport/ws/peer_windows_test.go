package ws

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"

	"certsign/internal/problem"
	"certsign/internal/testtool"
)

// connected returns both ends of a connection over which something was said: Wine knows its owner only then.
func connected(t *testing.T, address string) (client, accepted net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	client, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	accepted, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = accepted.Close() })
	_, err = client.Write([]byte("GET"))
	require.NoError(t, err)
	_, err = accepted.Read(make([]byte, 3))
	require.NoError(t, err)
	return client, accepted
}

func mine(accepted net.Conn) error {
	return OwnUser().Mine(context.Background(), netip.MustParseAddrPort(accepted.LocalAddr().String()), netip.MustParseAddrPort(accepted.RemoteAddr().String()))
}

func TestOwnConnectionsAreOurs(t *testing.T) {
	t.Run("over IPv4", func(t *testing.T) {
		_, accepted := connected(t, "127.0.0.1:0")
		assert.NoError(t, mine(accepted))
	})
	t.Run("over IPv6", func(t *testing.T) {
		testtool.NotWine(t, "its table of connections names no owner for those over IPv6")
		_, accepted := connected(t, "[::1]:0")
		assert.NoError(t, mine(accepted))
	})
}

func TestWhoCannotBeToldIsNotOurs(t *testing.T) {
	_, accepted := connected(t, "127.0.0.1:0")
	local, remote := netip.MustParseAddrPort(accepted.LocalAddr().String()), netip.MustParseAddrPort(accepted.RemoteAddr().String())
	for name, ends := range map[string][2]netip.AddrPort{
		"another port at the other end":    {local, netip.AddrPortFrom(remote.Addr(), remote.Port()^1)},
		"another port at this end":         {netip.AddrPortFrom(local.Addr(), local.Port()^1), remote},
		"another address at the other end": {local, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), remote.Port())},
		"IPv6 in place of IPv4":            {netip.AddrPortFrom(netip.IPv6Loopback(), local.Port()), netip.AddrPortFrom(netip.IPv6Loopback(), remote.Port())},
	} {
		assert.Equal(t, problem.NotYours, problem.CodeOf(OwnUser().Mine(t.Context(), ends[0], ends[1])), name)
	}
}

func TestAProcessIsTheUsersOwnOrNot(t *testing.T) {
	own, err := ownProcess(uint32(os.Getpid()))
	require.NoError(t, err)
	assert.True(t, own)
	_, err = ownProcess(0) // what stands in the table for a connection that nobody holds any more
	assert.Error(t, err)
}

func TestATableThatLiesAboutItsLengthIsReadToItsEnd(t *testing.T) {
	whole := binary.LittleEndian.AppendUint32(nil, 1000)
	whole = append(whole, make([]byte, 2*row4+5)...)
	assert.Len(t, rows(whole, row4), 2)
	assert.Len(t, rows(binary.LittleEndian.AppendUint32(nil, 1), row4), 0)
	assert.Empty(t, rows([]byte{1}, row4))
	whole[0], whole[1] = 1, 0
	assert.Len(t, rows(whole, row4), 1, "no more than it says")
}

func TestNoOtherProgramListensBesideUs(t *testing.T) {
	listeners, port, err := listenBoth(0)
	require.NoError(t, err)
	for _, l := range listeners {
		defer l.Close()
	}
	sharing := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			require.NoError(t, windows.SetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_REUSEADDR, 1))
		})
	}}
	_, err = sharing.Listen(t.Context(), "tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)).String())
	assert.Error(t, err)
	_, _, err = listenBoth(port)
	assert.Error(t, err)
}
