package session

import (
	"context"
	"math"
	"runtime"

	"instarfs/vmm/ledger"
	"instarfs/vmm/turns"
)

// Options of a Host.
type Options struct {
	Budget Budget      // of each run; zero is DefaultBudget
	Seats  int         // long runs that wait for their turns; zero is defaultSeats
	Most   int         // runs under way in all; zero is any number
	Turns  *turns.Desk // who may run; nil makes one for the number of CPUs
	// Memory is what guests and layer maps are accounted on; nil is without a limit.
	Memory *ledger.Ledger
}

// defaultSeats is far more long runs than a computer has use for at a time.
const defaultSeats = 64

// Host is what all runs of a program share. It is safe for concurrent use.
type Host struct {
	Memory *ledger.Ledger // guests and layer maps are accounted on it

	budget Budget
	turns  *turns.Desk
	seats  chan struct{} // one token a long run under way
	room   chan struct{} // one token a run under way; nil if there may be any number
}

// NewHost makes a Host.
func NewHost(o Options) *Host {
	if o.Budget == (Budget{}) {
		o.Budget = DefaultBudget
	}
	if o.Seats <= 0 {
		o.Seats = defaultSeats
	}
	if o.Memory == nil {
		o.Memory = ledger.New(math.MaxInt64)
	}
	if o.Turns == nil {
		o.Turns = turns.New(runtime.NumCPU())
	}
	h := &Host{Memory: o.Memory, budget: o.Budget, turns: o.Turns,
		seats: make(chan struct{}, o.Seats)}
	if o.Most > 0 {
		h.room = make(chan struct{}, o.Most)
	}
	return h
}

// Seated is how many long runs are under way.
func (h *Host) Seated() int { return len(h.seats) }

// Ticket is the turn of one attempt at a run.
type Ticket struct {
	host *Host
	turn *turns.Turn
	seat *seat
}

// Leave gives the turn to others. Every Ticket must be left.
func (t *Ticket) Leave() { t.turn.Leave() }

// Enter waits for a turn that is not for a run.
func (h *Host) Enter(ctx context.Context) (*Ticket, error) {
	turn, err := h.turns.Enter(ctx)
	return &Ticket{h, turn, &seat{free: h.seats}}, err
}

// Run calls attempt when it is the turn of a run. A run that takes longer than a moment goes on in
// slices, see package turns. Where more of those are under way than there are seats it is given up,
// and attempted again when there is a seat. attempt must leave its ticket.
func (h *Host) Run(ctx context.Context, attempt func(*Ticket) (*Layer, error)) (*Layer, error) {
	if h.room != nil {
		room := &seat{free: h.room}
		if err := room.take(ctx); err != nil {
			return nil, err
		}
		defer room.leave()
	}
	s := &seat{free: h.seats}
	defer s.leave()
	for {
		turn, err := h.turns.Enter(ctx)
		if err != nil {
			return nil, err
		}
		var layer *Layer
		if turn.Slow() && !s.try() {
			turn.Leave()
			err = errCrowded
		} else {
			layer, err = attempt(&Ticket{h, turn, s})
		}
		if err != errCrowded {
			return layer, err
		}
		if err := s.take(ctx); err != nil {
			return nil, err
		}
	}
}

// Budget is that of each run.
func (h *Host) Budget() Budget { return h.budget }
