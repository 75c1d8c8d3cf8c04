// Package turns decides which of many pieces of work may use a processor now, so that work that
// never ends costs others no more than a moment. It knows nothing of what the work is: whoever does
// it enters, gives way when its slice is over, and leaves.
//
// Work is accounted to a map (Account): all runs and the composition of one map share it. What has
// used less than fastTime of a processor goes through the fast lane, all else through the slow one.
// The lanes have turns of their own, so the fast lane never waits for the slow one. Within a lane
// the owners of maps take turns, and the maps of one owner take turns among themselves, a slice
// each.
//
// A Desk is safe for use by many goroutines, a Turn belongs to one.
package turns

import (
	"context"
	"sync"
	"time"
)

const (
	// fastTime is the processor time of a map in the fast lane: a hundred times what a usual image
	// takes.
	fastTime = 200 * time.Millisecond
	// fastSlice and slowSlice are how long a turn lasts while others wait. Leaving a guest and
	// entering it again takes some ten microseconds.
	fastSlice = 25 * time.Millisecond
	slowSlice = 100 * time.Millisecond
)

// Desk hands out turns.
type Desk struct {
	mu         sync.Mutex // guards all below
	processors int
	fast, slow lane
}

// lane is the turns that are taken and those who wait for one.
type lane struct {
	taken   int
	waiting queue
}

// New makes a desk for that many processors, 1 or more.
func New(processors int) *Desk { return &Desk{processors: max(processors, 1)} }

// Turn is the right to use a processor, or the wait for it.
type Turn struct {
	desk    *Desk
	account *Account
	lane    *lane         // in which a turn is taken; nil while there is none
	since   time.Time     // when it was taken
	slice   time.Duration // how long it lasts if others wait
	held    time.Duration // time of all turns that ended
	granted chan struct{} // closed when a wait ends with a turn
}

// Enter waits for a turn on the account of ctx, see With. When ctx ends first, the error is its
// cause.
func (d *Desk) Enter(ctx context.Context) (*Turn, error) {
	t := &Turn{desk: d, account: accountOf(ctx)}
	return t, t.Resume(ctx)
}

// Resume waits for a turn again after Pause.
func (t *Turn) Resume(ctx context.Context) error {
	t.desk.mu.Lock()
	t.queue()
	t.desk.mu.Unlock()
	return t.wait(ctx)
}

// Pause gives the turn away while its holder waits for something else. It must be followed by
// Resume, or by nothing.
func (t *Turn) Pause() {
	t.desk.mu.Lock()
	defer t.desk.mu.Unlock()
	t.release()
	t.desk.grant()
}

// Leave gives the turn away for good. It may be called without a turn.
func (t *Turn) Leave() { t.Pause() }

// Yield lets others have their turns first, if they wait, and begins a new slice.
func (t *Turn) Yield(ctx context.Context) error {
	t.desk.mu.Lock()
	t.release()
	t.queue()
	t.desk.mu.Unlock()
	return t.wait(ctx)
}

// Left is how much of the slice is left; nothing or less when it is over. Precondition: t has a
// turn.
func (t *Turn) Left() time.Duration { return t.slice - time.Since(t.since) }

// Held is the time for which t has had turns.
func (t *Turn) Held() time.Duration {
	if t.lane == nil {
		return t.held
	}
	return t.held + time.Since(t.since)
}

// Slow reports whether the turn is one of the slow lane. Precondition: t has a turn.
func (t *Turn) Slow() bool { return t.lane == &t.desk.slow }

// queue puts t into the queue of its lane, and grants what can be granted. Precondition: desk.mu is
// held.
func (t *Turn) queue() {
	l := &t.desk.fast
	if t.account.used() >= fastTime {
		l = &t.desk.slow
	}
	t.granted = make(chan struct{})
	l.waiting.push(t)
	t.desk.grant()
}

// wait waits for the turn that t is queued for.
func (t *Turn) wait(ctx context.Context) error {
	select {
	case <-t.granted:
		return nil
	default:
	}
	select {
	case <-t.granted:
		return nil
	case <-ctx.Done():
	}
	t.desk.mu.Lock()
	defer t.desk.mu.Unlock()
	// The turn may have come at the same time.
	t.release()
	t.desk.fast.waiting.remove(t)
	t.desk.slow.waiting.remove(t)
	t.desk.grant()
	return context.Cause(ctx)
}

// release ends the turn that t has, if it has one. Precondition: desk.mu is held.
func (t *Turn) release() {
	if t.lane == nil {
		return
	}
	used := time.Since(t.since)
	t.held += used
	t.account.nanos.Add(int64(used))
	t.lane.taken--
	t.lane = nil
}

// grant gives the turns that are free to those who wait. Precondition: mu is held.
func (d *Desk) grant() {
	d.fast.grant(d.processors, func(a *Account) time.Duration {
		return min(fastSlice, fastTime-a.used())
	})
	// The last processor is for the fast lane as long as it has work.
	n := d.processors
	if d.fast.taken > 0 {
		n = max(1, n-1)
	}
	d.slow.grant(n, func(*Account) time.Duration { return slowSlice })
}

// grant lets those who wait have turns while fewer than n are taken.
func (l *lane) grant(n int, slice func(*Account) time.Duration) {
	for l.taken < n {
		t := l.waiting.pop()
		if t == nil {
			return
		}
		l.taken++
		t.lane, t.since, t.slice = l, time.Now(), slice(t.account)
		close(t.granted)
	}
}
