package vmm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"time"

	"instarfs/guest/abi"
	"instarfs/vmm/bug"
	"instarfs/vmm/kvm"
	"instarfs/vmm/ledger"
	"instarfs/vmm/turns"
)

// Options of a Pool.
type Options struct {
	Program io.ReaderAt // the guest program, a static ELF executable
	Device  string      // of KVM; empty is /dev/kvm
	Budget  Budget      // of each run; zero is DefaultBudget
	Idle    int         // machines kept warm; zero is the number of CPUs
	Seats   int         // machines of long runs that wait for their turns; zero is defaultSeats
	Most    int         // machines in all; zero is as many as there are runs
	Turns   *turns.Desk // who may run; nil makes one for Idle processors
	// Memory is what machines and layer maps are accounted on; nil is without a limit.
	Memory *ledger.Ledger
}

// defaultSeats is far more long runs than a computer has use for at a time.
const defaultSeats = 64

// Pool runs jobs, each in a machine of its own that stands at the snapshot of a freshly booted
// guest. Machines are made on demand, run when it is their turn, and up to Idle of them are kept
// warm. It is safe for concurrent use.
type Pool struct {
	sys    *kvm.System
	budget Budget
	turns  *turns.Desk
	memory *ledger.Ledger
	seats  chan struct{} // one token a long run under way
	room   chan struct{} // one token a run under way; nil if there may be any number

	// idle hands over machines that stand at the snapshot; nil stands for one that could not be brought there.
	idle chan *machine

	mu     sync.Mutex // guards what follows
	snap   *snapshot
	coming int // machines in idle, or on their way there and not yet claimed
	closed bool

	boot  sync.Mutex   // held while the snapshot is made; taken before using and mu
	using sync.RWMutex // held for reading while sys is used, for writing while it is closed; taken before mu
	opts  Options
}

// ErrClosed says that the pool was closed.
var ErrClosed = errors.New("pool is closed")

// bootTime bounds the guest's start, which takes some 15 ms.
const bootTime = 10 * time.Second

// NewPool opens KVM. The guest is booted by the first run, or by Warm.
func NewPool(opts Options) (*Pool, error) {
	if opts.Device == "" {
		opts.Device = "/dev/kvm"
	}
	if opts.Budget == (Budget{}) {
		opts.Budget = DefaultBudget
	}
	if opts.Idle <= 0 {
		opts.Idle = runtime.NumCPU()
	}
	sys, err := kvm.Open(opts.Device)
	if err != nil {
		return nil, err
	}
	var room chan struct{}
	if opts.Most > 0 {
		room = make(chan struct{}, opts.Most)
		opts.Idle = min(opts.Idle, opts.Most)
	}
	if opts.Seats <= 0 {
		opts.Seats = defaultSeats
	}
	if opts.Memory == nil {
		opts.Memory = ledger.New(math.MaxInt64)
	}
	if opts.Turns == nil {
		opts.Turns = turns.New(opts.Idle)
	}
	return &Pool{
		sys: sys, budget: opts.Budget, opts: opts, turns: opts.Turns, memory: opts.Memory,
		seats: make(chan struct{}, opts.Seats), room: room, idle: make(chan *machine, opts.Idle),
	}, nil
}

// Warm boots the guest and makes one machine ready, so that the first run does not wait for it.
func (p *Pool) Warm(ctx context.Context) error {
	turn, err := p.turns.Enter(ctx)
	if err != nil {
		return err
	}
	defer turn.Leave()
	m, err := p.take(ctx)
	if err != nil {
		return err
	}
	if p.promise() {
		p.idle <- m
	} else {
		m.destroy()
	}
	return nil
}

// Run carries out a job. The error is a *fault.Fault when the image is to blame, a *GuestError when
// its run misbehaved or asked for too much, the reader's error when the image could not be read, or
// the cause of ctx.
//
// A run that takes longer than a moment goes on in slices, see package turns. Where more of those
// are under way than there are seats it is given up, and begins again when there is a seat.
func (p *Pool) Run(ctx context.Context, job *Job) (*Layer, error) {
	if p.room != nil {
		room := &seat{free: p.room}
		if err := room.take(ctx); err != nil {
			return nil, err
		}
		defer room.leave()
	}
	s := &seat{free: p.seats}
	defer s.leave()
	for {
		layer, err := p.attempt(ctx, job, s)
		if err != errCrowded {
			return layer, err
		}
		if err := s.take(ctx); err != nil {
			return nil, err
		}
	}
}

