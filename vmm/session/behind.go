package session

import (
	"sync"
	"sync/atomic"

	"instarfs/guest/abi"
	"instarfs/vmm/bug"
)

// behind decodes copies of records while the guest goes on and its transport reuses the memory that
// they came in: a large map takes as long to decode as to walk.
type behind struct {
	work   chan []byte             // copies to decode, in order
	free   chan *[abi.RingLen]byte // for the next copies
	done   chan struct{}           // closed when all is decoded
	failed atomic.Bool             // err is set; later records are dropped
	err    error                   // valid once done is closed
}

// ringCopies is one to be decoded and one to be filled.
const ringCopies = 2

var ringPool = sync.Pool{New: func() any { return new([abi.RingLen]byte) }}

// newBehind starts decoding into d, which is the goroutine's until wait returns.
func newBehind(d *decoder) *behind {
	b := &behind{
		work: make(chan []byte, ringCopies), free: make(chan *[abi.RingLen]byte, ringCopies),
		done: make(chan struct{}),
	}
	for range ringCopies {
		b.free <- ringPool.Get().(*[abi.RingLen]byte)
	}
	go func() {
		defer close(b.done)
		for records := range b.work {
			if b.err == nil {
				b.err = bug.Guard(func() error { return d.decode(records) })
				b.failed.Store(b.err != nil)
			}
			b.free <- (*[abi.RingLen]byte)(records[:abi.RingLen])
		}
	}()
	return b
}

// decode hands over a copy of records, which are no more than the ring holds, and waits for room if
// there is none. It reports false if an earlier record could not be decoded.
func (b *behind) decode(first, second []byte) bool {
	to := <-b.free
	n := copy(to[:], first)
	n += copy(to[n:], second)
	b.work <- to[:n:abi.RingLen]
	return !b.failed.Load()
}

// wait ends the decoding and returns the first error.
func (b *behind) wait() error {
	close(b.work)
	<-b.done
	for range ringCopies {
		ringPool.Put(<-b.free)
	}
	return b.err
}
