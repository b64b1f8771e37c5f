// Package agent is the domain of certsign, the program on a person's computer that holds keys, obtains customs
// certificates for them and signs what the person has seen and approved: sites and origins, consents, ceremonies, the
// journal, and the protocol that pages speak. It declares the interfaces that key stores, transports and prompts implement,
// and imports none of them.
//
// Everything that a page says is untrusted. A key store's answers are believed; its keys are used only under a Consent.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"certsign/agent/home"
	"certsign/internal/ades"
	"certsign/internal/problem"
)

// Config is what an Agent is made of.
type Config struct {
	// Home is where sites, ceremonies and the journal are kept.
	Home *home.Dir
	// Version is the program's, as status tells it.
	Version string
	// Stores are the key stores, in the order in which they are listed.
	Stores []KeyStore
	// Prompter asks the person; PINs asks for PINs and passwords. Nil refuses with prompt_unavailable.
	Prompter Prompter
	PINs     PINPrompter
	// Codecs are the signature formats.
	Codecs []ades.Codec
	// Enroller turns keys into certificates. Nil: nobody can enrol.
	Enroller Enroller
	// Limits bound what pages may ask for.
	Limits Limits
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Log gets the full chain of errors that the outside sees as internal_error only; nil discards.
	Log *slog.Logger
}

// Limits bound what pages may ask for; a zero field is its default.
type Limits struct {
	XML       int64         // octets of a document that is held in memory: 64 MiB
	Detached  int64         // octets of a document that is signed detached: 4 GiB
	Documents int           // documents in one request: 100
	Pages     int           // pages connected at once: 32
	Requests  int           // requests of one page at once: 8
	Upload    time.Duration // how long a page may take to hand its documents in: 10 minutes
	Result    time.Duration // how long results wait for their download: 10 minutes
	Secret    time.Duration // how long a ceremony may keep the PIN for its own end: 2 minutes
}

func (l *Limits) setDefaults() {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	count := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	span := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.XML, 64<<20)
	def(&l.Detached, 4<<30)
	count(&l.Documents, 100)
	count(&l.Pages, 32)
	count(&l.Requests, 8)
	span(&l.Upload, 10*time.Minute)
	span(&l.Result, 10*time.Minute)
	span(&l.Secret, 2*time.Minute)
}

// Agent is one person's agent. Its methods may be called concurrently.
type Agent struct {
	home     *home.Dir
	version  string
	stores   []KeyStore
	prompter Prompter
	pins     PINPrompter
	codecs   []ades.Codec
	enroller Enroller
	limits   Limits
	now      func() time.Time
	log      *slog.Logger

	sites    *Sites
	journal  *Journal
	spool    *spool
	tickets  *tickets
	approval *approval
	asking   turnstile
	reading  turnstile // one document is read at a time
	secrets  *secrets

	life context.Context // ends with Close
	stop context.CancelFunc

	closing sync.Once
	mu      sync.Mutex
	pages   map[*Page]struct{}
}

// New returns an agent with that configuration; it opens nothing to the outside.
func New(c Config) (*Agent, error) {
	if c.Home == nil {
		return nil, errors.New("new agent: no home")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Prompter == nil {
		c.Prompter = noPrompter{}
	}
	if c.PINs == nil {
		c.PINs = noPrompter{}
	}
	c.Limits.setDefaults()
	tmp, err := c.Home.Sub("tmp")
	if err != nil {
		return nil, err
	}
	a := &Agent{
		home: c.Home, version: c.Version, stores: c.Stores, prompter: c.Prompter, pins: c.PINs, codecs: c.Codecs,
		enroller: c.Enroller, limits: c.Limits, now: c.Now, log: c.Log,
		sites: OpenSites(c.Home), journal: OpenJournal(c.Home, c.Now),
		spool: &spool{dir: tmp}, asking: make(turnstile, 1), reading: make(turnstile, 1), pages: map[*Page]struct{}{},
	}
	a.life, a.stop = context.WithCancel(context.Background())
	a.tickets = newTickets(c.Now)
	a.approval = newApproval(c.Now)
	a.secrets = newSecrets(c.Limits.Secret)
	return a, nil
}

// Start finishes or cleans what an earlier run left behind: temporary files and ceremonies that a crash interrupted. Only
// the one agent that holds the folder's lock calls it.
func (a *Agent) Start(ctx context.Context) error {
	old, err := filepath.Glob(filepath.Join(a.spool.dir, spoolPrefix+"*"))
	if err != nil {
		return err
	}
	for _, p := range old {
		if err := os.Remove(p); err != nil && !os.IsNotExist(err) {
			a.log.Warn("remove an old temporary file", "err", err)
		}
	}
	if err := a.journal.Append(Entry{Event: LogStarted, Origin: LocalOrigin.String()}); err != nil {
		return err
	}
	return a.ResumeCeremonies(ctx)
}

// Close ends every page's requests, closes their windows, removes what they left, and forgets held PINs. It may be called
// while a transport still serves, and more than once.
func (a *Agent) Close() { a.closing.Do(a.close) }

func (a *Agent) close() {
	a.mu.Lock()
	pages := make([]*Page, 0, len(a.pages))
	for p := range a.pages {
		pages = append(pages, p)
	}
	a.mu.Unlock()
	a.stop()
	for _, p := range pages {
		p.Close()
	}
	a.tickets.closeAll()
	a.secrets.forgetAll()
	if err := a.journal.Append(Entry{Event: LogStopped, Origin: LocalOrigin.String()}); err != nil {
		a.log.Error("journal", "err", err)
	}
}

// Sites returns the list of sites.
func (a *Agent) Sites() *Sites { return a.sites }

// store returns the store with that name; store_unavailable when there is none.
func (a *Agent) store(name string) (KeyStore, error) {
	for _, s := range a.stores {
		if s.Name() == name {
			return s, nil
		}
	}
	return nil, problem.New(problem.StoreUnavailable, "there is no store %q here", name)
}

// codec returns the format with that name, in any case; unsupported when there is none.
func (a *Agent) codec(name string) (ades.Codec, error) {
	for _, c := range a.codecs {
		if strings.EqualFold(string(c.Format()), name) {
			return c, nil
		}
	}
	return nil, problem.New(problem.Unsupported, "no signature format %q", name)
}

// record journals e for a caller; without its line nothing is done, so its failure is the operation's.
func (a *Agent) record(e Entry) error {
	if err := a.journal.Append(e); err != nil {
		a.log.Error("journal", "err", err)
		return err
	}
	return nil
}

// turnstile lets one question at a time reach the person.
type turnstile chan struct{}

// enter waits for its turn or for ctx.
func (t turnstile) enter(ctx context.Context) (leave func(), err error) {
	select {
	case t <- struct{}{}:
		return func() { <-t }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// noPrompter is what asks where nobody can be asked: it refuses.
type noPrompter struct{}

var errNoPrompt = problem.New(problem.PromptUnavailable, "there is no way to ask the person")

func (noPrompter) ApproveOrigin(context.Context, OriginQuestion) error { return errNoPrompt }
func (noPrompter) ConfigureStore(context.Context, StoreQuestion) (StoreAnswer, error) {
	return StoreAnswer{}, errNoPrompt
}
func (noPrompter) ApproveSigning(context.Context, SigningQuestion) (SigningAnswer, error) {
	return SigningAnswer{}, errNoPrompt
}
func (noPrompter) Notify(context.Context, Notice)                      {}
func (noPrompter) AskPIN(context.Context, PINRequest) (*Secret, error) { return nil, errNoPrompt }
