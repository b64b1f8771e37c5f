package bench

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lenient is a test whose failure is looked at rather than suffered.
type lenient struct {
	testing.TB
	failed bool
}

func (l *lenient) Errorf(string, ...any) { l.failed = true }

func TestAComparisonIsWrittenDownAndFailsBelowItsLeast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bench.json")
	t.Setenv("CERTSIGN_BENCH", path)
	round = 4 * time.Millisecond
	wait := func(d time.Duration) func() { return func() { time.Sleep(d) } }
	for _, c := range []struct {
		name  string
		ours  time.Duration
		least float64
		fails bool
	}{{"as fast", 2 * time.Millisecond, 0.5, false}, {"slow", 20 * time.Millisecond, 0.5, true}, {"slow", 20 * time.Millisecond, 0.01, false}} {
		l := &lenient{TB: t}
		Rates(l, c.name, "a peer", c.least, wait(c.ours), wait(2*time.Millisecond))
		assert.Equal(t, c.fails, l.failed, c.name)
	}
	l := &lenient{TB: t}
	Within(l, "quick", time.Second, func() {})
	assert.False(t, l.failed)
	Within(l, "late", time.Microsecond, wait(time.Millisecond))
	assert.True(t, l.failed)

	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var all []Result
	require.NoError(t, json.Unmarshal(b, &all))
	require.Len(t, all, 4, "a result takes the place of one with its name")
	assert.Less(t, all[1].Ratio, 0.5)
	assert.True(t, all[1].OK)
	assert.Greater(t, all[1].Peer, all[1].Ours)
}
