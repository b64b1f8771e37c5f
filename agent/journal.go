package agent

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"certsign/agent/home"
	"certsign/internal/problem"
)

// JournalName is the journal's file name in the agent's folder.
const (
	JournalName = "journal.jsonl"
	journalLock = "journal.lock"
	maxLine     = 1 << 20
)

// Entry is one line of the journal: what was asked, what the person said, what was done. It never holds a PIN, a key, a
// token or a document's content.
type Entry struct {
	Seq         int64           `json:"seq"`
	Time        time.Time       `json:"time"`
	Event       Event           `json:"event"`
	Origin      string          `json:"origin,omitempty"`
	Request     string          `json:"request,omitempty"` // the page's id for it
	Method      string          `json:"method,omitempty"`
	Documents   []EntryDocument `json:"documents,omitempty"`
	Format      string          `json:"format,omitempty"`
	Store       string          `json:"store,omitempty"`
	Key         string          `json:"key,omitempty"`
	Certificate string          `json:"certificate,omitempty"` // serial number, hex
	Ceremony    string          `json:"ceremony,omitempty"`
	Code        string          `json:"code,omitempty"` // a problem.Code: why not
	// Torn is the SHA-256 of a half-written line that a crash left before this one.
	Torn string `json:"torn,omitempty"`
	Prev string `json:"prev"` // the hash of the line before, hex; 64 zeros in the first
}

// EntryDocument is a document that a line is about.
type EntryDocument struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	Result string `json:"result,omitempty"` // SHA-256 of the signed document
}

// Event is what a line records.
type Event string

// The events.
const (
	LogStarted         Event = "started"
	LogStopped         Event = "stopped"
	LogTorn            Event = "torn-line"
	LogConnected       Event = "connected"
	LogOriginApproved  Event = "origin-approved"
	LogOriginRefused   Event = "origin-refused"
	LogRequest         Event = "request"
	LogRefused         Event = "refused" // the request's answer was a problem
	LogConsent         Event = "consent"
	LogConsentRefused  Event = "consent-refused"
	LogSigned          Event = "signed"
	LogSigningFailed   Event = "signing-failed"
	LogKeyMade         Event = "key-made"
	LogCertificate     Event = "certificate"
	LogCeremonyCleaned Event = "ceremony-cleaned"
	LogDeleted         Event = "deleted"
	LogKeyImported     Event = "key-imported"
	LogKeyCopied       Event = "key-copied"  // as it lies in its store, encrypted
	LogPINChanged      Event = "pin-changed" // or a key file's password; the method says how
)

// Journal is an append-only file of JSON lines, each with the hash of the line before it: a line that is changed, removed
// or put in breaks the chain there. Each Append is on the disk before it returns. It does not keep somebody who can write
// the file from making a whole new one, nor from cutting lines off the end.
type Journal struct {
	home *home.Dir
	now  func() time.Time
	mu   sync.Mutex
	end  int64 // the file's size after the line that prev and seq belong to
	seq  int64
	prev string
}

// OpenJournal returns the journal in that folder.
func OpenJournal(h *home.Dir, now func() time.Time) *Journal {
	return &Journal{home: h, now: now, end: -1}
}

var firstPrev = strings.Repeat("0", 64)

