// Package bench compares the rate of what this project does with that of a peer doing the same, in one run: some of ours,
// some of theirs, in turn, so that a computer which is busy for a while slows both. It is imported by tests only, which
// CERTSIGN_BENCH, the file for the results, switches on; without it they are skipped. It measures nothing but time.
package bench

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"
)

// Result is one comparison, as the file holds it.
type Result struct {
	Name    string  `json:"name"`
	Against string  `json:"against"` // who the peer is
	Unit    string  `json:"unit"`
	Ours    float64 `json:"ours"`  // the median over the rounds
	Peer    float64 `json:"peer"`  // the same for the peer, or the limit
	Ratio   float64 `json:"ratio"` // the median of the rounds' ratios; more is better
	Least   float64 `json:"least"` // what the ratio must reach
	OK      bool    `json:"ok"`
}

const rounds = 31

var round = 60 * time.Millisecond // of each of the two

// File returns where the results go, or skips the test.
func File(t testing.TB) string {
	t.Helper()
	path := os.Getenv("CERTSIGN_BENCH")
	if path == "" {
		t.Skip("a comparison of rates: make bench runs it")
	}
	return path
}

// Rates runs ours and theirs in turn and fails the test when the median of the ratios is less than least.
func Rates(t testing.TB, name, against string, least float64, ours, theirs func()) {
	t.Helper()
	path := File(t)
	n, m := repeat(ours), repeat(theirs)
	var a, b, ratios []float64
	for i := range rounds {
		var first, second float64
		if i%2 == 0 {
			first, second = rate(ours, n), rate(theirs, m)
		} else {
			second, first = rate(theirs, m), rate(ours, n)
		}
		a, b, ratios = append(a, first), append(b, second), append(ratios, first/second)
	}
	record(t, path, Result{Name: name, Against: against, Unit: "1/s", Ours: median(a), Peer: median(b), Ratio: median(ratios), Least: least})
}

// Within runs what must take no longer than limit, and fails the test when the median does.
func Within(t testing.TB, name string, limit time.Duration, what func()) {
	t.Helper()
	path := File(t)
	var all []float64
	for range rounds {
		start := time.Now()
		what()
		all = append(all, time.Since(start).Seconds()*1000)
	}
	took, most := median(all), limit.Seconds()*1000
	record(t, path, Result{Name: name, Against: "the limit", Unit: "ms", Ours: took, Peer: most, Ratio: most / took, Least: 1})
}

// repeat returns how often f runs in a round. The first calls warm up.
func repeat(f func()) int {
	n := 0
	for start := time.Now(); time.Since(start) < round; n++ {
		f()
	}
	return max(n, 1)
}

func rate(f func(), n int) float64 {
	start := time.Now()
	for range n {
		f()
	}
	return float64(n) / time.Since(start).Seconds()
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// record prints the result and puts it into the file, in the place of one with its name.
func record(t testing.TB, path string, r Result) {
	t.Helper()
	r.OK = r.Ratio >= r.Least
	t.Logf("%-48s %10.1f %-4s %-24s %10.1f   ratio %.3f (at least %.2f)", r.Name, r.Ours, r.Unit, r.Against, r.Peer, r.Ratio, r.Least)
	var all []Result
	if b, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(b, &all); err != nil {
			t.Fatal(path, ": ", err)
		}
	}
	all = append(slices.DeleteFunc(all, func(old Result) bool { return old.Name == r.Name }), r)
	b, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK {
		t.Errorf("%s: %.3f of %s, want at least %.2f", r.Name, r.Ratio, r.Against, r.Least)
	}
}
