// Package ledger keeps the books of memory that grows with images: maps, what makes them, and what
// is kept of them. Before memory is taken it is written down on a lease; where there is not enough
// the ledger has caches give back, has unreachable maps collected, and waits a moment for others to
// end. Then the one who asked gets ErrFull, and nobody else is harmed.
//
// Everything here is safe for use by many goroutines.
package ledger

import (
	"errors"
	"runtime"
	"sync"
	"time"
)

// ErrFull says that what was to be made needs more memory than there is for it.
var ErrFull = errors.New("not enough memory is left")

const (
	// patience is how long a lease waits for others to give back.
	patience = time.Second
	// pause is how often a lease that waits looks again, and the least time between two
	// collections.
	pause = 20 * time.Millisecond
	// small is how many bytes a usual lease has, at most, that may use the last quarter of the
	// memory. Large ones cannot have it, so that usual images are served while somebody tries how
	// much there is.
	small = 1 << 20
)

// evictParts is in how many parts a cache that fills the memory gives back all: a map that grows by
// small pieces must not wait for each of them.
const evictParts = 32

// Ledger is a limit and what is used of it.
type Ledger struct {
	limit   int64
	collect func() // finds out which leases are unreachable

	mu        sync.Mutex // guards all below; never held while evict or collect run
	used      int64
	evict     func(bytes int64)
	collected time.Time // when collect was last begun
}

// New makes a ledger of limit bytes.
func New(limit int64) *Ledger {
	return &Ledger{limit: limit, collect: runtime.GC, evict: func(int64) {}}
}

// OnFull has evict called, from any goroutine, when more bytes are needed than are left. It is to
// let go of as many.
func (l *Ledger) OnFull(evict func(bytes int64)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.evict = evict
}

// Limit is the bytes that there are in all.
func (l *Ledger) Limit() int64 { return l.limit }

// Used is the bytes of all leases.
func (l *Ledger) Used() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}

// take books n bytes if they are left. Those that are not first are refused the last quarter.
func (l *Ledger) take(n int64, first bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := l.limit
	if !first {
		limit -= limit / 4
	}
	if n > limit-l.used {
		return false
	}
	l.used += n
	return true
}

// release gives bytes back.
func (l *Ledger) release(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used -= n
}

// reserve waits for n bytes and books them, or returns ErrFull.
func (l *Ledger) reserve(n int64, first bool) error {
	if n > l.limit {
		return ErrFull
	}
	for end := time.Now().Add(patience); !l.take(n, first); time.Sleep(pause) {
		if time.Now().After(end) {
			return ErrFull
		}
		l.relieve(n)
	}
	return nil
}

// relieve makes room, which takes effect a moment later.
func (l *Ledger) relieve(n int64) {
	l.mu.Lock()
	evict, due := l.evict, time.Since(l.collected) >= pause
	if due {
		l.collected = time.Now()
	}
	l.mu.Unlock()
	if due {
		evict(max(n, l.limit/evictParts))
		l.collect()
	}
}
