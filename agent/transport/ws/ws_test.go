package ws_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/agent/home"
	"certsign/agent/keystore/keyfile"
	"certsign/agent/transport/ws"
	"certsign/internal/ades/format"
	"certsign/internal/problem"
	"certsign/internal/testtool"
)

const portal = "https://portal.example"

// clerk is who is asked whether a site may connect.
type clerk struct {
	agent.Prompter
	origin func(context.Context) error
	asked  atomic.Int32
}

func (c *clerk) ApproveOrigin(ctx context.Context, _ agent.OriginQuestion) error {
	c.asked.Add(1)
	return c.origin(ctx)
}

// server is an agent that listens.
type server struct {
	t     *testing.T
	home  *home.Dir
	agent *agent.Agent
	clerk *clerk
	ws    *ws.Transport
	stop  func()
}

func serve(t *testing.T, edit func(*ws.Config), limits agent.Limits) *server {
	t.Helper()
	h, err := home.Open(testtool.TempDir(t))
	require.NoError(t, err)
	c := &clerk{origin: func(context.Context) error { return problem.New(problem.UserCancelled, "no") }}
	a, err := agent.New(agent.Config{
		Home: h, Version: "1", Stores: []agent.KeyStore{keyfile.New(h.Path("keys"))}, Prompter: c, Codecs: format.All(), Limits: limits,
	})
	require.NoError(t, err)
	require.NoError(t, a.Sites().Put(agent.Site{Name: "portal", Origin: parse(t, portal), Allow: []agent.Operation{agent.MaySign, agent.MayList}}))
	config := ws.Config{Ports: []int{0}}
	if edit != nil {
		edit(&config)
	}
	transport, err := ws.Listen(config)
	require.NoError(t, err)
	s := &server{t: t, home: h, agent: a, clerk: c, ws: transport}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- transport.Serve(ctx, a) }()
	s.stop = func() {
		cancel()
		select {
		case err := <-done:
			assert.NoError(t, err)
		case <-time.After(10 * time.Second):
			assert.Fail(t, "the transport does not stop")
		}
		done <- nil
	}
	t.Cleanup(func() { s.stop(); a.Close() })
	return s
}

func parse(t *testing.T, s string) agent.Origin {
	t.Helper()
	o, err := agent.ParseOrigin(s)
	require.NoError(t, err)
	return o
}

func (s *server) host() string { return fmt.Sprintf("127.0.0.1:%d", s.ws.Port()) }

// request makes one HTTP request as a browser would; header is name, value…
func (s *server) request(method, path string, body io.Reader, header ...string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.host()+path, body)
	require.NoError(s.t, err)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Add(header[i], header[i+1])
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(r)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

func code(t *testing.T, r *http.Response) string {
	t.Helper()
	var body struct{ Error agent.WireError }
	require.NoError(t, json.NewDecoder(r.Body).Decode(&body))
	assert.NotEmpty(t, body.Error.Message)
	return body.Error.Code
}

func TestHello(t *testing.T) {
	s := serve(t, nil, agent.Limits{})
	for _, o := range []string{portal, "https://anything.example:8443", "http://localhost:18080", "http://[::1]"} {
		r := s.request("GET", "/certsign/v1/hello", nil, "Origin", o)
		assert.Equal(t, 200, r.StatusCode)
		assert.Equal(t, `{"agent":"certsign","protocol":1}`, text(t, r), "and no more")
		assert.Equal(t, o, r.Header.Get("Access-Control-Allow-Origin"))
		assert.Empty(t, r.Header.Get("Access-Control-Allow-Credentials"))
		assert.Equal(t, "no-store", r.Header.Get("Cache-Control"))
		assert.Equal(t, "Origin", r.Header.Get("Vary"))
	}
	assert.Zero(t, s.clerk.asked.Load(), "discovery asks nobody")
}

