package portal

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter is one token bucket per key, for a bounded number of keys: at the bound, keys that are not limited are
// forgotten, and if none is, a new key is refused rather than an old one let go.
type limiter struct {
	burst int
	every time.Duration

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

const maxBuckets = 10_000

func newLimiter(burst int, every time.Duration) *limiter {
	return &limiter{burst: burst, every: every, buckets: map[string]*rate.Limiter{}}
}

// allow spends one token of that key.
func (l *limiter) allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[key]
	if !ok {
		if len(l.buckets) >= maxBuckets {
			l.forget()
		}
		if len(l.buckets) >= maxBuckets {
			return false
		}
		b = rate.NewLimiter(rate.Every(l.every), l.burst)
		l.buckets[key] = b
	}
	return b.Allow()
}

func (l *limiter) forget() {
	for key, b := range l.buckets {
		if b.Tokens() >= float64(l.burst) {
			delete(l.buckets, key)
		}
	}
}
