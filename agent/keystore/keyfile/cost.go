package keyfile

import (
	"crypto/sha256"
	"math"
	"sync"
	"time"
)

// The count of iterations for both key derivations and for the MAC. A guess costs whoever has the file at least one
// derivation of the MAC key (RFC 7292, B.2), the cheapest of the three: one SHA-256 of 32 octets for each iteration. The
// count is what makes that take guessTime on this machine, and MinIterations on a slow one; each file says its own.
const (
	guessTime     = 250 * time.Millisecond
	MinIterations = 600_000
	// MaxIterations is the most that Java's keytool reads; it takes a machine that makes 20 million hashes in a second.
	MaxIterations = 5_000_000
)

// calibrated is the count for new files. It is measured once in a process, when the first file is written.
var calibrated = sync.OnceValue(func() int { return iterationsFor(hashTime()) })

// iterationsFor returns how often a hash that takes so long must be made, in whole hundred thousands.
func iterationsFor(hash time.Duration, n int) int {
	const step = 100_000
	each := float64(max(hash, 1)) / float64(n)
	count := math.Ceil(float64(guessTime)/each/step) * step
	return int(min(max(count, MinIterations), MaxIterations))
}

// hashTime returns how long n hashes took at best: what else the machine did meanwhile must not make the file weaker.
func hashTime() (best time.Duration, n int) {
	n = 1 << 15
	var sum [sha256.Size]byte
	for range 7 {
		start := time.Now()
		for range n {
			sum = sha256.Sum256(sum[:])
		}
		if took := time.Since(start); best == 0 || took < best {
			best = took
		}
	}
	return best, n
}
