package usage

import (
	"context"
	"sync"
	"time"
)

// visitLinger is how long a directory counts as visited after the last request for a map in it:
// programs that walk through one do not stay away for longer between two files.
const visitLinger = time.Second

// Visits follows the requests for the maps of a directory, so that what is done ahead of them ends
// soon after the last.
type Visits struct {
	mu     sync.Mutex
	under  int                // requests under way
	ended  *time.Timer        // calls cancel; set while none is under way
	cancel context.CancelFunc // of what is done ahead, nil if nothing is
}

// Begin notes a request; done must be called when it is answered.
func (v *Visits) Begin() (done func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.under++
	v.stop()
	return v.end
}

func (v *Visits) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.under--
	v.linger()
}

// During returns a context for what is done ahead of the requests under way, and of those that
// follow at once. Only one such thing may be done at a time; done must be called at its end.
func (v *Visits) During(ctx context.Context) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cancel = cancel
	v.linger() // the request that was the reason may have been answered
	return ctx, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.stop()
		v.cancel = nil
		cancel()
	}
}

// linger ends what is done ahead in a while if no request is under way. Precondition: mu is held.
func (v *Visits) linger() {
	if v.under == 0 && v.cancel != nil && v.ended == nil {
		v.ended = time.AfterFunc(visitLinger, v.cancel)
	}
}

// stop takes that back. Precondition: mu is held.
func (v *Visits) stop() {
	if v.ended != nil {
		v.ended.Stop()
		v.ended = nil
	}
}
