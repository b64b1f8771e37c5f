package agent

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"certsign/internal/problem"
)

const (
	spoolPrefix = "spool-"
	inMemory    = 1 << 20
	// maxSpool bounds everything that pages have in flight at once.
	maxSpool = 16 << 30
)

// spool holds documents while they are worked on: small ones in memory, others in files that nobody else may read and
// that are gone when the agent is, however it ends.
type spool struct {
	dir  string
	used atomic.Int64
}

// blob is one document in the spool: written once, then read as often as needed. It is an ades.Content.
type blob struct {
	spool *spool
	mu    sync.Mutex // an upload may still be writing when its request ends
	gone  bool
	mem   bytes.Buffer
	file  *os.File
	path  string // "" when the file has no name any more
	size  int64
}

func (s *spool) new() *blob { return &blob{spool: s} }

// Write appends p; busy when the spool is full.
func (b *blob) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		return 0, problem.New(problem.TicketInvalid, "the request has ended")
	}
	if b.spool.used.Add(int64(len(p))) > maxSpool {
		b.spool.used.Add(-int64(len(p)))
		return 0, problem.New(problem.Busy, "too much is being worked on")
	}
	if b.file == nil && b.mem.Len()+len(p) > inMemory {
		if err := b.spill(); err != nil {
			b.spool.used.Add(-int64(len(p)))
			return 0, err
		}
	}
	var n int
	var err error
	if b.file != nil {
		n, err = b.file.Write(p)
	} else {
		n, err = b.mem.Write(p)
	}
	b.size += int64(n)
	b.spool.used.Add(int64(n - len(p)))
	if err != nil {
		return n, fmt.Errorf("write document: %w", err)
	}
	return n, nil
}

func (b *blob) spill() error {
	f, err := os.CreateTemp(b.spool.dir, spoolPrefix+"*") // 0600
	if err != nil {
		return fmt.Errorf("spool document: %w", err)
	}
	b.file, b.path = f, f.Name()
	if runtime.GOOS != "windows" { // a file without a name cannot be left behind
		if err := os.Remove(b.path); err != nil {
			return fmt.Errorf("spool document: %w", err)
		}
		b.path = ""
	}
	if _, err := f.Write(b.mem.Bytes()); err != nil {
		return fmt.Errorf("spool document: %w", err)
	}
	b.mem = bytes.Buffer{}
	return nil
}

// ReadAt reads what was written.
func (b *blob) ReadAt(p []byte, off int64) (int, error) {
	if b.file != nil {
		return b.file.ReadAt(p, off)
	}
	return bytes.NewReader(b.mem.Bytes()).ReadAt(p, off)
}

// Size returns how much was written.
func (b *blob) Size() int64 { return b.size }

// remove deletes the content.
func (b *blob) remove() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = true
	b.spool.used.Add(-b.size)
	b.size = 0
	b.mem = bytes.Buffer{}
	if b.file != nil {
		_ = b.file.Close()
		if b.path != "" {
			_ = os.Remove(b.path)
		}
		b.file = nil
	}
}
