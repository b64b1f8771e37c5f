//go:build linux

package soak_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// moment is what a killed program had done: not what was aimed at, but what was found on both sides' disks afterwards.
type moment string

// The moments of the agent, which are the states of its ceremony and what lies between them; see package agent/enroll.
const (
	writing   moment = "a file is being written"
	nothing   moment = "the ceremony is not on the disk"
	wished    moment = "the key is being made"
	made      moment = "the key is there, its request is not signed"
	asked     moment = "the request is there, nobody has it"
	kept      moment = "the token is there, and was not sent"
	sent      moment = "the token was sent, and nothing came of it"
	lost      moment = "the CA has issued, and the agent does not know"
	issued    moment = "the certificate is there, not beside its key"
	attached  moment = "the certificate is beside its key, the ceremony does not know"
	done      moment = "all is done, and nobody was told"
	untouched moment = "the token is not on the disk"
)

// The moments of the CA.
const (
	minting    moment = "the token is being minted"
	unread     moment = "the request has not come"
	spent      moment = "the token is spent, nothing is intended"
	intended   moment = "the certificate is intended, and not recorded"
	recorded   moment = "the certificate is recorded, and nobody was told"
	handedOver moment = "the certificate is handed over"
)

// aim is when to kill, so that a moment is met.
type aim struct {
	who    string // shell, daemon or CA
	leg    int
	folder string        // in the agent's home; "tokens" is SoftHSM2's
	nth    int           // file that appears there
	torn   bool          // as soon as it is begun, and not when it is there by its final name
	stage  stage         // or the CA's request, at the gate
	query  string        // or as soon as this counts more than it did, in the CA's database
	after  time.Duration // or then
	store  string        // "" for any
	wanted moment
}

// aims are tried in turn. Those that are sure to be hit have a sign that the killed program waits for or that comes late
// enough; the others are tried until they are.
var aims = func() []aim {
	var all []aim
	for _, who := range []string{"shell", "daemon"} {
		all = append(all,
			aim{who: who, leg: 1, folder: "ceremonies", nth: 1, torn: true, wanted: nothing},
			aim{who: who, leg: 1, folder: "ceremonies", nth: 1, wanted: wished},
			aim{who: who, leg: 1, folder: "ceremonies", nth: 2, wanted: made},
			aim{who: who, leg: 1, folder: "ceremonies", nth: 3, wanted: asked},
			aim{who: who, leg: 1, folder: "keys", nth: 1, torn: true, store: "keyfile", wanted: writing},
			aim{who: who, leg: 2, folder: "ceremonies", nth: 1, wanted: kept},
			aim{who: who, leg: 2, folder: "ceremonies", nth: 2, torn: true, wanted: writing},
			aim{who: who, leg: 2, stage: arrived, wanted: sent},
			aim{who: who, leg: 2, stage: answered, wanted: lost},
			aim{who: who, leg: 2, folder: "ceremonies", nth: 3, wanted: issued},
			aim{who: who, leg: 2, folder: "ceremonies", nth: 4, wanted: done},
		)
	}
	return append(all,
		aim{who: "shell", leg: 2, folder: "keys", nth: 2, store: "keyfile", wanted: attached},
		aim{who: "CA", leg: 1, query: "SELECT count(*) FROM enrolments", wanted: minting},
		aim{who: "CA", leg: 2, stage: arrived, wanted: unread},
		aim{who: "CA", leg: 2, query: "SELECT count(*) FROM tokens WHERE spent_at <> 0", wanted: spent},
		aim{who: "CA", leg: 2, query: "SELECT count(*) FROM intents", wanted: intended},
		aim{who: "CA", leg: 2, stage: answered, wanted: recorded},
		aim{who: "CA", leg: 2, stage: delivered, wanted: handedOver},
	)
}()

// unfinished are the names of files that are being written: in package agent/home, and in agent/keystore/keyfile.
var unfinished = regexp.MustCompile(`(^|/)\.(new|certsign)-[^/]*$`)

// watcher calls a function once, when the file that was waited for has appeared.
type watcher struct {
	fd   int
	done chan struct{}
	once sync.Once
}

