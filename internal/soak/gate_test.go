//go:build linux

package soak_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// stage is how far a request to the CA has come.
type stage string

const (
	arrived   stage = "arrived"   // the agent has sent it; the CA has not seen it
	answered  stage = "answered"  // the CA has answered; the agent does not know
	delivered stage = "delivered" // the agent has the answer
)

const signPath = "/1.0/sign"

// gate stands between agent and CA, as a proxy of a company would that the agent was told to trust. It sees each request and
// each answer, and lets something be killed while it holds them.
type gate struct {
	server *httptest.Server
	client *http.Client
	ca     string
	mu     sync.Mutex
	watch  func(stage, string) (pass bool)
}

func newGate(t *testing.T, ca, root string) *gate {
	t.Helper()
	pool := x509.NewCertPool()
	b, err := os.ReadFile(root)
	require.NoError(t, err)
	require.True(t, pool.AppendCertsFromPEM(b))
	g := &gate{ca: ca, client: &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
	}}}
	g.server = httptest.NewUnstartedServer(g)
	g.server.Config.ErrorLog = nil
	g.server.StartTLS()
	t.Cleanup(g.server.Close)
	return g
}

// roots writes a file with the CA's root and the gate's own.
func (g *gate) roots(t *testing.T, root, dir string) string {
	t.Helper()
	b, err := os.ReadFile(root)
	require.NoError(t, err)
	path := filepath.Join(dir, "roots.pem")
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.server.Certificate().Raw})
	require.NoError(t, os.WriteFile(path, append(b, own...), 0o600))
	return path
}

// look sets who sees what passes, one after the other; nil for nobody. What is not let through ends like a connection that broke.
func (g *gate) look(watch func(stage, string) (pass bool)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watch = watch
}

func (g *gate) passes(s stage, path string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.watch == nil || g.watch(s, path)
}

// ServeHTTP implements http.Handler.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !g.passes(arrived, r.URL.Path) {
		panic(http.ErrAbortHandler)
	}
	// The request goes on when the agent is gone: it had been sent.
	q, err := http.NewRequest(r.Method, g.ca+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	q.Header = r.Header.Clone()
	answer, err := g.client.Do(q)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil || !g.passes(answered, r.URL.Path) {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(b)
	_ = http.NewResponseController(w).Flush()
	g.passes(delivered, r.URL.Path)
}
