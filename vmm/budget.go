package vmm

import (
	"context"
	"time"

	"instarfs/vmm/turns"
)

// Budget bounds one run. Nothing a guest does costs the host more.
type Budget struct {
	// Time is the processor time of the guest. It does not pass while the host reads the image for
	// it, or while the run waits for its turn.
	Time    time.Duration
	Exits   int    // entries into the guest, system calls included
	Read    uint64 // bytes of the image
	Extents int    // extents of the layer map, which stay in host memory: 18 bytes each
}

// DefaultBudget maps every image that a person is likely to meet, a 4 TiB qcow2 with 64 Mi extents
// among them, and stops one that was made to waste time within a minute.
var DefaultBudget = Budget{Time: time.Minute, Exits: 1 << 22, Read: 16 << 30, Extents: 64 << 20}

// meter counts what a run uses up, and takes its turns.
type meter struct {
	ctx    context.Context // done when the run is to stop: nobody waits for it any more
	budget Budget
	turn   *turns.Turn
	seat   *seat
	slice  *time.Timer // kicks the guest when its slice or its time is over
	exits  int
	err    error // why the run may not go on
}

// newMeter begins to measure a run that has its turn. kick makes it call yield.
func newMeter(ctx context.Context, budget Budget, turn *turns.Turn, s *seat, kick func()) *meter {
	b := &meter{ctx: ctx, budget: budget, turn: turn, seat: s}
	b.slice = time.AfterFunc(b.left(), kick)
	return b
}

func (b *meter) stop() { b.slice.Stop() }

// exit counts one entry into the guest.
func (b *meter) exit() error {
	if b.err != nil {
		return b.err
	}
	if b.exits++; b.exits > b.budget.Exits {
		return guestError(KindExits, "the guest left to the host more than %d times", b.budget.Exits)
	}
	return nil
}

// left is the time until yield must be called.
func (b *meter) left() time.Duration { return min(b.turn.Left(), b.budget.Time-b.turn.Held()) }

// yield lets others go first if the slice is over. The error says why the run must end; it ends at
// its next exit then whatever is made of the error.
func (b *meter) yield() error {
	switch {
	case b.err != nil:
	case b.ctx.Err() != nil:
		b.err = errKicked
	case b.turn.Held() >= b.budget.Time:
		b.err = guestError(KindDeadline, "no result after %v of processor time", b.budget.Time)
	case b.turn.Left() > 0:
		b.slice.Reset(b.left())
	default:
		b.err = b.resume(b.turn.Yield)
	}
	return b.err
}

// away gives the turn away while f waits for something that is not the processor.
func (b *meter) away(f func()) error {
	b.slice.Stop()
	b.turn.Pause()
	f()
	if err := b.resume(b.turn.Resume); err != nil {
		b.err = err
	}
	return b.err
}

// grace is how long a run waits for the host, mostly for the decoder, before it gives its turn
// away: the decoder may be waiting for memory.
const grace = 20 * time.Millisecond

// patiently carries out f, which waits for something else on the host, and gives the turn away if
// it takes long.
func (b *meter) patiently(f func()) error {
	paused := make(chan struct{})
	late := time.AfterFunc(grace, func() {
		defer close(paused)
		b.slice.Stop()
		b.turn.Pause()
	})
	f()
	if late.Stop() {
		return nil
	}
	<-paused
	return b.resume(b.turn.Resume)
}

// resume waits for the next turn, and for a seat if that is one of the slow lane.
func (b *meter) resume(wait func(context.Context) error) error {
	if wait(b.ctx) != nil {
		return errKicked
	}
	if b.turn.Slow() && !b.seat.try() {
		return errCrowded
	}
	b.slice.Reset(b.left())
	return nil
}