// attempt is a run. The error is errCrowded when it needs a seat and there is none.
func (p *Pool) attempt(ctx context.Context, job *Job, s *seat) (*Layer, error) {
	turn, err := p.turns.Enter(ctx)
	if err != nil {
		return nil, err
	}
	if turn.Slow() && !s.try() {
		turn.Leave()
		return nil, errCrowded
	}
	m, err := p.take(ctx)
	if err != nil {
		turn.Leave()
		return nil, err
	}
	type outcome struct {
		layer *Layer
		err   error
	}
	done := make(chan outcome, 1)
	m.work <- func() {
		defer turn.Leave()
		layer, err := m.run(ctx, job, p.budget, turn, s)
		// The caller does not wait for the reset; who comes next does, for that is faster than a new machine. After
		// anything but a result the guest is not what it should be.
		keep := (err == nil || isFault(err)) && p.promise()
		done <- outcome{layer, err}
		if keep {
			p.put(m)
		} else {
			go m.destroy() // not here: this is the machine's own thread
		}
	}
	o := <-done
	return o.layer, o.err
}

func (p *Pool) snapshot() *snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.snap
}

// take returns a machine that stands at the snapshot: an idle one, that which was booted, or a new one. Precondition: the
// caller has a turn.
func (p *Pool) take(ctx context.Context) (*machine, error) {
	p.mu.Lock()
	closed, claim := p.closed, p.coming > 0
	if claim {
		p.coming--
	}
	p.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if claim {
		if m := <-p.idle; m != nil {
			return m, nil
		}
	}
	snap, m, err := p.booted(ctx)
	if err != nil || m != nil {
		return m, err
	}
	if m, err = p.newMachine(); err != nil {
		return nil, err
	}
	if err := m.do(func() error { return m.clone(snap) }); err != nil {
		m.destroy()
		return nil, fmt.Errorf("virtual machine from its snapshot: %w", err)
	}
	return m, nil
}

// newMachine makes a machine without a program, unless the pool was closed: its KVM descriptor may be another file then.
func (p *Pool) newMachine() (*machine, error) {
	p.using.RLock()
	defer p.using.RUnlock()
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	m, err := newMachine(p.sys, p.memory)
	if err != nil {
		return nil, fmt.Errorf("new virtual machine: %w", err)
	}
	return m, nil
}

// promise announces a machine for the next run, unless enough are waiting already or the pool was
// closed. Something must be sent to idle afterwards, for which there is room.
func (p *Pool) promise() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.coming == cap(p.idle) {
		return false
	}
	p.coming++
	return true
}

// put resets a machine, on its own thread, and keeps it as promised.
func (p *Pool) put(m *machine) {
	reset := func() error { return m.reset(p.snapshot()) }
	if bug.Guard(reset) != nil || m.touched > maxKept {
		go m.destroy()
		m = nil
	}
	p.idle <- m
}

// booted returns the snapshot. Where there is none it makes it first, and returns the machine that it took it from, too: that
// one stands there already.
func (p *Pool) booted(ctx context.Context) (*snapshot, *machine, error) {
	p.boot.Lock()
	defer p.boot.Unlock()
	if s := p.snapshot(); s != nil {
		return s, nil, nil
	}
	m, err := p.newMachine()
	if err != nil {
		return nil, nil, err
	}
	var s *snapshot
	err = m.do(func() (err error) {
		if s, err = m.boot(ctx, p.opts.Program); err != nil {
			return err
		}
		return m.restore(s)
	})
	if err != nil {
		m.destroy()
		return nil, nil, fmt.Errorf("boot of the map guest: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.snap = s
	return s, m, nil
}

// boot runs a program until it rings Ready, and copies what it is then.
func (m *machine) boot(ctx context.Context, program io.ReaderAt) (snap *snapshot, err error) {
	if err := m.load(program); err != nil {
		return nil, err
	}
	// All runs wait for this one, so it does not wait for a turn.
	turn, err := turns.New(1).Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer turn.Leave()
	budget := DefaultBudget
	budget.Time = bootTime
	err = m.until(ctx, func(kick func()) error {
		b := newMeter(ctx, budget, turn, &seat{free: make(chan struct{}, 1)}, kick)
		defer b.stop()
		switch bell, err := m.enter(b); {
		case errors.Is(err, errKicked):
			return context.Cause(ctx)
		case err != nil:
			return err
		case bell != abi.BellReady:
			return m.blame(KindProtocol, "doorbell %#x before Ready", bell)
		}
		snap, err = m.takeSnapshot()
		return err
	})
	return snap, err
}

// Close frees the idle machines. Runs under way end by themselves, and free theirs. A second Close does nothing.
func (p *Pool) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	// Those that nobody has claimed: a run that claimed one waits for it, and frees it.
	unclaimed := p.coming
	p.coming = 0
	p.mu.Unlock()
	for range unclaimed {
		if m := <-p.idle; m != nil {
			m.destroy()
		}
	}
	p.using.Lock()
	defer p.using.Unlock()
	return p.sys.Close()
}
