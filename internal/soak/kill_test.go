//go:build linux

package soak_test

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"certsign/internal/testtool"
)

// sample is how many kills a plain test run does; CERTSIGN_SOAK asks for more.
const sample = 30

// TestKillAtEveryStepOfAnEnrolment ends the agent (a command in the shell, or the one that a page talks to) or the CA with
// SIGKILL at each step of an enrolment, starts it again, and goes on. Whatever the moment: no certificate whose key is lost, no
// token spent twice, no certificate that the CA does not know, no request signed twice, no key that belongs to nothing.
func TestKillAtEveryStepOfAnEnrolment(t *testing.T) {
	kills := sample
	if n, err := strconv.Atoi(os.Getenv("CERTSIGN_SOAK")); err == nil && n > 0 {
		kills = n
	} else if testing.Short() {
		t.Skip("starts both programs many times")
	}
	testtool.Need(t, "softhsm2-util")
	testtool.Need(t, "pkcs11-tool")
	w := newWorld(t)
	legs := map[int]time.Duration{} // how long they take when nobody disturbs them
	for _, store := range stores {
		start := time.Now()
		c := w.ask(t, store)
		legs[1] = max(legs[1], time.Since(start))
		token := w.token(t, c)
		start = time.Now()
		w.complete(t, c, token)
		legs[2] = max(legs[2], time.Since(start))
		w.replay(t, c, token)
	}

	hits := map[string]map[moment]int{"shell": {}, "daemon": {}, "CA": {}}
	missing := func() (left []aim) {
		for _, a := range aims {
			if hits[a.who][a.wanted] == 0 {
				left = append(left, a)
			}
		}
		return left
	}
	done, torn := 0, 0
	hit := func(a aim, m moment) {
		hits[a.who][m]++
		if n := w.unfinished(t); n > torn { // at any of the other moments
			hits[a.who][writing]++
			m += "; " + writing
		}
		t.Logf("%3d %s, %s: %s", done, a.who, a.store, m)
		done++
	}
	for try := 0; done < kills || len(missing()) > 0; try++ {
		require.Less(t, try, max(3*kills, 4*len(aims)), "these moments were not met: %v", missing())
		a := aims[try%len(aims)]
		if left := missing(); try >= len(aims) && len(left) > 0 {
			a = left[try%len(left)]
		} else if try >= len(aims) && try%2 == 0 {
			a = atAnyTime(legs)
		}
		torn = w.unfinished(t)
		a.store = cmp.Or(a.store, stores[(try+try/len(aims))%len(stores)])
		switch {
		case a.who == "CA" && a.leg == 1:
			w.killMinting(t, a, hit)
		case a.who == "CA":
			w.killIssuing(t, a, hit)
		case a.leg == 1:
			w.killAsking(t, a, hit)
		default:
			w.killFinishing(t, a, hit)
		}
	}
	for who, met := range hits {
		t.Logf("%s: %v", who, met)
	}
	w.killCA(t)
	w.startCA(t)
	w.settle(t)
	w.audit(t)
}

// atAnyTime aims at what nobody thought of.
func atAnyTime(legs map[int]time.Duration) aim {
	a := aim{who: []string{"shell", "daemon", "CA"}[rand.IntN(3)], leg: 2}
	if a.who != "CA" {
		a.leg = 1 + rand.IntN(2)
	}
	a.after = time.Duration(rand.Float64() * 1.05 * float64(legs[a.leg]))
	return a
}

// trigger kills at the moment that a aims at; the result ends the aiming and says whether it came to that.
func (w *world) trigger(t *testing.T, a aim, kill func()) (end func() bool) {
	t.Helper()
	var fired atomic.Bool
	fire := func() {
		if !fired.Swap(true) {
			kill()
		}
	}
	var enders []func()
	switch {
	case a.folder != "":
		watching := watch(t, filepath.Join(w.home, a.folder), a.nth, a.torn, fire)
		enders = append(enders, watching.stop)
	case a.stage != "":
		w.gate.look(func(s stage, path string) bool {
			if path == signPath && s == a.stage {
				fire()
				return a.who == "CA" && s == arrived // it finds nobody
			}
			return true
		})
	case a.after != 0:
		timer := time.AfterFunc(a.after, fire)
		enders = append(enders, func() { timer.Stop() })
	case a.query != "":
		ctx, cancel := context.WithCancel(t.Context())
		db, err := sql.Open("sqlite", "file:"+w.database+"?mode=ro&_pragma=busy_timeout(1000)")
		require.NoError(t, err)
		look, err := db.Prepare(a.query)
		require.NoError(t, err)
		count := func() (n int) {
			if err := look.QueryRow().Scan(&n); err != nil {
				return -1
			}
			return n
		}
		before := count()
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for ctx.Err() == nil {
				if count() > before {
					fire()
					return
				}
			}
		}()
		enders = append(enders, cancel, func() { <-stopped; _ = look.Close(); _ = db.Close() })
	}
	return func() bool {
		for _, e := range enders {
			e()
		}
		w.gate.look(nil)
		return fired.Load()
	}
}