func TestHelloOverIPv6AndByName(t *testing.T) {
	s := serve(t, nil, agent.Limits{})
	for _, host := range []string{"[::1]", "localhost"} {
		t.Run(host, func(t *testing.T) {
			if host == "[::1]" {
				testtool.NotWine(t, "its table of connections names no owner for those over IPv6")
			}
			r, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://%s:%d/certsign/v1/hello", host, s.ws.Port()), nil)
			require.NoError(t, err)
			r.Header.Set("Origin", portal)
			resp, err := (&http.Client{}).Do(r)
			if err != nil && host == "[::1]" {
				t.Skip("this computer has no IPv6")
			}
			require.NoError(t, err)
			resp.Body.Close()
			assert.Equal(t, 200, resp.StatusCode)
		})
	}
}

func TestHTTPRefusals(t *testing.T) {
	s := serve(t, nil, agent.Limits{})
	host := s.host()
	for _, c := range []struct {
		name, method, path string
		header             []string
		status             int
		code               string
		readable           bool // by the page
	}{
		{"a foreign host is misdirected", "GET", "/certsign/v1/hello", []string{"Host", "evil.test", "Origin", portal}, 421, "host_rejected", false},
		{"a foreign host with our port is misdirected", "GET", "/certsign/v1/hello", []string{"Host", strings.Replace(host, "127.0.0.1", "evil.test", 1), "Origin", portal}, 421, "host_rejected", false},
		{"our host with another port is misdirected", "GET", "/certsign/v1/hello", []string{"Host", "127.0.0.1:1", "Origin", portal}, 421, "host_rejected", false},
		{"another loopback address is misdirected", "GET", "/certsign/v1/hello", []string{"Host", strings.Replace(host, "127.0.0.1", "127.0.0.2", 1), "Origin", portal}, 421, "host_rejected", false},
		{"a host with a trailing dot is misdirected", "GET", "/certsign/v1/hello", []string{"Host", strings.Replace(host, "127.0.0.1", "localhost.", 1), "Origin", portal}, 421, "host_rejected", false},
		{"a socket under a foreign host is misdirected before it opens", "GET", "/certsign/v1/socket", []string{"Host", "evil.test", "Origin", portal, "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, 421, "host_rejected", false},
		{"no origin is refused", "GET", "/certsign/v1/hello", nil, 403, "origin_rejected", false},
		{"a null origin is refused", "GET", "/certsign/v1/hello", []string{"Origin", "null"}, 403, "origin_rejected", false},
		{"an insecure origin is refused", "GET", "/certsign/v1/hello", []string{"Origin", "http://portal.example"}, 403, "origin_rejected", false},
		{"two origins are refused", "GET", "/certsign/v1/hello", []string{"Origin", portal, "Origin", "https://b.example"}, 403, "origin_rejected", false},
		{"a look-alike with user information is refused", "GET", "/certsign/v1/hello", []string{"Origin", "https://portal.example@evil.example"}, 403, "origin_rejected", false},
		{"a preflight of a null origin is refused", "OPTIONS", "/certsign/v1/hello", []string{"Origin", "null"}, 403, "origin_rejected", false},
		{"hello is only read", "POST", "/certsign/v1/hello", []string{"Origin", portal}, 405, "bad_request", true},
		{"a socket needs a handshake", "GET", "/certsign/v1/socket", []string{"Origin", portal}, 400, "bad_request", false},
		{"there is nothing else", "GET", "/", []string{"Origin", portal}, 404, "not_found", true},
		{"there is nothing beside", "GET", "/certsign/v1/documents", []string{"Origin", portal}, 404, "not_found", true},
		{"a ticket that never was", "GET", "/certsign/v1/documents/AAAAAAAAAAAAAAAAAAAAAA", []string{"Origin", portal}, 404, "ticket_invalid", true},
		{"an upload to a ticket that never was", "POST", "/certsign/v1/documents/AAAAAAAAAAAAAAAAAAAAAA", []string{"Origin", portal}, 404, "ticket_invalid", true},
		{"documents are posted or got", "PUT", "/certsign/v1/documents/AAAAAAAAAAAAAAAAAAAAAA", []string{"Origin", portal}, 405, "bad_request", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.request(c.method, c.path, nil, c.header...)
			assert.Equal(t, c.status, r.StatusCode)
			assert.Equal(t, c.code, code(t, r))
			assert.Equal(t, c.readable, r.Header.Get("Access-Control-Allow-Origin") != "")
		})
	}
}

func TestPreflight(t *testing.T) {
	s := serve(t, nil, agent.Limits{})
	r := s.request("OPTIONS", "/certsign/v1/documents/x", nil, "Origin", portal, "Access-Control-Request-Method", "POST", "Access-Control-Request-Private-Network", "true")
	assert.Equal(t, 204, r.StatusCode)
	assert.Equal(t, portal, r.Header.Get("Access-Control-Allow-Origin"))
	assert.Equal(t, "true", r.Header.Get("Access-Control-Allow-Private-Network"))
	assert.Contains(t, r.Header.Get("Access-Control-Allow-Methods"), "POST")
}

// dial opens a socket; protocols are those that are offered.
func (s *server) dial(o string, protocols ...string) (*websocket.Conn, error) {
	h := http.Header{}
	if o != "" {
		h.Set("Origin", o)
	}
	d := websocket.Dialer{Subprotocols: protocols, HandshakeTimeout: 5 * time.Second}
	c, _, err := d.DialContext(s.t.Context(), "ws://"+s.host()+"/certsign/v1/socket", h)
	if err == nil {
		s.t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func (s *server) open(o string) *websocket.Conn {
	s.t.Helper()
	c, err := s.dial(o, agent.SubProtocol)
	require.NoError(s.t, err)
	require.Equal(s.t, agent.SubProtocol, c.Subprotocol())
	return c
}

// frame reads the next frame.
func frame(t *testing.T, c *websocket.Conn) map[string]any {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	var f map[string]any
	require.NoError(t, c.ReadJSON(&f))
	return f
}

// closed reads until the socket closes.
func closed(t *testing.T, c *websocket.Conn) (int, string) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	for {
		_, _, err := c.ReadMessage()
		var ce *websocket.CloseError
		if errors.As(err, &ce) {
			return ce.Code, ce.Text
		}
		require.NoError(t, err)
	}
}

func TestSocketRefusals(t *testing.T) {
	s := serve(t, nil, agent.Limits{})
	for _, c := range []struct {
		name, origin string
		protocols    []string
		code         int
		reason       string
	}{
		{"no origin", "", []string{agent.SubProtocol}, 4403, "origin_rejected"},
		{"a null origin", "null", []string{agent.SubProtocol}, 4403, "origin_rejected"},
		{"an insecure origin", "http://portal.example", []string{agent.SubProtocol}, 4403, "origin_rejected"},
		{"a name rebound to loopback", "http://evil.test", []string{agent.SubProtocol}, 4403, "origin_rejected"},
		{"an extension", "chrome-extension://abcdefghijklmnopabcdefghijklmnop", []string{agent.SubProtocol}, 4403, "origin_rejected"},
		{"an origin that the person refuses", "https://foreign.example", []string{agent.SubProtocol}, 4403, "origin_rejected"},
		{"a subdomain of a site on the list", "https://sub.portal.example", []string{agent.SubProtocol}, 4403, "origin_rejected"},
		{"another port of a site on the list", "https://portal.example:8443", []string{agent.SubProtocol}, 4403, "origin_rejected"},
		{"no sub-protocol", portal, nil, 4426, "version_unsupported"},
		{"a newer sub-protocol", portal, []string{"certsign.v2"}, 4426, "version_unsupported"},
		{"another program's sub-protocol", portal, []string{"mqtt"}, 4426, "version_unsupported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := s.dial(c.origin, c.protocols...)
			require.NoError(t, err, "the page must be able to read why")
			code, reason := closed(t, conn)
			assert.Equal(t, c.code, code)
			assert.Equal(t, c.reason, reason)
		})
	}
	all, err := s.agent.Sites().All()
	require.NoError(t, err)
	assert.Len(t, all, 1, "nobody was put on the list")
}

func TestASocketSpeaks(t *testing.T) {
	s := serve(t, nil, agent.Limits{})
	c := s.open(portal)
	f := frame(t, c)
	assert.Equal(t, "ready", f["event"])
	assert.Equal(t, portal, f["data"].(map[string]any)["origin"])
	require.NoError(t, c.WriteMessage(websocket.TextMessage, []byte(`{"id":"1","method":"status"}`)))
	f = frame(t, c)
	assert.Equal(t, "1", f["id"])
	assert.Equal(t, true, f["result"].(map[string]any)["connected"])
	require.NoError(t, c.WriteMessage(websocket.TextMessage, []byte(`{"id":"2","method":"digest"}`)))
	assert.Equal(t, "unknown_method", frame(t, c)["error"].(map[string]any)["code"])
}

func TestFramesThatEndTheSocket(t *testing.T) {
	s := serve(t, nil, agent.Limits{})
	for name, c := range map[string]struct {
		kind   int
		frame  string
		code   int
		reason string
	}{
		"a binary frame":       {websocket.BinaryMessage, "{}", 4400, "bad_request"},
		"no JSON":              {websocket.TextMessage, "hello", 4400, "bad_request"},
		"a frame over limit":   {websocket.TextMessage, `{"id":"` + strings.Repeat("a", agent.MaxFrame) + `"}`, 4413, "too_large"},
		"a request with no id": {websocket.TextMessage, `{"method":"status"}`, 4400, "bad_request"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := s.open(portal)
			require.Equal(t, "ready", frame(t, conn)["event"])
			require.NoError(t, conn.WriteMessage(c.kind, []byte(c.frame)))
			code, reason := closed(t, conn)
			assert.Equal(t, c.code, code)
			assert.Equal(t, c.reason, reason)
		})
	}
}

