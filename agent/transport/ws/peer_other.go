//go:build !linux && !windows && !darwin

package ws

import (
	"context"
	"net/netip"

	"certsign/agent"
	"certsign/internal/problem"
)

// OwnUser refuses everybody: this system has no way that is implemented to tell whose a connection is.
func OwnUser() agent.Peers { return noPeers{} }

type noPeers struct{}

// Mine implements agent.Peers.
func (noPeers) Mine(context.Context, netip.AddrPort, netip.AddrPort) error {
	return problem.New(problem.NotYours, "this system does not tell whose a connection is")
}
