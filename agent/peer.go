package agent

import (
	"context"
	"net/netip"
)

// Peers tells whose program is at the other end of a loopback connection. A computer can have several users at once, and
// the loopback address is everybody's: an agent answers its own user only.
type Peers interface {
	// Mine returns nil when the process that owns the connection's other end runs as this agent's own user, not_yours when
	// it does not or when that cannot be told. local is this end, remote the other.
	Mine(ctx context.Context, local, remote netip.AddrPort) error
}
