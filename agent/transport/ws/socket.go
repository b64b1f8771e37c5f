package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"certsign/agent"
	"certsign/internal/problem"
)

const (
	writeWait = 10 * time.Second
	closeWait = time.Second
)

// other is a sub-protocol of another version: it is echoed only so that the page can read why the socket closes, since
// Chromium fails a socket whose server chose none of those offered.
var other = regexp.MustCompile(`^certsign\.v[0-9]{1,3}$`)

// socket upgrades, and then refuses or serves.
func (t *Transport) socket(w http.ResponseWriter, r *http.Request, o agent.Origin, refused error) {
	offered := websocket.Subprotocols(r)
	answer := http.Header{}
	if slices.Contains(offered, agent.SubProtocol) {
		answer.Set("Sec-Websocket-Protocol", agent.SubProtocol)
	} else {
		refused = errors.Join(refused, problem.New(problem.VersionUnsupported, "this agent speaks %s", agent.SubProtocol))
		if n := slices.IndexFunc(offered, other.MatchString); n >= 0 {
			answer.Set("Sec-Websocket-Protocol", offered[n])
		}
	}
	upgrader := websocket.Upgrader{
		HandshakeTimeout: writeWait, ReadBufferSize: 16 << 10, WriteBufferSize: 16 << 10,
		CheckOrigin: func(*http.Request) bool { return true }, // it was checked above, and a page could not read the refusal
		Error: func(w http.ResponseWriter, _ *http.Request, status int, _ error) {
			write(w, status, problem.New(problem.BadRequest, "not a websocket handshake"))
		},
	}
	t.sockets.Add(1)
	defer t.sockets.Done()
	conn, err := upgrader.Upgrade(w, r, answer)
	if err != nil {
		return
	}
	s := &socket{conn: conn, ping: t.config.Ping}
	defer conn.Close()
	// What comes before the origin is known to be good is not read; and what was read is small.
	conn.SetReadLimit(4 * agent.MaxFrame)
	if refused != nil {
		s.hangUp(refused)
		return
	}
	if err := s.serve(t.ctx, t.agent, o); err != nil {
		s.hangUp(err)
	}
}

// socket is one page's websocket.
type socket struct {
	conn    *websocket.Conn
	ping    time.Duration
	writing sync.Mutex
	ended   chan struct{} // closed when the reader has ended; nil before there is one
}

var errGoingAway = errors.New("the agent is stopping")

// serve carries frames until the page is gone or is sent away; then the error says why.
func (s *socket) serve(ctx context.Context, a *agent.Agent, o agent.Origin) error {
	stopped := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	page, err := a.Connect(ctx, o, s.send)
	if err != nil {
		return err
	}
	defer page.Close()
	s.ended = make(chan struct{})
	breach := make(chan error, 1)
	go func() {
		defer cancel()
		defer close(s.ended)
		breach <- s.read(page)
	}()
	go s.keepAlive(ctx)
	if err := page.Admit(); err != nil && ctx.Err() == nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-page.Done(): // also when it does not read what it is sent
	}
	if stopped.Err() != nil {
		return errGoingAway
	}
	select {
	case err := <-breach:
		return err
	default:
		return nil
	}
}

// read hands frames to the page. It returns nil when the page went away.
func (s *socket) read(page *agent.Page) error {
	alive := func() error { return s.conn.SetReadDeadline(time.Now().Add(5 * s.ping / 2)) }
	s.conn.SetPongHandler(func(string) error { return alive() })
	for {
		if err := alive(); err != nil {
			return nil
		}
		kind, r, err := s.conn.NextReader()
		if err != nil {
			return nil
		}
		if kind != websocket.TextMessage {
			return problem.New(problem.BadRequest, "a binary frame")
		}
		raw, err := io.ReadAll(io.LimitReader(r, agent.MaxFrame+1))
		if err != nil {
			return nil
		}
		if err := page.Receive(raw); err != nil {
			return err
		}
	}
}

func (s *socket) keepAlive(ctx context.Context) {
	tick := time.NewTicker(s.ping)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait)) != nil {
				return
			}
		}
	}
}

// send writes one frame. A page that does not read for a while is gone.
func (s *socket) send(f agent.Frame) error {
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("render frame: %w", err)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	if err := s.conn.WriteMessage(websocket.TextMessage, b); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}

// hangUp closes with a code that the page can read, and gives the page a moment to answer: a connection that is cut at
// once is for some browsers no clean close.
func (s *socket) hangUp(err error) {
	code, reason := websocket.CloseGoingAway, ""
	if !errors.Is(err, errGoingAway) {
		c := problem.CodeOf(err)
		code, reason = agent.CloseCode(c), string(c)
	}
	message := websocket.FormatCloseMessage(code, reason)
	if s.conn.WriteControl(websocket.CloseMessage, message, time.Now().Add(closeWait)) != nil {
		return
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(closeWait))
	if s.ended != nil {
		select {
		case <-s.ended:
		case <-time.After(closeWait):
			return
		}
	}
	for {
		if _, _, err := s.conn.NextReader(); err != nil {
			return
		}
	}
}
