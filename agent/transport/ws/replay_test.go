package ws_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/agent/enroll"
	"certsign/agent/home"
	"certsign/agent/keystore/keyfile"
	"certsign/agent/transport/ws"
	"certsign/internal/ades/format"
	"certsign/internal/problem"
	"certsign/internal/testpki"
	"certsign/internal/testtool"
)

// transcript is one file of testdata/protocol; its README says what the fields mean.
type transcript struct {
	About        string   `json:"about"`
	Origin       string   `json:"origin"`
	Subprotocols []string `json:"subprotocols"`
	Setup        struct {
		Listed      bool   `json:"listed"`
		Certificate string `json:"certificate"`
		Approve     bool   `json:"approve"`
		Consent     bool   `json:"consent"`
		PIN         string `json:"pin"`
	} `json:"setup"`
	Steps []step `json:"steps"`
}

type step struct {
	Agent     any   `json:"agent,omitempty"`
	Page      any   `json:"page,omitempty"`
	Unordered []any `json:"unordered,omitempty"`
	Post      *struct {
		Ticket, Body string
		Status       int
		Code         string
	} `json:"post,omitempty"`
	Get *struct {
		Ticket, SHA256, Code string
		Status               int
	} `json:"get,omitempty"`
	Close *struct {
		Code   int
		Reason string
	} `json:"close,omitempty"`
}

// scripted is the person of a transcript.
type scripted struct{ t *transcript }

var errNo = problem.New(problem.UserCancelled, "no")

func (s scripted) ApproveOrigin(context.Context, agent.OriginQuestion) error {
	if s.t.Setup.Approve {
		return nil
	}
	return errNo
}

func (s scripted) ConfigureStore(_ context.Context, q agent.StoreQuestion) (agent.StoreAnswer, error) {
	if s.t.Setup.Consent {
		return agent.StoreAnswer{Store: keyfile.Name, Place: keyfile.PlaceID, Algorithm: q.Algorithm}, nil
	}
	return agent.StoreAnswer{}, errNo
}

func (s scripted) ApproveSigning(_ context.Context, q agent.SigningQuestion) (agent.SigningAnswer, error) {
	if s.t.Setup.Consent {
		return agent.SigningAnswer{Key: q.Certificates[0].Key}, nil
	}
	return agent.SigningAnswer{}, errNo
}

func (scripted) Notify(context.Context, agent.Notice) {}

const password = "Correct-Horse-7"

func (s scripted) AskPIN(context.Context, agent.PINRequest) (*agent.Secret, error) {
	if s.t.Setup.PIN == "wrong" {
		return agent.NewSecret([]byte("Wrong-Horse-77")), nil
	}
	return agent.NewSecret([]byte(password)), nil
}

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("../../../testdata/protocol/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			var tr transcript
			d := json.NewDecoder(strings.NewReader(string(raw)))
			d.DisallowUnknownFields()
			require.NoError(t, d.Decode(&tr))
			assert.NotEmpty(t, tr.About)
			replay(t, &tr)
		})
	}
}

// stage makes the agent that the transcript was written for, and what the page has from elsewhere.
func stage(t *testing.T, tr *transcript) (*server, map[string]any) {
	t.Helper()
	bound := map[string]any{}
	h, err := home.Open(testtool.TempDir(t))
	require.NoError(t, err)
	store := keyfile.New(h.Path("keys"), keyfile.WithIterations(1000))
	now := func() time.Time { return testpki.Clock }
	desk, err := enroll.New(enroll.Config{Home: h, Proxy: "none", Now: now})
	require.NoError(t, err)
	a, err := agent.New(agent.Config{
		Home: h, Version: "1", Stores: []agent.KeyStore{store}, Prompter: scripted{tr}, PINs: scripted{tr}, Codecs: format.All(),
		Enroller: desk, Now: now,
	})
	require.NoError(t, err)
	root, foreign := testpki.Root(t), testpki.Root(t, testpki.Named("TEST other root"))
	site := agent.Site{
		Name: "portal", Origin: parse(t, portal), CA: "https://127.0.0.1:1", Roots: pemOf(root),
		Allow: []agent.Operation{agent.MayList, agent.MaySign, agent.MayEnroll},
	}
	if tr.Setup.Listed {
		require.NoError(t, a.Sites().Put(site))
	}
	switch tr.Setup.Certificate {
	case "valid":
		certify(t, store, root)
	case "expired":
		certify(t, store, root, testpki.Expired())
	case "foreign":
		certify(t, store, foreign)
	case "apart":
		bound["$certificate"] = issue(t, store, root)
	case "foreign-apart":
		bound["$certificate"] = issue(t, store, foreign)
	}
	transport, err := ws.Listen(ws.Config{Ports: []int{0}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- transport.Serve(ctx, a) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
		a.Close()
		left, err := os.ReadDir(h.Path("tmp"))
		assert.NoError(t, err)
		assert.Empty(t, left)
		_, err = agent.VerifyJournal(h, nil)
		assert.NoError(t, err)
	})
	return &server{t: t, home: h, agent: a, ws: transport}, bound
}

