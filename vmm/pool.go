package vmm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"instarfs/bug"
	"instarfs/guest/abi"
	"instarfs/vmm/kvm"
)

// Options of a Pool.
type Options struct {
	Program io.ReaderAt // the guest program, a static ELF executable
	Device  string      // of KVM; empty is /dev/kvm
	Budget  Budget      // of each run; zero is DefaultBudget
	Idle    int         // machines kept warm; zero is the number of CPUs
}

// Pool runs jobs, each in a machine of its own that stands at the snapshot of a freshly booted guest. Machines are made on
// demand, at most Idle run at a time, and they are kept warm. It is safe for concurrent use.
type Pool struct {
	sys    *kvm.System
	budget Budget
	slots  chan struct{} // one token a run under way

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
	return &Pool{
		sys: sys, budget: opts.Budget, opts: opts,
		slots: make(chan struct{}, opts.Idle), idle: make(chan *machine, opts.Idle),
	}, nil
}

// Warm boots the guest and makes one machine ready, so that the first run does not wait for it.
func (p *Pool) Warm(ctx context.Context) error {
	if err := p.enter(ctx); err != nil {
		return err
	}
	defer func() { <-p.slots }()
	m, err := p.take(ctx)
	if err != nil {
		return err
	}
	p.promise()
	p.put(m)
	return nil
}

// enter takes a slot, or gives up when ctx ends.
func (p *Pool) enter(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Run carries out a job. The error is a *fault.Fault when the image is to blame, a *GuestError when its run misbehaved or
// asked for too much, the reader's error when the image could not be read, or ctx's.
func (p *Pool) Run(ctx context.Context, job *Job) (*Layer, error) {
	if err := p.enter(ctx); err != nil {
		return nil, err
	}
	m, err := p.take(ctx)
	if err != nil {
		<-p.slots
		return nil, err
	}
	type outcome struct {
		layer *Layer
		err   error
	}
	done := make(chan outcome, 1)
	m.work <- func() {
		layer, err := m.run(ctx, job, p.budget)
		p.promise()
		done <- outcome{layer, err}
		// The caller does not wait for the reset; who comes next does, for that is faster than a new machine. After
		// anything but a result the guest is not what it should be.
		reset := func() error { return m.reset(p.snapshot()) }
		if err != nil && !isFault(err) || bug.Guard(reset) != nil {
			go m.destroy()
			m = nil
		}
		p.put(m)
		<-p.slots
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
// caller has a slot.
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
	m, err := newMachine(p.sys)
	if err != nil {
		return nil, fmt.Errorf("new virtual machine: %w", err)
	}
	return m, nil
}

// promise announces that put will be called.
func (p *Pool) promise() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.coming++
}

// put keeps a machine for the next run. There is always room: no more machines exist than slots.
func (p *Pool) put(m *machine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed && m != nil {
		go m.destroy() // not here: this may be the machine's own thread
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
	ctx, cancel := context.WithTimeoutCause(ctx, bootTime, errTime)
	defer cancel()
	if err := m.load(program); err != nil {
		return nil, err
	}
	err = m.until(ctx, func() error {
		b := meter{ctx: ctx, budget: DefaultBudget}
		switch bell, err := m.enter(&b); {
		case errors.Is(err, errKicked):
			return cutShort(ctx, guestError(KindDeadline, "not ready after %v", bootTime))
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
