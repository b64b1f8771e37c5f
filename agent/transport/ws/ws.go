// Package ws lets pages reach the agent over loopback HTTP and a websocket (RFC 6455): discovery, the socket, documents.
//
// It listens on 127.0.0.1 and [::1] and nowhere else. Every request must name this very host and port (so that a name
// that was rebound to loopback reaches nothing), must come from a process of the agent's own user, and must carry an
// Origin that agent.ParseOrigin accepts; who may do what is the core's. Where a page could not read an HTTP refusal, the
// socket is opened and closed at once with a code of the 44xx group whose reason is the problem's code. A missing, null or
// insecure Origin is refused in this way too; a foreign Host is refused before, with 421, since no page of ours sends one.
//
// It does not speak TLS, and does not compress. The Origin header is believed as far as the process that sends it is a
// browser of the agent's own user; other programs of that user can forge it, which is why each use of a key is put to the
// person.
package ws

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"certsign/agent"
)

// Config says where to listen and within which bounds.
type Config struct {
	// Ports are tried in order; the first that is free on both loopback addresses is taken, 0 is any. Empty: the range
	// agent.FirstPort to agent.LastPort.
	Ports []int
	// Peers tells whose the other end is. Nil: OwnUser.
	Peers agent.Peers
	// Log gets what the outside sees as internal_error only; nil discards.
	Log *slog.Logger
	// HeaderTimeout is how long a connection may stay silent: a browser opens it before it asks the person for the
	// permission. 0 is 150 seconds.
	HeaderTimeout time.Duration
	// Waiting is how many connections may be open that are no socket yet; beyond it the oldest silent one is dropped. 0 is 16.
	Waiting int
	// Ping is how often a socket is asked whether it lives; 0 is 30 seconds.
	Ping time.Duration
}

// Transport is an agent.Transport that listens.
type Transport struct {
	config    Config
	port      int
	listeners []net.Listener
	hosts     map[string]bool
	agent     *agent.Agent
	ctx       context.Context
	sockets   sync.WaitGroup
}

var _ agent.Transport = (*Transport)(nil)

// Listen takes a port. The error is a plain one: no port of the list is free.
func Listen(c Config) (*Transport, error) {
	if len(c.Ports) == 0 {
		for p := agent.FirstPort; p <= agent.LastPort; p++ {
			c.Ports = append(c.Ports, p)
		}
	}
	if c.Peers == nil {
		c.Peers = OwnUser()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.HeaderTimeout <= 0 {
		c.HeaderTimeout = 150 * time.Second
	}
	if c.Waiting <= 0 {
		c.Waiting = 16
	}
	if c.Ping <= 0 {
		c.Ping = 30 * time.Second
	}
	var last error
	for _, p := range c.Ports {
		listeners, port, err := listenBoth(p)
		if err != nil {
			last = err
			continue
		}
		t := &Transport{config: c, port: port, listeners: listeners, hosts: map[string]bool{}}
		for _, h := range []string{"127.0.0.1", "localhost", "[::1]"} {
			t.hosts[h+":"+strconv.Itoa(port)] = true
			if port == 80 {
				t.hosts[h] = true
			}
		}
		return t, nil
	}
	return nil, fmt.Errorf("listen on loopback: no port is free: %w", last)
}

// listenBoth takes one port on both addresses, or none. A computer without IPv6 has only one of them.
func listenBoth(port int) ([]net.Listener, int, error) {
	lc := net.ListenConfig{Control: exclusive}
	tries := 1
	if port == 0 {
		tries = 20
	}
	var last error
	for range tries {
		v4, err := lc.Listen(context.Background(), "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return nil, 0, err
		}
		got := v4.Addr().(*net.TCPAddr).Port
		v6, err := lc.Listen(context.Background(), "tcp6", net.JoinHostPort("::1", strconv.Itoa(got)))
		switch {
		case err == nil:
			return []net.Listener{v4, v6}, got, nil
		case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
			return []net.Listener{v4}, got, nil
		}
		_ = v4.Close()
		last = err
	}
	return nil, 0, last
}

// Port returns the port that was taken.
func (t *Transport) Port() int { return t.port }

// Name implements agent.Transport.
func (t *Transport) Name() string { return "ws" }

// Serve implements agent.Transport.
func (t *Transport) Serve(ctx context.Context, a *agent.Agent) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.agent, t.ctx = a, ctx
	w := &waiting{max: t.config.Waiting, conns: map[net.Conn]*waitingConn{}}
	server := &http.Server{
		Handler: t, ReadHeaderTimeout: t.config.HeaderTimeout, IdleTimeout: t.config.HeaderTimeout, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(t.config.Log.Handler(), slog.LevelDebug), ConnState: w.changed,
	}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	done := make(chan error, len(t.listeners))
	for _, l := range t.listeners {
		go func() { done <- server.Serve(l) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-done:
	}
	cancel()
	end, stop := context.WithTimeout(context.Background(), 2*time.Second)
	defer stop()
	if server.Shutdown(end) != nil {
		_ = server.Close()
	}
	t.sockets.Wait()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve loopback: %w", err)
	}
	return nil
}

// Close gives the port back when Serve was never called.
func (t *Transport) Close() {
	for _, l := range t.listeners {
		_ = l.Close()
	}
}

// waiting bounds the connections that are no socket yet. Browsers open one and leave it silent while they ask the person,
// and any page can make them do so: so a new one is let in, and the oldest that has said nothing goes.
type waiting struct {
	max   int
	mu    sync.Mutex
	count uint64
	conns map[net.Conn]*waitingConn
}

type waitingConn struct {
	since  uint64
	silent bool
}

func (w *waiting) changed(c net.Conn, s http.ConnState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch s {
	case http.StateNew:
		if len(w.conns) >= w.max {
			w.evict(c)
		}
		w.count++
		w.conns[c] = &waitingConn{since: w.count, silent: true}
	case http.StateActive:
		if k := w.conns[c]; k != nil {
			k.silent = false
		}
	case http.StateIdle:
		if k := w.conns[c]; k != nil {
			k.silent = true
		}
	case http.StateHijacked, http.StateClosed:
		delete(w.conns, c)
	}
}

func (w *waiting) evict(newest net.Conn) {
	var oldest net.Conn
	for c, k := range w.conns {
		if k.silent && (oldest == nil || k.since < w.conns[oldest].since) {
			oldest = c
		}
	}
	if oldest == nil { // all are busy handing documents over
		_ = newest.Close()
		return
	}
	delete(w.conns, oldest)
	_ = oldest.Close()
}

// ends returns both ends of a request's connection.
func ends(r *http.Request) (local, remote netip.AddrPort, err error) {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return local, remote, errors.New("the connection has no local address")
	}
	if local, err = netip.ParseAddrPort(addr.String()); err != nil {
		return local, remote, err
	}
	remote, err = netip.ParseAddrPort(r.RemoteAddr)
	return local, remote, err
}
