package main

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"certsign/agent/keystore/pkcs11/wire"
)

// message is a call with its secret.
type message struct {
	call   wire.Call
	secret []byte
	err    error // io.EOF: no call, the agent is gone
}

const (
	patience = time.Second            // how long a call that is under way may still take once nobody waits for it
	slow     = 100 * time.Millisecond // a call that takes longer is one during which the input is watched
)

// calls reads what the agent asks for. The thread that calls the module reads itself, because handing each call from one
// thread to another costs as much as a token's signature; only while a call takes long does somebody else read ahead, to
// see the input end.
type calls struct {
	in     io.Reader
	giveUp func() // ends the process

	count atomic.Uint64 // odd while a call is under way
	mu    sync.Mutex
	ahead chan message // what is being read by watch
}

// next returns the next call.
func (c *calls) next() message {
	c.mu.Lock()
	ahead := c.ahead
	c.ahead = nil
	c.mu.Unlock()
	if ahead != nil {
		return <-ahead
	}
	return c.read()
}

func (c *calls) read() message {
	var m message
	if m.secret, m.err = wire.Read(c.in, &m.call); m.err != nil {
		// What the module does now, also to end in order, is done for nobody.
		time.AfterFunc(patience, c.giveUp)
	}
	return m
}

// during says that f is a call.
func (c *calls) during(f func()) {
	c.count.Add(1)
	f()
	c.count.Add(1)
}

// watch reads ahead while a call is slow, until done is closed.
func (c *calls) watch(done <-chan struct{}) {
	ticker := time.NewTicker(slow)
	defer ticker.Stop()
	seen := uint64(0)
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		now := c.count.Load()
		if now%2 == 1 && now == seen {
			c.mu.Lock()
			if c.count.Load() == now && c.ahead == nil {
				ahead := make(chan message, 1)
				c.ahead = ahead
				go func() { ahead <- c.read() }()
			}
			c.mu.Unlock()
		}
		seen = now
	}
}

// failure is what ends serve when there is no next call: nothing when the input ended between two of them.
func (m message) failure() error {
	if errors.Is(m.err, io.EOF) && !errors.Is(m.err, wire.ErrFrame) {
		return nil
	}
	return m.err
}
