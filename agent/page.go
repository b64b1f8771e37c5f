package agent

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"certsign/internal/problem"
)

// Page is one connected page, or one native messaging port: a transport makes it with Connect, hands it what arrives,
// and closes it when the page is gone.
type Page struct {
	agent  *Agent
	origin Origin
	send   func(Frame) error
	ctx    context.Context
	cancel context.CancelFunc
	pace   *rate.Limiter // each request is a line in the journal
	// stranger: nobody has let the site in yet. Guarded by the agent's mu.
	stranger bool

	mu       sync.Mutex
	admitted bool
	requests map[string]context.CancelFunc
	running  sync.WaitGroup
	closed   bool
	results  []string // tickets that end with the page
}

// How many requests a page may make.
const (
	perSecond = 20
	atOnce    = 200
)

// How many pages may be connected of sites that nobody let in yet: in all, and of one origin.
const (
	maxStrangers = 8
	maxAlike     = 3
)

// MaxFrame is the longest frame that a page may send, in octets.
const MaxFrame = 256 << 10

// Connect registers a page with an origin that ParseOrigin made. send writes one frame and may be called by several
// goroutines. busy when too many pages are connected.
func (a *Agent) Connect(ctx context.Context, o Origin, send func(Frame) error) (*Page, error) {
	if o == (Origin{}) || o == LocalOrigin {
		return nil, problem.New(problem.OriginRejected, "origin is missing")
	}
	p := &Page{agent: a, origin: o, send: send, pace: rate.NewLimiter(perSecond, atOnce), requests: map[string]context.CancelFunc{}}
	p.ctx, p.cancel = context.WithCancel(ctx)
	_, err := a.sites.Find(o)
	p.stranger = err != nil
	a.mu.Lock()
	defer a.mu.Unlock()
	strangers, alike := 0, 0
	for q := range a.pages {
		if q.stranger {
			strangers++
			if q.origin == o {
				alike++
			}
		}
	}
	// Sites that nobody let in yet have room of their own, so that they cannot keep the others out.
	if p.stranger && (strangers >= maxStrangers || alike >= maxAlike) || !p.stranger && len(a.pages)-strangers >= a.limits.Pages {
		p.cancel()
		return nil, problem.New(problem.Busy, "too many pages are connected")
	}
	a.pages[p] = struct{}{}
	return p, nil
}

// Admit asks the person where the origin is not on the list, and tells the page that it may go on. A problem means that
// it may not: origin_rejected, busy, rate_limited, prompt_unavailable.
func (p *Page) Admit() error {
	site, err := p.agent.admit(p.ctx, p.origin, func() { p.event("", EventAwaitingApproval, nil) })
	if err != nil {
		return err
	}
	if err := p.agent.record(Entry{Event: LogConnected, Origin: p.origin.String()}); err != nil {
		return err
	}
	p.agent.mu.Lock()
	p.stranger = false
	p.agent.mu.Unlock()
	p.mu.Lock()
	p.admitted = true
	p.mu.Unlock()
	return p.send(Frame{Event: EventReady, Data: p.agent.status(p.origin, site)})
}

// Receive takes one text frame. Its answer goes out by send, later. The error is a breach of the protocol after which
// the transport hangs up: bad_request, too_large.
func (p *Page) Receive(raw []byte) error {
	if len(raw) > MaxFrame {
		return problem.New(problem.TooLarge, "a frame is longer than %d octets", MaxFrame)
	}
	if !utf8.Valid(raw) {
		return problem.New(problem.BadRequest, "a frame is not UTF-8")
	}
	var f struct {
		ID     string          `json:"id"`
		Method string          `json:"method"`
		Params json.RawMessage `json:"params"`
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return problem.Wrap(problem.BadRequest, err, "a frame is not a request")
	}
	if !plainID(f.ID) {
		return problem.New(problem.BadRequest, "a request's id is 1 to 64 plain characters")
	}
	ctx, err := p.begin(f.ID)
	if err != nil {
		return p.answer(f.ID, nil, err)
	}
	go func() {
		defer p.running.Done()
		result, err := p.handle(ctx, f.ID, f.Method, f.Params)
		p.end(f.ID)
		if p.ctx.Err() != nil {
			return // nobody is there any more
		}
		_ = p.answer(f.ID, result, err)
	}()
	return nil
}

// plainID keeps ids out of the journal that would be no help there.
func plainID(id string) bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

func (p *Page) begin(id string) (context.Context, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return nil, context.Canceled
	case !p.admitted:
		return nil, problem.New(problem.Busy, "the person is still being asked whether this site may connect")
	case p.requests[id] != nil:
		return nil, problem.New(problem.BadRequest, "a request with this id is running")
	case !p.pace.Allow():
		return nil, problem.New(problem.RateLimited, "too many requests in a short time")
	case len(p.requests) >= p.agent.limits.Requests:
		return nil, problem.New(problem.Busy, "too many requests are running")
	}
	ctx, cancel := context.WithCancel(p.ctx)
	p.requests[id] = cancel
	p.running.Add(1)
	return ctx, nil
}

func (p *Page) end(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cancel := p.requests[id]; cancel != nil {
		cancel()
		delete(p.requests, id)
	}
}

// giveUp cancels the request with that id; one that is not running is no error, it may just have ended.
func (p *Page) giveUp(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cancel := p.requests[id]; cancel != nil {
		cancel()
	}
}

