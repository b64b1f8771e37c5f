package window

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"certsign/agent/prompt/wording"
)

// list is the part of a page that changes when a card is put in or taken out: places for a key, or certificates.
type list interface {
	// keep marks what a form chose, as far as it can still be chosen, and reports whether it chose what is gone.
	keep(f form) (gone bool)
	// names are for people: what can be chosen now.
	names() []string
}

// watch tells a session of changes until ctx ends. It calls change for each, with what the view is to become.
type watch func(ctx context.Context, change func(update func() (changed bool)))

// lookGap is how long there is at least between two looks at the stores.
const lookGap = time.Second

// watching looks whenever changes says that it is worth it, and takes what it saw into the page.
func watching[T any](start func(context.Context) <-chan struct{}, look func(context.Context) []T, take func([]T) bool) watch {
	if start == nil || look == nil {
		return nil
	}
	return func(ctx context.Context, change func(func() bool)) {
		changes := start(ctx)
		for more := true; more && ctx.Err() == nil; {
			seen := look(ctx) // the first time for what changed before the watch began
			if ctx.Err() != nil {
				return
			}
			change(func() bool { return take(seen) })
			select {
			case <-time.After(lookGap):
			case <-ctx.Done():
			}
			select {
			case _, more = <-changes:
			case <-ctx.Done():
			}
		}
	}
}

// change takes a new list into the question and tells the pages that show it. Whoever is about to commit gets the time to
// read it.
func (s *session) change(update func() bool) {
	s.showing.Lock()
	defer s.showing.Unlock()
	if !update() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	s.served = time.Now()
	close(s.changed)
	s.changed = make(chan struct{})
}

// news is what is said of a new list. The caller holds showing.
func (s *session) news(gone bool) string {
	l, now := s.w.lang, s.q.list.names()
	missing := func(from, in []string) []string {
		return slices.DeleteFunc(slices.Clone(from), func(name string) bool { return slices.Contains(in, name) })
	}
	says := []string{l.Text("list.changed")}
	if came := missing(now, s.told); len(came) > 0 {
		says = append(says, l.Text("list.came", strings.Join(came, ", ")))
	}
	if went := missing(s.told, now); len(went) > 0 {
		says = append(says, l.Text("list.went", strings.Join(went, ", ")))
	}
	if gone {
		says = append(says, l.Text("list.gone"))
	}
	s.told = now
	return strings.Join(says, " ")
}

// freshList is the list as it is now, for a page that shows an older one and sends what it has chosen from that.
func (s *session) freshList(w http.ResponseWriter, r *http.Request) {
	f, ok := readForm(w, r)
	if !ok {
		return
	}
	if s.q.list == nil {
		http.Error(w, "no list", http.StatusNotFound)
		return
	}
	s.showing.Lock()
	defer s.showing.Unlock()
	gone := s.q.list.keep(f)
	s.shown()
	s.render(w, http.StatusOK, s.q.page+"-list", frame{View: s.q.view, Revision: s.revision, Watched: s.q.watch != nil, News: s.news(gone), Gone: gone})
}

// stale says that a page shows another list than the question has now. The caller holds showing.
func (s *session) stale(f form) bool {
	return s.revision > 0 && f.get("revision") != strconv.Itoa(s.revision)
}

// shown notes that the question has just been shown.
func (s *session) shown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served = time.Now()
}

// nameOf is a thing that can be chosen, and where it is.
func nameOf(name, where string) string {
	if where == "" {
		return wording.Visible(name)
	}
	return wording.Visible(name) + " (" + wording.Visible(where) + ")"
}