// watch looks in a folder for the nth file that is there by its final name from now on, or that is begun.
func watch(t *testing.T, folder string, nth int, torn bool, found func()) *watcher {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	require.NoError(t, err)
	mask, wanted := uint32(unix.IN_MOVED_TO), regexp.MustCompile(`\.(json|p12)$`)
	if torn {
		mask, wanted = unix.IN_CREATE, unfinished
	}
	_, err = unix.InotifyAddWatch(fd, folder, mask)
	require.NoError(t, err)
	w := &watcher{fd: fd, done: make(chan struct{})}
	stopped := w.done
	go func() {
		defer unix.Close(fd)
		buffer := make([]byte, 16<<10)
		for seen := 0; ; {
			select {
			case <-stopped:
				return
			default:
			}
			n, err := unix.Read(fd, buffer)
			if errors.Is(err, unix.EAGAIN) {
				continue // waiting asleep would be too late
			}
			if err != nil {
				return
			}
			for at := 0; at+unix.SizeofInotifyEvent <= n; { // struct inotify_event: its length is the last of four words
				length := int(uint32(buffer[at+12]) | uint32(buffer[at+13])<<8)
				name := strings.TrimRight(string(buffer[at+unix.SizeofInotifyEvent:at+unix.SizeofInotifyEvent+length]), "\x00")
				at += unix.SizeofInotifyEvent + length
				if wanted.MatchString(name) {
					if seen++; seen == nth {
						found()
						return
					}
				}
			}
		}
	}()
	return w
}

func (w *watcher) stop() { w.once.Do(func() { close(w.done) }) }

// note is a ceremony's file.
type note struct {
	ID, Store, Key, State, Token string
	Tried                        bool
}

func (w *world) notes(t *testing.T) map[string]note {
	t.Helper()
	all := map[string]note{}
	paths, err := filepath.Glob(filepath.Join(w.home, "ceremonies", "*.json"))
	require.NoError(t, err)
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.NoError(t, err)
		var n note
		require.NoError(t, json.Unmarshal(b, &n), "%s is whole whatever happened", path)
		all[n.ID] = n
	}
	return all
}

// firstLeg tells how far a first leg came; before are the ceremonies from before it.
func (w *world) firstLeg(t *testing.T, before map[string]note) moment {
	t.Helper()
	for id, n := range w.notes(t) {
		if _, old := before[id]; !old {
			return map[string]moment{"wished": wished, "made": made, "asked": asked}[n.State]
		}
	}
	return nothing
}

// secondLeg tells how far a second one came.
func (w *world) secondLeg(t *testing.T, c ceremony) moment {
	t.Helper()
	n := w.notes(t)[c.ID]
	switch {
	case n.State == "asked":
		return untouched
	case n.State == "given" && !n.Tried:
		return kept
	case n.State == "given" && w.count(t, "SELECT count(*) FROM certificates WHERE csr_sha256 = ?", c.CSRSHA256) == 0:
		return sent
	case n.State == "given":
		return lost
	case n.State == "issued":
		for _, held := range w.list(t).Certificates {
			if held.Key == n.Key && held.Store == n.Store {
				return attached
			}
		}
		return issued
	}
	require.Equal(t, "done", n.State)
	return done
}

// issue tells how far the CA came with a ceremony's request. The CA is dead.
func (w *world) issue(t *testing.T, c ceremony, told bool) moment {
	t.Helper()
	const of = " (SELECT id FROM enrolments WHERE csr_sha256 = ?)"
	switch {
	case w.count(t, "SELECT count(*) FROM certificates WHERE csr_sha256 = ?", c.CSRSHA256) > 0 && told:
		return handedOver
	case w.count(t, "SELECT count(*) FROM certificates WHERE csr_sha256 = ?", c.CSRSHA256) > 0:
		return recorded
	case w.count(t, "SELECT count(*) FROM intents WHERE state = 'open' AND enrolment_id IN"+of, c.CSRSHA256) > 0:
		return intended
	case w.count(t, "SELECT count(*) FROM tokens WHERE spent_at <> 0 AND enrolment_id IN"+of, c.CSRSHA256) > 0:
		return spent
	}
	return unread
}