// Close is called when the page is gone: it cancels what runs for it, so that windows close and half-done work is
// cleaned up, and returns when that is done.
func (p *Page) Close() {
	p.cancel()
	p.mu.Lock()
	p.closed = true
	results := p.results
	p.results = nil
	p.mu.Unlock()
	p.running.Wait()
	p.mu.Lock()
	results = append(results, p.results...)
	p.mu.Unlock()
	for _, t := range results {
		p.agent.tickets.drop(t)
	}
	p.agent.mu.Lock()
	delete(p.agent.pages, p)
	p.agent.mu.Unlock()
}

// Done is closed when the page is gone, or does not take what it is sent.
func (p *Page) Done() <-chan struct{} { return p.ctx.Done() }

func (p *Page) event(id, name string, data any) {
	if err := p.send(Frame{ID: id, Event: name, Data: data}); err != nil {
		p.cancel()
	}
}

func (p *Page) answer(id string, result any, err error) error {
	f := Frame{ID: id, Result: result}
	if err != nil {
		f.Result, f.Error = nil, p.agent.wireError(err)
	} else if result == nil {
		f.Result = struct{}{}
	}
	return p.send(f)
}

// handle runs one request and journals it.
func (p *Page) handle(ctx context.Context, id, method string, params json.RawMessage) (any, error) {
	a := p.agent
	h, ok := methods[method]
	if !ok {
		return nil, problem.New(problem.UnknownMethod, "no method %.40q", method)
	}
	if err := a.record(Entry{Event: LogRequest, Origin: p.origin.String(), Request: id, Method: method}); err != nil {
		return nil, err
	}
	// The list may have changed since the page was let in.
	site, err := a.sites.Find(p.origin)
	var result any
	if err == nil {
		c := caller{origin: p.origin, site: site, request: id, page: p}
		result, err = h(a, ctx, c, params)
	}
	if err != nil {
		if ctx.Err() != nil && problem.CodeOf(err) == problem.Internal {
			err = problem.Wrap(problem.UserCancelled, err, "the page gave the request up")
		}
		if jerr := a.record(Entry{Event: LogRefused, Origin: p.origin.String(), Request: id, Method: method, Code: string(problem.CodeOf(err))}); jerr != nil {
			return nil, jerr
		}
		return nil, err
	}
	return result, nil
}

// caller is who asks, and for whom an answer is: a page's request, or the person's own shell.
type caller struct {
	origin  Origin
	site    Site
	request string
	page    *Page // nil for the shell
}

func (c caller) local() bool { return c.origin == LocalOrigin }

func (c caller) may(op Operation) error {
	if c.local() || c.site.May(op) {
		return nil
	}
	return problem.New(problem.SiteUnknown, "this site may not ask for %s here", op)
}

func (c caller) event(name string, data any) {
	if c.page != nil {
		c.page.event(c.request, name, data)
	}
}

// untilGone ends ctx with the page as well: a window does not outlive the page that it was opened for.
func (c caller) untilGone(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	if c.page == nil {
		return ctx, cancel
	}
	stop := context.AfterFunc(c.page.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// awaiting tells the page that the person is being asked.
func (c caller) awaiting(what string) {
	c.event(EventAwaitingUser, map[string]string{"for": what})
}

type method func(a *Agent, ctx context.Context, c caller, params json.RawMessage) (any, error)

var methods = map[string]method{
	MethodStatus:          (*Agent).doStatus,
	MethodCertificates:    (*Agent).doCertificates,
	MethodCertificateSave: (*Agent).doCertificateSave,
	MethodEnroll:          (*Agent).doEnroll,
	MethodEnrollFinish:    (*Agent).doEnrollFinish,
	MethodSign:            (*Agent).doSign,
	MethodCancel:          (*Agent).doCancel,
}

// readParams decodes a request's parameters; absent ones are the zero value.
func readParams(raw json.RawMessage, into any) error {
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return problem.Wrap(problem.BadRequest, err, "the request's parameters have the wrong form")
	}
	return nil
}

func (a *Agent) doStatus(_ context.Context, c caller, _ json.RawMessage) (any, error) {
	return a.status(c.origin, c.site), nil
}

func (a *Agent) status(o Origin, site Site) StatusResult {
	r := StatusResult{
		Agent: "certsign", Version: a.version, Protocol: Protocol, Origin: o.String(), Site: site.Name, Connected: true,
		Stores: []string{}, Formats: []string{}, MaxDocument: a.limits.XML, MaxDocuments: a.limits.Documents,
	}
	for _, s := range a.stores {
		r.Stores = append(r.Stores, s.Name())
	}
	for _, c := range a.codecs {
		r.Formats = append(r.Formats, wireFormat(c.Format()))
	}
	return r
}

func (a *Agent) doCancel(_ context.Context, c caller, params json.RawMessage) (any, error) {
	var p CancelParams
	if err := readParams(params, &p); err != nil {
		return nil, err
	}
	c.page.giveUp(p.ID)
	return nil, nil
}

// wireError is how a page sees an error: a problem as it is, anything else as internal_error and no more.
func (a *Agent) wireError(err error) *WireError {
	code := problem.CodeOf(err)
	if code == problem.Internal {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			code = problem.Timeout
		} else {
			a.log.Error("request", "err", err)
		}
	}
	return NewWireError(code, problem.DetailOf(err))
}