// killAsking kills an agent in the first leg, of which nobody gets anything.
func (w *world) killAsking(t *testing.T, a aim, hit func(aim, moment)) {
	t.Helper()
	before := w.notes(t)
	if a.who == "shell" {
		if cmd := w.enroll(a.store); w.killed(t, a, cmd) {
			hit(a, w.firstLeg(t, before))
		}
		return
	}
	d := w.startDaemon(t)
	p, err := w.open(d)
	require.NoError(t, err)
	end := w.trigger(t, a, func() { _ = d.cmd.Process.Kill() })
	_, err = p.enroll(a.store)
	if end() {
		<-d.ended
		hit(a, w.firstLeg(t, before))
		w.startDaemon(t).stop(t)
		return
	}
	require.NoError(t, err, d.screen())
	d.stop(t)
}

// killed runs cmd and kills it at the moment that a aims at; false when it had ended before.
func (w *world) killed(t *testing.T, a aim, cmd *exec.Cmd) bool {
	t.Helper()
	started := make(chan struct{})
	end := w.trigger(t, a, func() { <-started; _ = cmd.Process.Kill() })
	require.NoError(t, cmd.Start())
	close(started)
	err := cmd.Wait()
	return end() && err != nil && cmd.ProcessState.ExitCode() == -1
}

// killFinishing kills an agent in the second leg, and then has the certificate fetched.
func (w *world) killFinishing(t *testing.T, a aim, hit func(aim, moment)) {
	t.Helper()
	if a.who == "shell" {
		c := w.ask(t, a.store)
		token := w.token(t, c)
		if cmd := w.finish(c, token); w.killed(t, a, cmd) {
			hit(a, w.secondLeg(t, c))
		}
		w.complete(t, c, token)
		w.replay(t, c, token)
		return
	}
	d := w.startDaemon(t)
	p, err := w.open(d)
	require.NoError(t, err)
	c, err := p.enroll(a.store)
	require.NoError(t, err, d.screen())
	token := w.token(t, c)
	end := w.trigger(t, a, func() { _ = d.cmd.Process.Kill() })
	err = p.finish(c, token)
	if end() {
		<-d.ended
		hit(a, w.secondLeg(t, c))
		d = w.startDaemon(t)
		p, err = w.open(d)
		require.NoError(t, err)
		err = p.finish(c, token)
	}
	require.NoError(t, err, d.screen())
	d.stop(t)
	w.replay(t, c, token)
}

// killMinting kills the CA while the portal decides on a request; the person then tries again.
func (w *world) killMinting(t *testing.T, a aim, hit func(aim, moment)) {
	t.Helper()
	c := w.ask(t, a.store)
	w.logIn(t)
	process := w.serve.Process
	end := w.trigger(t, a, func() { _ = process.Kill() })
	_, _, _ = w.visitor.try("/api/v1/enrolments", "application/json", bytes.NewReader(c.question(t)))
	fired := end()
	w.endCA(t)
	if fired {
		hit(a, minting)
	}
	w.startCA(t)
	token := w.token(t, c)
	w.complete(t, c, token)
	w.replay(t, c, token)
}

// killIssuing kills the CA between the agent's request and its own answer.
func (w *world) killIssuing(t *testing.T, a aim, hit func(aim, moment)) {
	t.Helper()
	c := w.ask(t, a.store)
	token := w.token(t, c)
	process := w.serve.Process
	end := w.trigger(t, a, func() {
		_ = process.Kill()
		time.Sleep(20 * time.Millisecond) // until its listener is gone too
	})
	finish := w.finish(c, token)
	told := finish.Run() == nil // either is right; what counts is what the next try finds
	fired := end()
	w.endCA(t)
	if fired {
		hit(a, w.issue(t, c, told))
	}
	w.startCA(t)
	w.complete(t, c, token)
	w.replay(t, c, token)
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

// settle starts the agent, which takes up or cleans what was left, and stops it. Then it makes a key at each place: with the PIN
// that this takes, what could not be cleaned without one is.
func (w *world) settle(t *testing.T) {
	t.Helper()
	d := w.startDaemon(t)
	p, err := w.open(d)
	require.NoError(t, err)
	for _, store := range stores {
		c, err := p.enroll(store)
		require.NoError(t, err, d.screen())
		token := w.token(t, c)
		require.NoError(t, p.finish(c, token), d.screen())
		w.replay(t, c, token)
	}
	d.stop(t)
}