func TestTooManyPagesAreBusy(t *testing.T) {
	s := serve(t, nil, agent.Limits{Pages: 1})
	first := s.open(portal)
	require.Equal(t, "ready", frame(t, first)["event"])
	code, reason := closed(t, s.open(portal))
	assert.Equal(t, 4409, code)
	assert.Equal(t, "busy", reason)
	first.Close()
	require.Eventually(t, func() bool {
		c, err := s.dial(portal, agent.SubProtocol)
		if err != nil {
			return false
		}
		defer c.Close()
		var f map[string]any
		return c.ReadJSON(&f) == nil && f["event"] == "ready"
	}, 5*time.Second, 20*time.Millisecond)
}

// foreign says that the other end is somebody else's.
type foreign struct{}

func (foreign) Mine(context.Context, netip.AddrPort, netip.AddrPort) error {
	return errors.New("cannot tell")
}

func TestAnotherUsersBrowserIsToldSoAndNothingMore(t *testing.T) {
	s := serve(t, func(c *ws.Config) { c.Peers = foreign{} }, agent.Limits{})
	r := s.request("GET", "/certsign/v1/hello", nil, "Origin", portal)
	assert.Equal(t, 403, r.StatusCode)
	assert.Equal(t, portal, r.Header.Get("Access-Control-Allow-Origin"), "so that the page can go on to its own agent")
	assert.Equal(t, "not_yours", code(t, r))
	r = s.request("POST", "/certsign/v1/documents/x", strings.NewReader("x"), "Origin", portal)
	assert.Equal(t, "not_yours", code(t, r))
	for _, o := range []string{portal, "https://foreign.example", "null"} {
		c, reason := closed(t, s.open(o))
		assert.Equal(t, 4421, c)
		assert.Equal(t, "not_yours", reason)
	}
	assert.Zero(t, s.clerk.asked.Load())
}

