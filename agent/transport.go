package agent

import "context"

// Transport carries frames and documents between pages and the agent. A new one is a folder below transport/ and a line in
// cmd/certsign/wire.go. It finds out which origin it talks to, in a way that a page cannot influence, and lets nobody in
// but this user's own programs; everything else is the core's.
type Transport interface {
	// Name is the transport's name, for logs: "ws", "native".
	Name() string
	// Serve carries until ctx ends, and then returns nil when every connection is closed.
	Serve(ctx context.Context, a *Agent) error
}