// Append writes e as the next line. Seq, Time and Prev are set here.
func (j *Journal) Append(e Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	lock, err := j.home.Lock(journalLock)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	f, err := os.OpenFile(j.home.Path(JournalName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	defer f.Close()
	torn, err := j.catchUp(f)
	if err != nil {
		return err
	}
	if torn != nil {
		sum := sha256.Sum256(torn)
		if err := j.write(f, Entry{Event: LogTorn, Torn: hex.EncodeToString(sum[:])}, "\n"); err != nil {
			return err
		}
	}
	return j.write(f, e, "")
}

// write appends one line after what lead ends, and syncs.
func (j *Journal) write(f *os.File, e Entry, lead string) error {
	e.Seq, e.Time, e.Prev = j.seq+1, j.now().UTC().Truncate(time.Microsecond), j.prev
	line, hash, err := seal(e)
	if err != nil {
		return err
	}
	b := append([]byte(lead), line...)
	if _, err := f.WriteAt(b, j.end); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	j.seq, j.prev, j.end = e.Seq, hash, j.end+int64(len(b))
	return nil
}

const hashField = `,"hash":"`

// seal renders a line: the entry's JSON with its own SHA-256 as the last member. The hash is over the octets of the JSON
// without that member, so that no second rendering has to agree with the first.
func seal(e Entry) (line []byte, hash string, err error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, "", fmt.Errorf("render journal line: %w", err)
	}
	sum := sha256.Sum256(b)
	hash = hex.EncodeToString(sum[:])
	return append(b[:len(b)-1], hashField+hash+"\"}\n"...), hash, nil
}

// unseal checks a line's own hash, without its newline.
func unseal(line []byte) (Entry, string, bool) {
	tail := len(hashField) + 64 + len(`"}`)
	if len(line) < tail+2 || !bytes.HasSuffix(line, []byte(`"}`)) {
		return Entry{}, "", false
	}
	body, rest := line[:len(line)-tail], line[len(line)-tail:]
	if !bytes.HasPrefix(rest, []byte(hashField)) {
		return Entry{}, "", false
	}
	hash := string(rest[len(hashField) : len(hashField)+64])
	sum := sha256.Sum256(append(bytes.Clone(body), '}'))
	if hex.EncodeToString(sum[:]) != hash {
		return Entry{}, "", false
	}
	var e Entry
	if err := json.Unmarshal(append(bytes.Clone(body), '}'), &e); err != nil {
		return Entry{}, "", false
	}
	return e, hash, true
}

// catchUp finds the last line: this process wrote it, or another one did since. torn is what follows the last newline.
func (j *Journal) catchUp(f *os.File) (torn []byte, err error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	size := fi.Size()
	if size == j.end {
		return nil, nil
	}
	j.seq, j.prev, j.end = 0, firstPrev, size
	from := max(0, size-2*maxLine)
	b := make([]byte, size-from)
	if _, err := f.ReadAt(b, from); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	cut := bytes.LastIndexByte(b, '\n') + 1
	if e, hash, ok := unseal(b[cut:]); ok { // whole, only its newline is missing
		if _, err := f.WriteAt([]byte("\n"), size); err != nil {
			return nil, fmt.Errorf("write journal: %w", err)
		}
		j.seq, j.prev, j.end = e.Seq, hash, size+1
		return nil, nil
	}
	if cut < len(b) {
		torn = bytes.Clone(b[cut:])
	}
	for b = b[:cut]; len(b) > 0; {
		b = b[:len(b)-1]
		start := bytes.LastIndexByte(b, '\n') + 1
		if e, hash, ok := unseal(b[start:]); ok {
			j.seq, j.prev = e.Seq, hash
			break
		}
		b = b[:start]
	}
	return torn, nil
}

// JournalReport is what Verify found.
type JournalReport struct {
	Lines int64     `json:"lines"`
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	Head  string    `json:"head"` // the last line's hash: note it down to notice later that the end was cut off
	// Torn counts lines that a crash left half-written and that the next line accounts for. TornEnd: the last one is.
	Torn    int  `json:"torn"`
	TornEnd bool `json:"tornEnd"`
}

// VerifyJournal reads every line and checks the chain. A broken chain is integrity_failed with the line's number; visit,
// when not nil, gets each good line.
func VerifyJournal(h *home.Dir, visit func(Entry)) (JournalReport, error) {
	rep := JournalReport{Head: firstPrev}
	f, err := os.Open(h.Path(JournalName))
	if errors.Is(err, fs.ErrNotExist) {
		return rep, nil
	}
	if err != nil {
		return rep, fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	broken := func(n int, why string) (JournalReport, error) {
		return rep, problem.New(problem.IntegrityFailed, "journal line %d: %s", n, why)
	}
	r := bufio.NewReaderSize(f, 64<<10)
	var torn []byte
	for n := 1; ; n++ {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			if len(line) > 0 {
				rep.Torn, rep.TornEnd = rep.Torn+1, true
			}
			if torn != nil {
				return broken(n-1, "it was changed")
			}
			return rep, nil
		}
		if err != nil {
			return broken(n, "it cannot be read")
		}
		e, hash, ok := unseal(line)
		if !ok {
			if torn != nil {
				return broken(n-1, "it was changed")
			}
			torn = line
			continue
		}
		if torn != nil {
			sum := sha256.Sum256(torn)
			if e.Event != LogTorn || e.Torn != hex.EncodeToString(sum[:]) {
				return broken(n-1, "it was changed")
			}
			torn, rep.Torn = nil, rep.Torn+1
		}
		if e.Prev != rep.Head || e.Seq != rep.Lines+1 {
			return broken(n, "it does not follow the line before")
		}
		if rep.Lines == 0 {
			rep.First = e.Time
		}
		rep.Lines, rep.Last, rep.Head = e.Seq, e.Time, hash
		if visit != nil {
			visit(e)
		}
	}
}

// readLine returns a line without its newline, at most maxLine long; io.EOF with what follows the last newline.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, errors.New("line too long")
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return line, err
		}
		return line[:len(line)-1], nil
	}
}