func TestAPageThatGoesAwayWhileThePersonIsAskedClosesTheWindow(t *testing.T) {
	s := serve(t, nil, agent.Limits{})
	shown, gone := make(chan struct{}), make(chan struct{})
	s.clerk.origin = func(ctx context.Context) error {
		close(shown)
		<-ctx.Done()
		close(gone)
		return ctx.Err()
	}
	c := s.open("https://new.example")
	assert.Equal(t, "awaiting-approval", frame(t, c)["event"])
	<-shown
	c.Close()
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		assert.Fail(t, "the window stays open")
	}
}

func TestDocumentsAreHandedInOnce(t *testing.T) {
	s := serve(t, nil, agent.Limits{})
	c := s.open(portal)
	frame(t, c)
	doc := "<a/>"
	sum := sha256.Sum256([]byte(doc))
	require.NoError(t, c.WriteJSON(map[string]any{"id": "1", "method": "sign", "params": map[string]any{"documents": []map[string]any{
		{"name": "a.xml", "mime": "application/xml", "size": len(doc), "sha256": hex.EncodeToString(sum[:])},
	}}}))
	f := frame(t, c)
	require.Equal(t, "tickets", f["event"])
	path := "/certsign/v1/documents/" + f["data"].(map[string]any)["uploads"].([]any)[0].(string)
	r := s.request("POST", path, strings.NewReader(doc), "Origin", "https://foreign.example")
	assert.Equal(t, "ticket_invalid", code(t, r))
	r = s.request("POST", path, strings.NewReader(doc), "Origin", portal)
	assert.Equal(t, 204, r.StatusCode)
	r = s.request("POST", path, strings.NewReader(doc), "Origin", portal)
	assert.Equal(t, "ticket_invalid", code(t, r))
	assert.Equal(t, "progress", frame(t, c)["event"])
	assert.Equal(t, "no_certificate", frame(t, c)["error"].(map[string]any)["code"])
}

