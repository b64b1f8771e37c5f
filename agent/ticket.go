package agent

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"sync"
	"time"

	"certsign/internal/problem"
)

// tickets are the names under which one document may be handed in, or one result fetched, once: 128 random bits, bound
// to the origin of the page that they were given to, and not for ever.
type tickets struct {
	now func() time.Time
	mu  sync.Mutex
	all map[string]*ticket
}

type ticket struct {
	origin  Origin
	expires time.Time
	upload  *upload
	result  *Result
}

// upload is a document that a page declared and has yet to hand in.
type upload struct {
	name   string
	size   int64
	sha256 string // hex
	blob   *blob
	done   chan<- error // gets exactly one value
	ctx    context.Context
}

// Result is a signed document on its way to the page.
type Result struct {
	Name    string
	MIME    string
	Size    int64
	Content io.Reader
	blob    *blob
}

// Close removes the content.
func (r *Result) Close() { r.blob.remove() }

func newTickets(now func() time.Time) *tickets {
	return &tickets{now: now, all: map[string]*ticket{}}
}

func (t *tickets) issue(k *ticket) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	name := base64.RawURLEncoding.EncodeToString(b[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire()
	t.all[name] = k
	return name
}

// take spends a ticket. Whatever is wrong with it is the same ticket_invalid.
func (t *tickets) take(name string, o Origin, is func(*ticket) bool) (*ticket, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire()
	k := t.all[name]
	if k == nil || k.origin != o || !is(k) {
		return nil, problem.New(problem.TicketInvalid, "the ticket is spent, expired or not this page's")
	}
	delete(t.all, name)
	return k, nil
}

// drop ends a ticket that may be spent already.
func (t *tickets) drop(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(name)
}

func (t *tickets) end(name string) {
	if k := t.all[name]; k != nil {
		delete(t.all, name)
		if k.result != nil {
			k.result.Close()
		}
	}
}

func (t *tickets) expire() {
	for name, k := range t.all {
		if t.now().After(k.expires) {
			t.end(name)
		}
	}
}

func (t *tickets) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range t.all {
		t.end(name)
	}
}

// Upload takes the document that belongs to a ticket; length is what the transport was told, or -1. The ticket is spent
// whatever happens. too_large and integrity_failed when the bytes are not the declared ones, document_unreadable when
// they stop coming.
func (a *Agent) Upload(o Origin, name string, r io.Reader, length int64) error {
	k, err := a.tickets.take(name, o, func(k *ticket) bool { return k.upload != nil })
	if err != nil {
		return err
	}
	err = k.upload.receive(r, length)
	k.upload.done <- err
	return err
}

func (u *upload) receive(r io.Reader, length int64) error {
	if length > u.size {
		return problem.New(problem.TooLarge, "the document is longer than declared")
	}
	if length >= 0 && length < u.size {
		return problem.New(problem.IntegrityFailed, "the document is shorter than declared")
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(u.blob, sum), io.LimitReader(&liveReader{u.ctx, r}, u.size+1))
	var p *problem.Error
	switch {
	case errors.As(err, &p):
		return p
	case err != nil:
		return problem.Wrap(problem.DocumentUnreadable, err, "the document stopped coming")
	case n > u.size:
		return problem.New(problem.TooLarge, "the document is longer than declared")
	case n < u.size:
		return problem.New(problem.IntegrityFailed, "the document is shorter than declared")
	case hex.EncodeToString(sum.Sum(nil)) != u.sha256:
		return problem.New(problem.IntegrityFailed, "the document's SHA-256 is not the declared one")
	}
	return nil
}

// liveReader stops when the request that it reads for has ended.
type liveReader struct {
	ctx context.Context
	r   io.Reader
}

func (l *liveReader) Read(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	return l.r.Read(p)
}

// Download spends a ticket for a result; the caller closes it, which removes it.
func (a *Agent) Download(o Origin, name string) (*Result, error) {
	k, err := a.tickets.take(name, o, func(k *ticket) bool { return k.result != nil })
	if err != nil {
		return nil, err
	}
	k.result.Content = io.NewSectionReader(k.result.blob, 0, k.result.Size)
	return k.result, nil
}
