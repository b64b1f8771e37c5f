package agent_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"certsign/agent"
	"certsign/agent/home"
	"certsign/internal/problem"
)

func newHome(t testing.TB) *home.Dir {
	t.Helper()
	h, err := home.Open(t.TempDir())
	require.NoError(t, err)
	return h
}

func newJournal(t testing.TB, h *home.Dir, lines int) *agent.Journal {
	t.Helper()
	j := agent.OpenJournal(h, time.Now)
	for range lines {
		require.NoError(t, j.Append(agent.Entry{Event: agent.LogSigned, Origin: "https://portal.example", Documents: []agent.EntryDocument{
			{Name: `zgłoszenie ","hash":"x"}.xml`, SHA256: strings.Repeat("a", 64), Size: 3},
		}}))
	}
	return j
}

func TestEachJournalLineHoldsTheHashOfTheOneBefore(t *testing.T) {
	h := newHome(t)
	newJournal(t, h, 3)
	var prev []string
	rep, err := agent.VerifyJournal(h, func(e agent.Entry) { prev = append(prev, e.Prev) })
	require.NoError(t, err)
	assert.EqualValues(t, 3, rep.Lines)
	assert.Equal(t, strings.Repeat("0", 64), prev[0])
	assert.NotEqual(t, prev[1], prev[2])
	fi, err := os.Stat(h.Path(agent.JournalName))
	require.NoError(t, err)
	if fi.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Error("others may read the journal")
	}
}

func TestAJournalThatWasTouchedIsNoticed(t *testing.T) {
	for name, touch := range map[string]func([][]byte) [][]byte{
		"a letter is changed":        func(l [][]byte) [][]byte { l[1] = bytes.Replace(l[1], []byte("zg"), []byte("Zg"), 1); return l },
		"a line is removed":          func(l [][]byte) [][]byte { return append(l[:1:1], l[2:]...) },
		"the first line is removed":  func(l [][]byte) [][]byte { return l[1:] },
		"two lines change places":    func(l [][]byte) [][]byte { l[1], l[2] = l[2], l[1]; return l },
		"a line is put in":           func(l [][]byte) [][]byte { return append(l[:2:2], append([][]byte{l[1]}, l[2:]...)...) },
		"a line is cut short inside": func(l [][]byte) [][]byte { l[1] = l[1][:20]; return l },
		"the last line is changed":   func(l [][]byte) [][]byte { l[3] = bytes.Replace(l[3], []byte("zg"), []byte("Zg"), 1); return l },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			newJournal(t, h, 4)
			b, err := h.Read(agent.JournalName, 1<<20)
			require.NoError(t, err)
			lines := touch(bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n")))
			require.NoError(t, h.Write(agent.JournalName, append(bytes.Join(lines, []byte("\n")), '\n')))
			_, err = agent.VerifyJournal(h, nil)
			assert.Equal(t, problem.IntegrityFailed, problem.CodeOf(err))
		})
	}
}

func TestALineThatACrashCutShortIsTolerated(t *testing.T) {
	h := newHome(t)
	newJournal(t, h, 2)
	whole, err := h.Read(agent.JournalName, 1<<20)
	require.NoError(t, err)
	for cut := 1; cut < 300; cut += 37 {
		require.NoError(t, h.Write(agent.JournalName, whole[:len(whole)-cut]))
		rep, err := agent.VerifyJournal(h, nil)
		require.NoError(t, err)
		assert.True(t, rep.TornEnd, "cut by %d", cut)

		newJournal(t, h, 2)
		rep, err = agent.VerifyJournal(h, nil)
		require.NoError(t, err, "cut by %d", cut)
		assert.False(t, rep.TornEnd)
		if cut > 1 { // only its newline was missing
			assert.Equal(t, 1, rep.Torn)
		}
	}
}

func TestTwoProcessesWriteOneChain(t *testing.T) {
	h := newHome(t)
	a, b := newJournal(t, h, 1), newJournal(t, h, 1)
	for range 5 {
		require.NoError(t, a.Append(agent.Entry{Event: agent.LogRequest}))
		require.NoError(t, b.Append(agent.Entry{Event: agent.LogRequest}))
	}
	rep, err := agent.VerifyJournal(h, nil)
	require.NoError(t, err)
	assert.EqualValues(t, 12, rep.Lines)
}

func FuzzVerifyJournal(f *testing.F) {
	dir := f.TempDir()
	h, err := home.Open(dir)
	require.NoError(f, err)
	j := agent.OpenJournal(h, time.Now)
	for range 2 {
		require.NoError(f, j.Append(agent.Entry{Event: agent.LogRequest}))
	}
	seed, err := h.Read(agent.JournalName, 1<<20)
	require.NoError(f, err)
	f.Add(seed)
	f.Add([]byte("{}\n\n"))
	f.Add(seed[:len(seed)-5])
	f.Fuzz(func(t *testing.T, b []byte) {
		require.NoError(t, os.WriteFile(h.Path(agent.JournalName), b, 0o600))
		before, err := agent.VerifyJournal(h, nil)
		if err != nil {
			require.Equal(t, problem.IntegrityFailed, problem.CodeOf(err))
			return
		}
		require.NoError(t, agent.OpenJournal(h, time.Now).Append(agent.Entry{Event: agent.LogRequest}))
		after, err := agent.VerifyJournal(h, nil)
		require.NoError(t, err, "what is good stays good when a line is added")
		require.Greater(t, after.Lines, before.Lines)
	})
}
