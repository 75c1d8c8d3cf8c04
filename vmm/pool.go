package vmm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"instarfs/guest/abi"
	"instarfs/vmm/bug"
	"instarfs/vmm/kvm"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
	"instarfs/vmm/space"

	"golang.org/x/sys/unix"
)

// Options of a Pool.
type Options struct {
	Program io.ReaderAt // the guest program, a static ELF executable
	Device  string      // of KVM; empty is /dev/kvm
	// what the runs share with others; nil makes one with no limits of its own
	Host *session.Host
	Idle int // machines kept warm; zero is the number of CPUs
	Kept Kept
}

// Pool runs jobs, each in a machine of its own that stands at the snapshot of a freshly booted
// guest. Machines are made on demand, run when it is their turn, and up to Idle of them are kept
// warm. It is safe for concurrent use.
type Pool struct {
	sys  *kvm.System
	host *session.Host

	idle *session.Shelf[machine] // those that stand at the snapshot

	program *space.Program
	invalid error // why there is no program

	mu    sync.Mutex // guards what follows
	snap  *snapshot
	first *filling // for the first machine, until that is made

	boot sync.Mutex // held while the snapshot is made; taken before using and mu
	// held for reading while sys is used, for writing while it is closed; taken before mu
	using   sync.RWMutex
	opts    Options
	storing sync.WaitGroup // the snapshot is being stored
}

// bootTime bounds the guest's start, which takes some 15 ms.
const bootTime = 10 * time.Second

// NewPool opens KVM. The guest is booted by the first run, or by Warm.
func NewPool(opts Options) (*Pool, error) {
	if opts.Device == "" {
		opts.Device = "/dev/kvm"
	}
	if opts.Idle <= 0 {
		opts.Idle = runtime.NumCPU()
	}
	p := &Pool{opts: opts}
	p.program, p.invalid = space.Parse(opts.Program)
	if p.invalid == nil && unix.Access(opts.Device, unix.R_OK|unix.W_OK) == nil {
		// To open KVM takes a millisecond, too.
		p.first, p.invalid = fillWith(p.program)
	}
	var err error
	if p.sys, err = kvm.Open(opts.Device); err != nil {
		p.closeFirst()
		return nil, err
	}
	if p.host = opts.Host; p.host == nil {
		p.host = session.NewHost(session.Options{})
	}
	p.idle = session.NewShelf[machine](opts.Idle)
	return p, nil
}

// carrier is the name of this one among carriers.
const carrier = "kvm"

// Carrier names what runs the jobs.
func (p *Pool) Carrier() string { return carrier }

// Ready is how many machines wait for a job.
func (p *Pool) Ready() int { return p.idle.Len() }

// takeFirst returns the memory for the first machine, or nil if that was made.
func (p *Pool) takeFirst() *filling {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.first
	p.first = nil
	return f
}

// closeFirst frees the memory for the first machine if that was not made.
func (p *Pool) closeFirst() {
	if f := p.takeFirst(); f != nil {
		f.close()
	}
}

// Warm boots the guest and makes one machine ready, unless a run was faster. Runs that begin
// meanwhile wait for it.
func (p *Pool) Warm(ctx context.Context) error {
	ticket, err := p.host.Enter(ctx)
	if err != nil {
		return err
	}
	defer ticket.Leave()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// With a turn, so that nobody who has one waits for a machine that waits for one.
	if !p.idle.PromiseFirst() {
		if p.idle.Closed() {
			return session.ErrClosed
		}
		return nil
	}
	m, err := p.make(ctx)
	p.idle.Put(m)
	if err != nil {
		return session.NoGuest(ctx, err)
	}
	return nil
}

// Run carries out a job when it is its turn. Its errors are those of session.Serve, and what is
// wrong with KVM.
func (p *Pool) Run(ctx context.Context, job *session.Job) (*session.Layer, error) {
	return p.host.Run(ctx, func(ticket *session.Ticket) (*session.Layer, error) {
		return p.attempt(ctx, job, ticket)
	})
}

