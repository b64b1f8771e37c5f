package soak_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"certsign/internal/testtool"
)

// sample is how many kills a plain test run does; CERTSIGN_SOAK asks for more.
const sample = 30

// TestKillAtEveryStepOfAnEnrolment ends one of the two programs with SIGKILL at a random moment of an enrolment, starts it
// again, and goes on. Whatever the moment: no certificate whose key is lost, no token spent twice, no certificate that the
// CA does not know, no request signed twice.
func TestKillAtEveryStepOfAnEnrolment(t *testing.T) {
	kills := sample
	if n, err := strconv.Atoi(os.Getenv("CERTSIGN_SOAK")); err == nil && n > 0 {
		kills = n
	} else if testing.Short() {
		t.Skip("starts both programs many times")
	}
	testtool.Need(t, "softhsm2-util")
	w := newWorld(t)
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))

	// How long each leg takes when nobody disturbs it, for each store.
	legs := map[string][2]time.Duration{}
	for _, store := range stores {
		start := time.Now()
		cer := w.ask(t, store)
		first := time.Since(start)
		token := w.token(t, cer)
		start = time.Now()
		require.NoError(t, w.finish(cer, token).Run(), "an undisturbed enrolment works")
		legs[store] = [2]time.Duration{first, time.Since(start)}
	}

	hits := map[string]int{}
	for done := 0; done < kills; {
		store := stores[random.IntN(len(stores))]
		moment := func(leg int) time.Duration {
			return time.Duration(random.Float64() * 1.05 * float64(legs[store][leg]))
		}
		switch random.IntN(3) {
		case 0:
			if killed := w.askAndKill(t, store, moment(0)); killed {
				done++
				hits["agent, making key and request"]++
			}
			w.settle(t)
		case 1:
			cer := w.ask(t, store)
			token := w.token(t, cer)
			if w.killed(t, w.finish(cer, token), moment(1)) {
				done++
				hits["agent, fetching and storing"]++
			}
			w.complete(t, cer, token)
		default:
			cer := w.ask(t, store)
			token := w.token(t, cer)
			finish := w.finish(cer, token)
			require.NoError(t, finish.Start())
			time.Sleep(moment(1))
			w.killCA(t)
			done++
			hits["CA, issuing"]++
			_ = finish.Wait() // either outcome is right; what counts is what the next try finds
			w.startCA(t)
			w.complete(t, cer, token)
		}
	}
	t.Logf("%d kills: %v", kills, hits)
	w.killCA(t)
	w.startCA(t)
	w.settle(t)
	w.audit(t)
}

// askAndKill starts the first leg and kills it; false when it was done before.
func (w *world) askAndKill(t *testing.T, store string, after time.Duration) bool {
	t.Helper()
	return w.killed(t, w.enroll(store), after)
}

// complete takes the ceremony up again until the certificate is there, as a person would who sees that it did not work.
func (w *world) complete(t *testing.T, c ceremony, token string) {
	t.Helper()
	var last string
	for range 5 {
		cmd := w.finish(c, token)
		out, err := cmd.CombinedOutput()
		if err == nil {
			return
		}
		last = string(out)
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatalf("ceremony %s cannot be completed: %s", c.ID, last)
}

// settle starts the agent, which takes up or cleans what was left, and stops it.
func (w *world) settle(t *testing.T) {
	t.Helper()
	w.runAgentOnce(t)
}

// audit compares what both sides know.
func (w *world) audit(t *testing.T) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.database+"?mode=ro")
	require.NoError(t, err)
	defer db.Close()

	var list struct {
		Certificates []struct{ Serial, Store, Key string }
		Keys         []struct{ Store, Key string }
		Ceremonies   []struct{ ID, State string }
	}
	out, err := w.certsign("list", "--json").Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(out, &list))
	held := map[string]bool{}
	for _, c := range list.Certificates {
		held[strings.TrimLeft(c.Serial, "0")] = true
	}

	issued := 0
	rows, err := db.Query("SELECT serial FROM certificates")
	require.NoError(t, err)
	for rows.Next() {
		var serial string
		require.NoError(t, rows.Scan(&serial))
		issued++
		require.True(t, held[strings.TrimLeft(serial, "0")], "certificate %s was issued, and its key is not in any store", serial)
	}
	require.NoError(t, rows.Err())
	require.NotZero(t, issued)
	require.Len(t, held, issued, "the agent holds certificates that the CA does not know")

	count := func(query string) (n int) {
		require.NoError(t, db.QueryRow(query).Scan(&n))
		return n
	}
	require.Zero(t, count("SELECT count(*) FROM intents WHERE state = 'open'"), "what was begun was ended")
	require.Equal(t, issued, count("SELECT count(*) FROM intents WHERE state <> 'abandoned'"), "each certificate had exactly one intent")
	require.Equal(t, issued, count("SELECT count(DISTINCT csr_sha256) FROM certificates"), "no request was certified twice")

	_, err = w.customsCA("audit", "verify").Output()
	require.NoError(t, err, "the CA's audit log is whole")
	journal, err := w.certsign("journal", "--verify").CombinedOutput()
	require.NoError(t, err, "the agent's journal is whole: %s", journal)

	// A used token is worth nothing, to anybody.
	if len(w.spent) > 0 {
		c := w.ask(t, "keyfile")
		out, err := w.finish(c, w.spent[0]).CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "token_", string(out))
	}
	// No half-written file stays in the agent's folder.
	require.NoError(t, filepath.WalkDir(w.home, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(d.Name(), ".tmp") {
			err = fmt.Errorf("%s was left behind", path)
		}
		return err
	}))
}
