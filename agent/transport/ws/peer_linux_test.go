package ws

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/internal/problem"
	"certsign/internal/testtool"
)

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:9C40 0100007F:492B 01 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0000000000000000 20 4 30 10 -1
   1: 0100007F:492B 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 12346 1 0000000000000000 20 4 30 10 -1
   2: short
   3: 0000000000000000FFFF00000100007F:9C41 0000000000000000FFFF00000100007F:492B 01 00000000:00000000 00:00000000 00000000 65534 0 1
   4: 00000000000000000000000001000000:9C42 00000000000000000000000001000000:492B 01 00000000:00000000 00:00000000 00000000 1001 0 1
`

func TestTheKernelsTableIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string
		uid      int
	}{
		"IPv4":                  {"127.0.0.1:40000", "127.0.0.1:18731", 1000},
		"the other way round":   {"127.0.0.1:18731", "127.0.0.1:40000", 0},
		"IPv4 in an IPv6 table": {"127.0.0.1:40001", "127.0.0.1:18731", 65534},
		"IPv6":                  {"[::1]:40002", "[::1]:18731", 1001},
	} {
		uid, err := findUID(strings.NewReader(table), netip.MustParseAddrPort(c.from), netip.MustParseAddrPort(c.to))
		require.NoError(t, err, name)
		assert.Equal(t, c.uid, uid, name)
	}
	_, err := findUID(strings.NewReader(table), netip.MustParseAddrPort("127.0.0.1:40000"), netip.MustParseAddrPort("127.0.0.1:18732"))
	assert.ErrorIs(t, err, errNoPeer, "both ends must fit")
}

func TestOwnConnectionsAreOurs(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue // no IPv6 here
		}
		defer l.Close()
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		accepted, err := l.Accept()
		require.NoError(t, err)
		defer accepted.Close()
		local := netip.MustParseAddrPort(accepted.LocalAddr().String())
		remote := netip.MustParseAddrPort(accepted.RemoteAddr().String())
		assert.NoError(t, OwnUser().Mine(t.Context(), local, remote))
		nobody := netip.AddrPortFrom(remote.Addr(), remote.Port()^1)
		assert.Equal(t, problem.NotYours, problem.CodeOf(OwnUser().Mine(t.Context(), local, nobody)), "who is not in the table is refused")
	}
}

func TestAnotherUsersConnectionIsNotOurs(t *testing.T) {
	if os.Geteuid() != 0 {
		testtool.Missing(t, "only root can be another user")
	}
	curl := testtool.Need(t, "curl")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, curl, "-s", "--max-time", "10", "http://"+l.Addr().String())
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	require.NoError(t, cmd.Start())
	accepted, err := l.Accept()
	require.NoError(t, err)
	err = OwnUser().Mine(ctx, netip.MustParseAddrPort(accepted.LocalAddr().String()), netip.MustParseAddrPort(accepted.RemoteAddr().String()))
	assert.Equal(t, problem.NotYours, problem.CodeOf(err))
	accepted.Close()
	_ = cmd.Wait()
}

func FuzzFindUID(f *testing.F) {
	f.Add(table)
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = findUID(strings.NewReader(s), netip.MustParseAddrPort("127.0.0.1:40000"), netip.MustParseAddrPort("127.0.0.1:18731"))
	})
}
