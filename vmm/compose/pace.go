package compose

import (
	"context"
	"sync/atomic"
	"time"

	"instarfs/guest/extent"
	"instarfs/vmm/ledger"
	"instarfs/vmm/turns"
)

// Allowance is the time that something may take in all, and how much of it has been used. It is
// safe for concurrent use.
type Allowance struct {
	Limit time.Duration
	Err   error // what is wrong when more is used
	used  atomic.Int64
}

// Use counts time as used.
func (a *Allowance) Use(d time.Duration) { a.used.Add(int64(d)) }

// Used is how much has been used. It may be more than Limit.
func (a *Allowance) Used() time.Duration { return time.Duration(a.used.Load()) }

// Pace makes a composition take turns with other work, books its memory, and ends it when its time
// is used up or nobody waits for it. It is for one goroutine.
type Pace struct {
	ctx    context.Context
	turn   *turns.Turn
	memory *ledger.Ledger
	time   *Allowance
	asked  time.Duration // waited for the file system
	steps  int
	leases []*ledger.Lease
}

// Enter waits for a turn. What follows may take the time of a, and is booked in memory. The caller
// must call Leave.
func Enter(
	ctx context.Context, desk *turns.Desk, memory *ledger.Ledger, a *Allowance,
) (*Pace, error) {
	turn, err := desk.Enter(ctx)
	if err != nil {
		return nil, err
	}
	return &Pace{ctx: ctx, turn: turn, memory: memory, time: a}, nil
}

// Leave gives the turn away.
func (p *Pace) Leave() {
	for _, l := range p.leases {
		l.Waiting(nil) // maps keep their leases, but nothing else of p
	}
	p.turn.Leave()
	p.time.Use(p.used())
}

// Overhead is the memory that a composed map takes in addition to its extents, in bytes: headers,
// renderings, and what is noted where the map is kept.
const Overhead = 4 << 10

// builder is extent.NewBuilder for a map whose memory is booked.
func (p *Pace) builder(start, end uint64, limit int) (*extent.Builder, error) {
	lease := p.memory.Lease()
	// If ask fails, so does the next step.
	lease.Waiting(func(wait func()) {
		_ = p.ask(func() error {
			wait()
			return nil
		})
	})
	p.leases = append(p.leases, lease)
	if err := lease.Grow(Overhead); err != nil {
		return nil, err
	}
	b := extent.NewBuilder(start, end, limit)
	b.Account(lease)
	return b, nil
}

func (p *Pace) used() time.Duration { return p.turn.Held() + p.asked }

// stepLen is how many steps are made without a look at the clock: some ten microseconds.
const stepLen = 1024

// step must be called for each piece of a map.
func (p *Pace) step() error {
	if p.steps++; p.steps%stepLen != 0 {
		return nil
	}
	return p.check()
}

func (p *Pace) check() error {
	switch {
	case p.ctx.Err() != nil:
		return context.Cause(p.ctx)
	case p.time.Used()+p.used() > p.time.Limit:
		return p.time.Err
	case p.turn.Left() > 0:
		return nil
	}
	return p.turn.Yield(p.ctx)
}

// ask calls f, which may wait for a file system, without a turn.
func (p *Pace) ask(f func() error) error {
	begun := time.Now()
	p.turn.Pause()
	err := f()
	p.asked += time.Since(begun)
	if over := p.turn.Resume(p.ctx); over != nil {
		return over
	}
	if err != nil {
		return err
	}
	return p.check()
}