func TestASilentConnectionWaitsForThePersonAndOnlySoManyDo(t *testing.T) {
	s := serve(t, func(c *ws.Config) { c.Waiting = 3 }, agent.Limits{})
	var conns []net.Conn
	for range 5 {
		c, err := net.Dial("tcp", s.host())
		require.NoError(t, err)
		defer c.Close()
		conns = append(conns, c)
		time.Sleep(20 * time.Millisecond)
	}
	for n, c := range conns {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
		_, err := c.Read(make([]byte, 1))
		var timeout net.Error
		assert.Equal(t, n >= 2, errors.As(err, &timeout) && timeout.Timeout(), "connection %d: the oldest go", n)
	}
	// The one that waited longest is still served.
	_, err := fmt.Fprintf(conns[2], "GET /certsign/v1/hello HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\n\r\n", s.host(), portal)
	require.NoError(t, err)
	require.NoError(t, conns[2].SetReadDeadline(time.Now().Add(5*time.Second)))
	b := make([]byte, 15)
	_, err = io.ReadFull(conns[2], b)
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1 200 OK", string(b))
}

func TestADeadSocketIsNoticed(t *testing.T) {
	s := serve(t, func(c *ws.Config) { c.Ping = 50 * time.Millisecond }, agent.Limits{Pages: 1})
	dead := s.open(portal)
	require.Equal(t, "ready", frame(t, dead)["event"])
	// Nobody reads any more, so no ping is answered.
	require.Eventually(t, func() bool {
		c, err := s.dial(portal, agent.SubProtocol)
		if err != nil {
			return false
		}
		defer c.Close()
		var f map[string]any
		return c.ReadJSON(&f) == nil && f["event"] == "ready"
	}, 5*time.Second, 50*time.Millisecond)
}

func TestAnAgentThatStopsSaysSo(t *testing.T) {
	s := serve(t, nil, agent.Limits{})
	c := s.open(portal)
	frame(t, c)
	go s.stop()
	code, _ := closed(t, c)
	assert.Equal(t, websocket.CloseGoingAway, code)
}

func TestTheFirstFreePortIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	tr, err := ws.Listen(ws.Config{Ports: []int{port, 0}})
	require.NoError(t, err)
	defer tr.Close()
	assert.NotEqual(t, port, tr.Port())
	_, err = ws.Listen(ws.Config{Ports: []int{port, tr.Port()}})
	assert.Error(t, err)
	// A port that is taken on one of the addresses is not free.
	six, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this computer has no IPv6")
	}
	defer six.Close()
	_, err = ws.Listen(ws.Config{Ports: []int{six.Addr().(*net.TCPAddr).Port}})
	assert.Error(t, err)
}
