package agent_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/agent/home"
	"certsign/agent/keystore/keyfile"
	"certsign/internal/ades/format"
	"certsign/internal/problem"
	"certsign/internal/testpki"
)

const (
	portal   = "https://portal.example"
	password = "Correct-Horse-7"
)

// person is who is asked: each question is answered by a function, and refused where there is none.
type person struct {
	mu       sync.Mutex
	onOrigin func(context.Context, agent.OriginQuestion) error
	onStore  func(context.Context, agent.StoreQuestion) (agent.StoreAnswer, error)
	onSign   func(context.Context, agent.SigningQuestion) (agent.SigningAnswer, error)
	onPIN    func(context.Context, agent.PINRequest) (*agent.Secret, error)
	asked    []string
	pins     []agent.PINRequest
	notices  []agent.Notice
}

var errNo = problem.New(problem.UserCancelled, "no")

func (p *person) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, what)
}

func (p *person) ApproveOrigin(ctx context.Context, q agent.OriginQuestion) error {
	p.note("origin")
	if p.onOrigin == nil {
		return errNo
	}
	return p.onOrigin(ctx, q)
}

func (p *person) ConfigureStore(ctx context.Context, q agent.StoreQuestion) (agent.StoreAnswer, error) {
	p.note("store")
	if p.onStore == nil {
		return agent.StoreAnswer{}, errNo
	}
	return p.onStore(ctx, q)
}

func (p *person) ApproveSigning(ctx context.Context, q agent.SigningQuestion) (agent.SigningAnswer, error) {
	p.note("sign")
	if p.onSign == nil {
		return agent.SigningAnswer{}, errNo
	}
	return p.onSign(ctx, q)
}

func (p *person) Notify(_ context.Context, n agent.Notice) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notices = append(p.notices, n)
}

func (p *person) AskPIN(ctx context.Context, req agent.PINRequest) (*agent.Secret, error) {
	p.note("pin")
	p.mu.Lock()
	p.pins = append(p.pins, req)
	p.mu.Unlock()
	if p.onPIN == nil {
		return nil, errNo
	}
	return p.onPIN(ctx, req)
}

func (p *person) questions() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

// says gives the PIN prompts their answers in order; the last repeats.
func says(pins ...string) func(context.Context, agent.PINRequest) (*agent.Secret, error) {
	var mu sync.Mutex
	return func(context.Context, agent.PINRequest) (*agent.Secret, error) {
		mu.Lock()
		defer mu.Unlock()
		pin := pins[0]
		if len(pins) > 1 {
			pins = pins[1:]
		}
		return agent.NewSecret([]byte(pin)), nil
	}
}

// chooseFirst signs with the first certificate that can be used.
func chooseFirst(_ context.Context, q agent.SigningQuestion) (agent.SigningAnswer, error) {
	for _, c := range q.Certificates {
		if c.Problem == "" {
			return agent.SigningAnswer{Key: c.Key}, nil
		}
	}
	return agent.SigningAnswer{}, errNo
}

// bureau is an agent with its folder, a real store, the real formats, and somebody to ask.
type bureau struct {
	t      testing.TB
	home   *home.Dir
	store  agent.KeyStore
	person *person
	agent  *agent.Agent
	ca     *testpki.Authority // the site's root
	now    time.Time
	mu     sync.Mutex
}

