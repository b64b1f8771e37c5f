package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"github.com/stretchr/testify/suite"

	"certsign/agent"
	"certsign/agent/transport/ws"
	"certsign/internal/problem"
)

// wireRig drives one transport from outside, as a browser would.
type wireRig interface {
	// Make returns the transport. mine tells whether the other end is this user's.
	Make(t *testing.T, mine bool) agent.Transport
	// Connect opens a connection of a page with that origin.
	Connect(t *testing.T, origin string) wireConn
}

// wireConn is a page's end of a connection.
type wireConn interface {
	Send(frame string)
	// Receive returns the next frame, or why the connection ended.
	Receive() (wire, problem.Code, bool)
	Close()
}

// transportSuite is the contract of agent.Transport. A new one adds its own Test function here.
type transportSuite struct {
	suite.Suite
	fresh func() wireRig
	rig   wireRig
	b     *bureau
	stop  func() error
}

func TestWebsocketTransport(t *testing.T) {
	suite.Run(t, &transportSuite{fresh: func() wireRig { return &wsRig{} }})
}

func (s *transportSuite) start(mine bool) {
	s.rig, s.b = s.fresh(), newBureau(s.T())
	transport := s.rig.Make(s.T(), mine)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- transport.Serve(ctx, s.b.agent) }()
	s.stop = func() error {
		cancel()
		select {
		case err := <-done:
			done <- err
			return err
		case <-time.After(10 * time.Second):
			return errors.New("it goes on")
		}
	}
	s.T().Cleanup(func() { _ = s.stop() })
	s.NotEmpty(transport.Name())
}

// ended reads until the connection ends.
func (s *transportSuite) ended(c wireConn) problem.Code {
	for range 10 {
		if _, code, ok := c.Receive(); !ok {
			return code
		}
	}
	s.FailNow("the connection stays open")
	return ""
}

func (s *transportSuite) TestAPageOfASiteOnTheListSpeaks() {
	s.start(true)
	c := s.rig.Connect(s.T(), portal)
	f, _, ok := c.Receive()
	s.True(ok)
	s.Equal(agent.EventReady, f.Event)
	c.Send(`{"id":"1","method":"status"}`)
	f, _, ok = c.Receive()
	s.True(ok)
	s.Equal("1", f.ID)
	var status agent.StatusResult
	s.NoError(json.Unmarshal(f.Result, &status))
	s.Equal(portal, status.Origin, "the origin is the browser's word and nobody else's")
}

func (s *transportSuite) TestWhoIsNotThisUserGetsNothing() {
	s.start(false)
	s.Equal(problem.NotYours, s.ended(s.rig.Connect(s.T(), portal)))
	s.Equal(problem.NotYours, s.ended(s.rig.Connect(s.T(), "https://new.example")))
	s.Empty(s.b.person.questions())
}

func (s *transportSuite) TestAnOriginThatIsNoneIsRefused() {
	s.start(true)
	for _, o := range []string{"null", "", "http://portal.example", "https://portal.example/x", "https://a@portal.example"} {
		s.Equal(problem.OriginRejected, s.ended(s.rig.Connect(s.T(), o)), o)
	}
	s.Empty(s.b.person.questions())
}

func (s *transportSuite) TestAnUnknownOriginIsPutToThePerson() {
	s.start(true)
	s.Equal(problem.OriginRejected, s.ended(s.rig.Connect(s.T(), "https://new.example")))
	s.Equal([]string{"origin"}, s.b.person.questions())
}

func (s *transportSuite) TestABrokenFrameEndsTheConnection() {
	s.start(true)
	c := s.rig.Connect(s.T(), portal)
	_, _, ok := c.Receive()
	s.True(ok)
	c.Send("not JSON")
	s.Equal(problem.BadRequest, s.ended(c))
}

func (s *transportSuite) TestAPageThatGoesAwayEndsWhatRunsForIt() {
	s.start(true)
	shown, gone := make(chan struct{}), make(chan struct{})
	s.b.person.onOrigin = func(ctx context.Context, _ agent.OriginQuestion) error {
		close(shown)
		<-ctx.Done()
		close(gone)
		return ctx.Err()
	}
	c := s.rig.Connect(s.T(), "https://new.example")
	<-shown
	c.Close()
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		s.Fail("the window stays open")
	}
}

func (s *transportSuite) TestServeEndsWithItsContext() {
	s.start(true)
	c := s.rig.Connect(s.T(), portal)
	_, _, ok := c.Receive()
	s.True(ok)
	s.NoError(s.stop())
	_, _, ok = c.Receive()
	s.False(ok)
}

// wsRig is the websocket.
type wsRig struct{ port int }

type peers bool

func (p peers) Mine(context.Context, netip.AddrPort, netip.AddrPort) error {
	if p {
		return nil
	}
	return problem.New(problem.NotYours, "somebody else's")
}

func (r *wsRig) Make(t *testing.T, mine bool) agent.Transport {
	tr, err := ws.Listen(ws.Config{Ports: []int{0}, Peers: peers(mine)})
	require.NoError(t, err)
	r.port = tr.Port()
	return tr
}

func (r *wsRig) Connect(t *testing.T, origin string) wireConn {
	h := http.Header{}
	if origin != "" {
		h.Set("Origin", origin)
	}
	d := websocket.Dialer{Subprotocols: []string{agent.SubProtocol}}
	c, _, err := d.Dial(fmt.Sprintf("ws://127.0.0.1:%d/certsign/v1/socket", r.port), h)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return &wsConn{t, c}
}

type wsConn struct {
	t    *testing.T
	conn *websocket.Conn
}

func (c *wsConn) Send(frame string) {
	require.NoError(c.t, c.conn.WriteMessage(websocket.TextMessage, []byte(frame)))
}

func (c *wsConn) Receive() (wire, problem.Code, bool) {
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	var f wire
	err := c.conn.ReadJSON(&f)
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed):
		return f, problem.Code(closed.Text), false
	case err != nil:
		return f, "", false
	}
	return f, "", true
}

func (c *wsConn) Close() { _ = c.conn.Close() }