// replay plays the page.
func replay(t *testing.T, tr *transcript) {
	t.Helper()
	s, bound := stage(t, tr)
	origin := tr.Origin
	conn, err := s.dial(origin, tr.Subprotocols...)
	require.NoError(t, err)
	for n, st := range tr.Steps {
		where := fmt.Sprintf("step %d", n+1)
		switch {
		case st.Agent != nil:
			got := frame(t, conn)
			require.True(t, match(st.Agent, got, bound), "%s: wanted %s, got %s", where, show(st.Agent), show(got))
		case st.Unordered != nil:
			left := st.Unordered
			for range st.Unordered {
				got := frame(t, conn)
				found := false
				for i, want := range left {
					if match(want, got, bound) {
						left, found = append(append([]any{}, left[:i]...), left[i+1:]...), true
						break
					}
				}
				require.True(t, found, "%s: got %s", where, show(got))
			}
		case st.Page != nil:
			raw, err := json.Marshal(fill(st.Page, bound))
			require.NoError(t, err)
			require.NoError(t, conn.WriteMessage(websocket.TextMessage, raw))
		case st.Post != nil:
			r := s.request("POST", "/certsign/v1/documents/"+fill(st.Post.Ticket, bound).(string), strings.NewReader(st.Post.Body), "Origin", origin)
			require.Equal(t, st.Post.Status, r.StatusCode, where)
			if st.Post.Code != "" {
				assert.Equal(t, st.Post.Code, code(t, r), where)
			}
		case st.Get != nil:
			r := s.request("GET", "/certsign/v1/documents/"+fill(st.Get.Ticket, bound).(string), nil, "Origin", origin)
			require.Equal(t, st.Get.Status, r.StatusCode, where)
			if st.Get.Code != "" {
				assert.Equal(t, st.Get.Code, code(t, r), where)
				continue
			}
			sum := sha256.Sum256([]byte(text(t, r)))
			assert.Equal(t, fill(st.Get.SHA256, bound), hex.EncodeToString(sum[:]), where)
		case st.Close != nil:
			c, reason := closed(t, conn)
			assert.Equal(t, st.Close.Code, c, where)
			assert.Equal(t, st.Close.Reason, reason, where)
		}
	}
}

// match compares what came with what the transcript says, and binds names.
func match(want, got any, bound map[string]any) bool {
	switch w := want.(type) {
	case string:
		if w == "$*" {
			return true
		}
		if strings.HasPrefix(w, "$") {
			if v, ok := bound[w]; ok {
				return reflect.DeepEqual(v, got)
			}
			bound[w] = got
			return got != nil && got != ""
		}
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for k, v := range w {
			if gv, ok := g[k]; !ok || !match(v, gv, bound) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !match(w[i], g[i], bound) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(want, got)
}

// fill puts bound values into what the page sends.
func fill(v any, bound map[string]any) any {
	switch x := v.(type) {
	case string:
		if b, ok := bound[x]; ok {
			return b
		}
	case map[string]any:
		out := map[string]any{}
		for k, e := range x {
			out[k] = fill(e, bound)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = fill(x[i], bound)
		}
		return out
	}
	return v
}

func show(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func pemOf(a *testpki.Authority) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.DER}))
}

// certify makes a key in the store, and stores a certificate beside it.
func certify(t *testing.T, store *keyfile.Store, root *testpki.Authority, options ...testpki.Option) {
	t.Helper()
	key, leaf := enrol(t, store, root, options...)
	require.NoError(t, store.Attach(t.Context(), key, [][]byte{leaf.DER}, scripted{&transcript{}}.AskPIN))
}

// issue makes a key in the store, and returns the certificate for it (base64 DER), which does not lie beside it.
func issue(t *testing.T, store *keyfile.Store, root *testpki.Authority) string {
	t.Helper()
	_, leaf := enrol(t, store, root)
	return base64.StdEncoding.EncodeToString(leaf.DER)
}

// enrol makes a key in the only way there is.
func enrol(t *testing.T, store *keyfile.Store, root *testpki.Authority, options ...testpki.Option) (key string, leaf *testpki.Leaf) {
	t.Helper()
	h, err := home.Open(testtool.TempDir(t))
	require.NoError(t, err)
	desk, err := enroll.New(enroll.Config{Home: h})
	require.NoError(t, err)
	yes := scripted{&transcript{}}
	yes.t.Setup.Consent = true
	a, err := agent.New(agent.Config{Home: h, Stores: []agent.KeyStore{store}, Prompter: yes, PINs: yes, Enroller: desk})
	require.NoError(t, err)
	defer a.Close()
	c, err := a.EnrollLocal(t.Context(), agent.Site{Name: "portal", CA: "https://127.0.0.1:1", Allow: []agent.Operation{agent.MayEnroll}}, agent.Wish{})
	require.NoError(t, err)
	csr, err := x509.ParseCertificateRequest(c.CSR)
	require.NoError(t, err)
	return c.Key, root.Leaf(append([]testpki.Option{testpki.WithKey(publicKey{csr.PublicKey})}, options...)...)
}

// publicKey is all that a CA has of a user's key.
type publicKey struct{ public crypto.PublicKey }

func (p publicKey) Public() crypto.PublicKey { return p.public }
func (publicKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("only the public key is known")
}
