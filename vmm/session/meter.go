package session

import (
	"context"
	"errors"
	"time"

	"instarfs/vmm/ledger"
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

// errKicked says that a run must end because nobody waits for it any more.
var errKicked = errors.New("kicked")

// Meter counts what a run uses up, and takes its turns.
type Meter struct {
	ctx    context.Context // done when the run is to stop: nobody waits for it any more
	budget Budget
	turn   *turns.Turn
	seat   *seat
	slice  *time.Timer // kicks the guest when its slice or its time is over
	books  *ledger.Ledger
	exits  int
	err    error // why the run may not go on
}

// Meter begins to measure a run that has its turn. kick is called when the transport must call
// Yield. Stop must be called in the end.
func (t *Ticket) Meter(ctx context.Context, kick func()) *Meter {
	b := &Meter{ctx: ctx, budget: t.host.budget, turn: t.turn, seat: t.seat, books: t.host.Memory}
	b.slice = time.AfterFunc(b.Left(), kick)
	return b
}

// Limit replaces the time that the run may take.
func (b *Meter) Limit(d time.Duration) { b.budget.Time = d }

// Stop ends the measuring.
func (b *Meter) Stop() { b.slice.Stop() }

// Exit counts one entry into the guest.
func (b *Meter) Exit() error {
	if b.err != nil {
		return b.err
	}
	if b.exits++; b.exits > b.budget.Exits {
		return Errorf(KindExits, "the guest turned to the host more than %d times", b.budget.Exits)
	}
	return nil
}

// Left is the time until Yield must be called; nothing or less when it is over.
func (b *Meter) Left() time.Duration { return min(b.turn.Left(), b.budget.Time-b.turn.Held()) }

// Yield lets others go first if the slice is over. The error says why the run must end; it ends at
// its next exit then whatever is made of the error.
func (b *Meter) Yield() error {
	switch {
	case b.err != nil:
	case b.ctx.Err() != nil:
		b.err = errKicked
	case b.turn.Held() >= b.budget.Time:
		b.err = Errorf(KindDeadline, "no result after %v of processor time", b.budget.Time)
	case b.turn.Left() > 0:
		b.slice.Reset(b.Left())
	default:
		b.err = b.resume(b.turn.Yield)
	}
	return b.err
}

// Away gives the turn away while f waits for something that is not the processor.
func (b *Meter) Away(f func()) error {
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
func (b *Meter) patiently(f func()) error {
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
func (b *Meter) resume(wait func(context.Context) error) error {
	if wait(b.ctx) != nil {
		return errKicked
	}
	if b.turn.Slow() && !b.seat.try() {
		return errCrowded
	}
	b.slice.Reset(b.Left())
	return nil
}