func (b *bureau) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bureau) advance(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func newBureau(t testing.TB, edits ...func(*agent.Config)) *bureau {
	t.Helper()
	b := &bureau{t: t, home: newHome(t), person: &person{}, ca: testpki.Root(t), now: testpki.Clock}
	b.store = keyfile.New(b.home.Path("keys"), keyfile.WithIterations(1000))
	b.person.onPIN = says(password)
	b.person.onSign = chooseFirst
	c := agent.Config{
		Home: b.home, Version: "1.2.3", Stores: []agent.KeyStore{b.store}, Prompter: b.person, PINs: b.person,
		Codecs: format.All(), Now: b.clock,
	}
	for _, edit := range edits {
		edit(&c)
	}
	var err error
	b.agent, err = agent.New(c)
	require.NoError(t, err)
	t.Cleanup(b.agent.Close)
	b.listSite(portal)
	return b
}

// listSite puts a site with the test CA on the list.
func (b *bureau) listSite(o string) {
	b.t.Helper()
	require.NoError(b.t, b.agent.Sites().Put(agent.Site{
		Name: strings.Trim(strings.Map(plainRune, o), "-"), Origin: origin(b.t, o), CA: "https://127.0.0.1:1", Roots: rootPEM(b.ca),
		Allow: []agent.Operation{agent.MayList, agent.MaySign, agent.MayEnroll},
	}))
}

func plainRune(r rune) rune {
	if r == ':' || r == '/' || r == '[' || r == ']' {
		return '-'
	}
	return r
}

// certify makes a key in the store with a certificate that issuer gives it.
func (b *bureau) certify(issuer *testpki.Authority, options ...testpki.Option) *testpki.Leaf {
	b.t.Helper()
	ask := func(context.Context, agent.PINRequest) (*agent.Secret, error) {
		return agent.NewSecret([]byte(password)), nil
	}
	consent := agent.NewConsent(b.store.Name(), keyfile.PlaceID, 1)
	key, session, err := b.store.Generate(b.t.Context(), agent.GenerateRequest{Place: keyfile.PlaceID, Algorithm: agent.P256, Label: "test"}, consent, ask)
	require.NoError(b.t, err)
	defer session.Close()
	leaf := issuer.Leaf(append([]testpki.Option{testpki.WithKey(session)}, options...)...)
	chain := leaf.Chain()
	require.NoError(b.t, b.store.(agent.Attacher).Attach(b.t.Context(), key.ID, chain[:len(chain)-1], ask))
	return leaf
}

// wire is a frame as a page gets it.
type wire struct {
	ID     string           `json:"id"`
	Result json.RawMessage  `json:"result"`
	Error  *agent.WireError `json:"error"`
	Event  string           `json:"event"`
	Data   json.RawMessage  `json:"data"`
}

// visitor is a page, driven by hand.
type visitor struct {
	t      testing.TB
	b      *bureau
	origin agent.Origin
	page   *agent.Page
	frames chan wire
}

// visit connects a page without waiting for its approval.
func (b *bureau) visit(o string) *visitor {
	b.t.Helper()
	v := &visitor{t: b.t, b: b, origin: origin(b.t, o), frames: make(chan wire, 1000)}
	page, err := b.agent.Connect(b.t.Context(), v.origin, func(f agent.Frame) error {
		raw, err := json.Marshal(f)
		if err != nil {
			return err
		}
		var w wire
		if err := json.Unmarshal(raw, &w); err != nil {
			return err
		}
		v.frames <- w
		return nil
	})
	require.NoError(b.t, err)
	v.page = page
	b.t.Cleanup(page.Close)
	return v
}

// open connects a page of a site that is on the list.
func (b *bureau) open() *visitor {
	b.t.Helper()
	v := b.visit(portal)
	require.NoError(b.t, v.page.Admit())
	require.Equal(b.t, agent.EventReady, v.next().Event)
	return v
}

func (v *visitor) next() wire {
	v.t.Helper()
	select {
	case f := <-v.frames:
		return f
	case <-time.After(10 * time.Second):
		require.FailNow(v.t, "no frame came")
		return wire{}
	}
}

// silent checks that nothing more comes.
func (v *visitor) silent() {
	v.t.Helper()
	select {
	case f := <-v.frames:
		assert.Fail(v.t, "a frame came", "%+v", f)
	case <-time.After(30 * time.Millisecond):
	}
}

func (v *visitor) send(id, method string, params any) {
	v.t.Helper()
	raw, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params})
	require.NoError(v.t, err)
	require.NoError(v.t, v.page.Receive(raw))
}

// await returns the answer to a request, passing over events and handing them to on.
func (v *visitor) await(id string, on func(wire)) wire {
	v.t.Helper()
	for {
		f := v.next()
		if f.Event == "" && f.ID == id {
			return f
		}
		if on != nil {
			on(f)
		}
	}
}

func (v *visitor) call(id, method string, params, result any) problem.Code {
	v.t.Helper()
	v.send(id, method, params)
	f := v.await(id, nil)
	if f.Error != nil {
		assert.NotEmpty(v.t, f.Error.Message)
		assert.Equal(v.t, f.Error.Code, f.Error.Remedy)
		return problem.Code(f.Error.Code)
	}
	if result != nil {
		require.NoError(v.t, json.Unmarshal(f.Result, result))
	}
	return ""
}

func declare(name string, content []byte) agent.SignDocument {
	sum := sha256.Sum256(content)
	return agent.SignDocument{Name: name, MIME: "application/xml", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
}

// sign declares documents, hands them in, and waits for the answer.
func (v *visitor) sign(id string, docs ...[]byte) wire {
	v.t.Helper()
	var p agent.SignParams
	for n, d := range docs {
		p.Documents = append(p.Documents, declare(fmt.Sprintf("zgłoszenie-%d.xml", n), d))
	}
	v.send(id, agent.MethodSign, p)
	return v.await(id, func(f wire) {
		if f.Event == agent.EventTickets {
			for n, ticket := range tickets(v.t, f) {
				_ = v.b.agent.Upload(v.origin, ticket, bytes.NewReader(docs[n]), int64(len(docs[n])))
			}
		}
	})
}

func tickets(t testing.TB, f wire) []string {
	t.Helper()
	var data struct {
		Uploads []string `json:"uploads"`
	}
	require.NoError(t, json.Unmarshal(f.Data, &data))
	return data.Uploads
}

// left checks that no document is left behind, in memory by its ticket or on the disk, and that no secret ever was.
func (b *bureau) clean(secrets ...string) {
	b.t.Helper()
	require.NoError(b.t, filepath.WalkDir(b.home.Path(), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		assert.NotEqual(b.t, "tmp", filepath.Base(filepath.Dir(path)), "left behind: %s", path)
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, s := range append(secrets, password) {
			assert.NotContains(b.t, string(raw), s, path)
		}
		return nil
	}))
	_, err := agent.VerifyJournal(b.home, nil)
	assert.NoError(b.t, err)
}

// events returns the journal's events with their problem codes.
func (b *bureau) events() []string {
	b.t.Helper()
	var all []string
	_, err := agent.VerifyJournal(b.home, func(e agent.Entry) {
		s := string(e.Event)
		if e.Code != "" {
			s += " " + e.Code
		}
		all = append(all, s)
	})
	require.NoError(b.t, err)
	return all
}