func (p *Pool) attempt(
	ctx context.Context, job *session.Job, ticket *session.Ticket,
) (*session.Layer, error) {
	m, err := p.take(ctx)
	if err != nil {
		ticket.Leave()
		return nil, session.NoGuest(ctx, err)
	}
	type outcome struct {
		layer *session.Layer
		err   error
	}
	done := make(chan outcome, 1)
	m.work <- func() {
		defer ticket.Leave()
		layer, err := m.run(ctx, job, ticket)
		p.doubt(err)
		// The caller does not wait for the reset; who comes next does, for that is faster than a
		// new machine. After anything but a result the guest is not what it should be.
		keep := (err == nil || session.IsFault(err)) && p.idle.Promise()
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

// take returns a machine that stands at the snapshot: an idle one or a new one. Precondition: the
// caller has a turn.
func (p *Pool) take(ctx context.Context) (*machine, error) {
	m, err := p.idle.Take()
	if err != nil || m != nil {
		return m, err
	}
	return p.make(ctx)
}

// make makes a machine that stands at the snapshot: that which was booted, or a new one.
func (p *Pool) make(ctx context.Context) (*machine, error) {
	snap, m, err := p.booted(ctx)
	if err != nil || m != nil {
		return m, err
	}
	return p.clone(snap)
}

// clone makes a machine that stands at a snapshot.
func (p *Pool) clone(s *snapshot) (*machine, error) {
	m, _, err := p.newMachine(func() *snapshot { return s })
	return m, err
}

// newMachine is newMachine with the pool's program. It fails if the pool was closed: its KVM
// descriptor may be another file then.
func (p *Pool) newMachine(find func() *snapshot) (*machine, *snapshot, error) {
	p.using.RLock()
	defer p.using.RUnlock()
	switch {
	case p.idle.Closed():
		return nil, nil, session.ErrClosed
	case p.invalid != nil:
		return nil, nil, fmt.Errorf("boot of the map guest: %w", p.invalid)
	}
	memory := p.takeFirst()
	if memory == nil {
		var err error
		if memory, err = fillWith(p.program); err != nil {
			return nil, nil, fmt.Errorf("new virtual machine: %w", err)
		}
	}
	m, s, err := newMachine(p.sys, p.host.Memory, memory, find)
	if err != nil {
		return nil, nil, fmt.Errorf("new virtual machine: %w", err)
	}
	return m, s, nil
}

// put resets a machine, on its own thread, and keeps it as promised.
func (p *Pool) put(m *machine) {
	reset := func() error { return m.reset(p.snapshot()) }
	if bug.Guard(reset) != nil || m.touched > maxKept {
		go m.destroy()
		m = nil
	}
	p.idle.Put(m)
}

// booted returns the snapshot. Where there is none it makes it first, and returns a machine, too,
// that stands there already.
func (p *Pool) booted(ctx context.Context) (*snapshot, *machine, error) {
	p.boot.Lock()
	defer p.boot.Unlock()
	if s := p.snapshot(); s != nil {
		return s, nil, nil
	}
	m, s, err := p.newMachine(p.kept)
	if err != nil {
		if !errors.Is(err, session.ErrClosed) && !errors.Is(err, ledger.ErrFull) {
			p.drop() // it may be to blame
		}
		return nil, nil, err
	}
	if s == nil {
		if s, err = m.firstBoot(ctx); err != nil {
			m.destroy()
			return nil, nil, fmt.Errorf("boot of the map guest: %w", err)
		}
		p.store(s)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.snap = s
	return s, m, nil
}

// firstBoot boots a machine, and leaves it at its snapshot.
func (m *machine) firstBoot(ctx context.Context) (s *snapshot, err error) {
	err = m.do(func() error {
		if s, err = m.boot(ctx); err != nil {
			return err
		}
		return m.restore(s)
	})
	return s, err
}

// boot runs the program until it rings Ready, and copies what it is then.
func (m *machine) boot(ctx context.Context) (snap *snapshot, err error) {
	// All runs wait for this one, so it does not wait for a turn.
	ticket, err := session.NewHost(session.Options{}).Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer ticket.Leave()
	err = m.until(ctx, func(kick func()) error {
		meter := ticket.Meter(ctx, kick)
		defer meter.Stop()
		meter.Limit(bootTime)
		switch bell, err := m.enter(meter); {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case bell != abi.BellReady:
			return m.Blame(session.KindProtocol, "doorbell %#x before Ready", bell)
		}
		snap, err = m.takeSnapshot()
		return err
	})
	return snap, err
}

// Close frees the idle machines. Runs under way end by themselves, and free theirs. A second Close
// does nothing.
func (p *Pool) Close() error {
	p.storing.Wait()
	if !p.idle.Close((*machine).destroy) {
		return nil
	}
	p.using.Lock()
	defer p.using.Unlock()
	p.closeFirst()
	return p.sys.Close()
}
