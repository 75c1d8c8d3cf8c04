package chain

import (
	"context"
	"time"

	"instarfs/guest/extent"
	"instarfs/vmm/ledger"
	"instarfs/vmm/turns"
)

// pace has a composition take turns with all else, account for its memory, and end when its time is
// used up or nobody waits for it. It is for one goroutine.
type pace struct {
	ctx    context.Context
	turn   *turns.Turn
	memory *ledger.Ledger
	spent  *spent
	asked  time.Duration // waited for the file system
	steps  int
	leases []*ledger.Lease
}

// pace waits for the turn of a composition for the map of ctx.
func (l *Limits) pace(ctx context.Context) (*pace, error) {
	turn, err := l.Turns.Enter(ctx)
	if err != nil {
		return nil, err
	}
	return &pace{ctx: ctx, turn: turn, memory: l.Memory, spent: spentOf(ctx)}, nil
}

// resultCost is what a result has beside its map, bytes: headers, renderings, and what is noted
// where it is kept.
const resultCost = 4 << 10

// builder is extent.NewBuilder for a map that is accounted for.
func (p *pace) builder(start, end uint64, limit int) (*extent.Builder, error) {
	lease := p.memory.Lease()
	// What ask returns comes out at the next step.
	lease.Waiting(func(wait func()) {
		_ = p.ask(func() error {
			wait()
			return nil
		})
	})
	p.leases = append(p.leases, lease)
	if err := lease.Grow(resultCost); err != nil {
		return nil, err
	}
	b := extent.NewBuilder(start, end, limit)
	b.Account(lease)
	return b, nil
}

// stop gives the turn away.
func (p *pace) stop() {
	for _, l := range p.leases {
		l.Waiting(nil) // maps keep their leases, and nothing else of this
	}
	p.turn.Leave()
	p.spent.compose.Add(int64(p.used()))
}

func (p *pace) used() time.Duration { return p.turn.Held() + p.asked }

// stepLen is how many steps are made without a look at the clock: some ten microseconds.
const stepLen = 1024

// step is to be called for each piece of a map.
func (p *pace) step() error {
	if p.steps++; p.steps%stepLen != 0 {
		return nil
	}
	return p.check()
}

func (p *pace) check() error {
	limit := p.spent.limits.Compose
	switch {
	case p.ctx.Err() != nil:
		return context.Cause(p.ctx)
	case time.Duration(p.spent.compose.Load())+p.used() > limit:
		return p.spent.limits.errCompose()
	case p.turn.Left() > 0:
		return nil
	}
	return p.turn.Yield(p.ctx)
}

// ask carries out f, which may wait for a file system, without a turn.
func (p *pace) ask(f func() error) error {
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
