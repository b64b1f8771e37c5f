package agent

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"certsign/internal/problem"
)

// How often an unknown site may raise a window.
const (
	askEvery    = 10 * time.Second // between two windows, over all origins, after the first askBurst
	askBurst    = 5
	firstPause  = 30 * time.Second // after a refusal, doubled with each more
	longestBan  = 24 * time.Hour
	maxRefusals = 1024 // owners remembered
	settle      = 2 * time.Second
)

// approval lets unknown origins be asked about: one at a time over all pages, not faster than a person can answer, and
// not again soon after a no.
type approval struct {
	now     func() time.Time
	pending chan struct{}
	mu      sync.Mutex
	refused map[string]refusal // by Origin.owner: a refused site does not come back under another name of its own
	moods   map[Origin]mood    // only of sites on the list
	tokens  float64
	last    time.Time
}

type refusal struct {
	until time.Time
	pause time.Duration
}

func newApproval(now func() time.Time) *approval {
	return &approval{now: now, pending: make(chan struct{}, 1), refused: map[string]refusal{}, moods: map[Origin]mood{}, tokens: askBurst, last: now()}
}

// enter says whether a window may be raised for o now: origin_rejected after a refusal, busy while another origin's is
// open, rate_limited when there were too many.
func (p *approval) enter(ctx context.Context, o Origin) (leave func(), err error) {
	if err := p.banned(o); err != nil {
		return nil, err
	}
	// A page that was reloaded finds its own question still closing.
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case p.pending <- struct{}{}:
	case <-timer.C:
		return nil, problem.New(problem.Busy, "the person is being asked about another site")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	leave = func() { <-p.pending }
	if err := p.banned(o); err != nil {
		leave()
		return nil, err
	}
	if !p.take() {
		leave()
		return nil, problem.New(problem.RateLimited, "too many sites asked in a short time")
	}
	return leave, nil
}

func (p *approval) banned(o Origin) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r, ok := p.refused[o.owner()]; ok && p.now().Before(r.until) {
		return problem.New(problem.OriginRejected, "the person refused this site a short time ago")
	}
	return nil
}

func (p *approval) take() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.tokens = min(askBurst, p.tokens+float64(now.Sub(p.last))/float64(askEvery))
	p.last = now
	if p.tokens < 1 {
		return false
	}
	p.tokens--
	return true
}

// refuse remembers the person's no, or that nobody answered.
func (p *approval) refuse(o Origin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.refused) >= maxRefusals {
		p.forgetOldest()
	}
	owner := o.owner()
	pause := max(firstPause, min(longestBan, 2*p.refused[owner].pause))
	p.refused[owner] = refusal{until: p.now().Add(pause), pause: pause}
}

func (p *approval) forgetOldest() {
	var oldest string
	var at time.Time
	for o, r := range p.refused {
		if at.IsZero() || r.until.Before(at) {
			oldest, at = o, r.until
		}
	}
	delete(p.refused, oldest)
}

// admit returns the site behind an origin; one that is not on the list is put to the person, and their yes is kept. A
// site let in this way may list and sign, and cannot enrol until it has a CA.
func (a *Agent) admit(ctx context.Context, o Origin, waiting func()) (Site, error) {
	site, err := a.sites.Find(o)
	if problem.CodeOf(err) != problem.SiteUnknown {
		return site, err
	}
	leave, err := a.approval.enter(ctx, o)
	if err != nil {
		return Site{}, err
	}
	defer leave()
	turn, err := a.asking.enter(ctx)
	if err != nil {
		return Site{}, err
	}
	defer turn()
	waiting()
	err = a.prompter.ApproveOrigin(ctx, OriginQuestion{Origin: o})
	if ctx.Err() != nil {
		return Site{}, ctx.Err() // the page went away: that is nobody's no
	}
	if err != nil {
		switch problem.CodeOf(err) {
		case problem.Timeout:
			a.approval.refuse(o)
		case problem.UserCancelled:
			a.approval.refuse(o)
			err = problem.Wrap(problem.OriginRejected, err, "the person refused this site")
		}
		if jerr := a.record(Entry{Event: LogOriginRefused, Origin: o.String(), Code: string(problem.CodeOf(err))}); jerr != nil {
			return Site{}, jerr
		}
		return Site{}, err
	}
	site = Site{Name: a.freeName(siteNameFor(o)), Origin: o, Allow: []Operation{MayList, MaySign}, Approved: a.now().UTC().Truncate(time.Second)}
	if err := a.record(Entry{Event: LogOriginApproved, Origin: o.String()}); err != nil {
		return Site{}, err
	}
	if err := a.sites.Put(site); err != nil {
		return Site{}, err
	}
	return site, nil
}

// freeName returns a name that no site has yet.
func (a *Agent) freeName(name string) string {
	free := name
	for n := 2; ; n++ {
		if _, err := a.sites.Named(free); err != nil {
			return free
		}
		free = fmt.Sprintf("%.58s %d", name, n)
	}
}

// siteNameFor makes an origin's host and port a site name.
func siteNameFor(o Origin) string {
	_, rest, _ := strings.Cut(o.String(), "://")
	name := strings.Map(func(r rune) rune {
		switch r {
		case ':', '_':
			return '-'
		case '[', ']':
			return -1
		}
		return r
	}, rest)
	name = strings.TrimLeft(name, "-.")
	if len(name) > 64 {
		name = name[len(name)-64:]
		name = strings.TrimLeft(name, "-.")
	}
	return name
}

// A site whose signing requests the person refuses again and again may not open the next window at once.
const (
	manyRefusals = 3
	calmDown     = time.Minute
	forgetAfter  = 5 * time.Minute
)

type mood struct {
	refusals int
	last     time.Time
}

// patient is rate_limited while a site is to leave the person alone.
func (p *approval) patient(o Origin) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.moods[o]
	if m.refusals >= manyRefusals && p.now().Sub(m.last) < calmDown {
		return problem.New(problem.RateLimited, "the person refused several times")
	}
	return nil
}

func (p *approval) declined(o Origin) {
	if o == LocalOrigin {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.moods[o]
	if p.now().Sub(m.last) > forgetAfter {
		m.refusals = 0
	}
	p.moods[o] = mood{refusals: m.refusals + 1, last: p.now()}
}

func (p *approval) accepted(o Origin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.moods, o)
}
