package ledger

import (
	"runtime"
	"sync"
)

// Lease is the memory that one thing takes. It grows, and ends as a whole: by Free, or when it is
// unreachable. So what has memory refers to its lease, and whatever shares that memory does too.
type Lease struct {
	balance *balance
	waiting func(wait func())
}

// balance is what is booked on a lease.
type balance struct {
	ledger *Ledger
	first  bool // may use all of the memory, however large
	mu     sync.Mutex
	n      int64 // bytes
}

// Lease begins a lease of no memory.
func (l *Ledger) Lease() *Lease { return l.lease(false) }

// First begins a lease for what all others need. It may use all of the memory, large as it is.
func (l *Ledger) First() *Lease { return l.lease(true) }

func (l *Ledger) lease(first bool) *Lease {
	lease := &Lease{balance: &balance{ledger: l, first: first}}
	runtime.AddCleanup(lease, (*balance).release, lease.balance)
	return lease
}

// Waiting has with called for each wait of Grow, which it must carry out; nil ends that. It must
// not be called during Grow.
func (l *Lease) Waiting(with func(wait func())) { l.waiting = with }

// Grow books bytes more. It may wait a second for others to give back; the error is ErrFull, and
// nothing is booked then.
func (l *Lease) Grow(bytes int) error {
	b := l.balance
	b.mu.Lock()
	defer b.mu.Unlock()
	// Else the lease could be cleaned up now, and that, and all cleanups after it, would wait for
	// the lock.
	defer runtime.KeepAlive(l)
	n, first := int64(bytes), b.first || b.n+int64(bytes) <= small
	if !b.ledger.take(n, first) {
		var err error
		wait := func() { err = b.ledger.reserve(n, first) }
		if l.waiting != nil {
			l.waiting(wait)
		} else {
			wait()
		}
		if err != nil {
			return err
		}
	}
	b.n += n
	return nil
}

// Bytes is how much is booked.
func (l *Lease) Bytes() int64 {
	l.balance.mu.Lock()
	defer l.balance.mu.Unlock()
	return l.balance.n
}

// Free ends the lease: what it was for is gone, or unreachable. It may be called again.
func (l *Lease) Free() { l.balance.release() }

func (b *balance) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n > 0 {
		b.ledger.release(b.n)
		b.n = 0
	}
}
