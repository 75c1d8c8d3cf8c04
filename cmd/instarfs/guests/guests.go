// Package guests decides what carries the runs of the map guest and what all of them may use
// together: virtual machines where KVM is usable, confined processes where it is not, within limits
// of time and memory.
package guests

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"instarfs/cmd/instarfs/memory"
	"instarfs/guest/payload"
	"instarfs/vmm"
	"instarfs/vmm/chain"
	"instarfs/vmm/jail"
	"instarfs/vmm/kvm"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
)

// Isolation is what carries the runs of the map guest.
type Isolation int

// The values of Isolation.
const (
	Auto    Isolation = iota // KVM where it is usable, else a process
	KVM                      // a virtual machine, or an error
	Process                  // a confined process
)

// Pool runs guests. It is safe for concurrent use.
type Pool interface {
	chain.Runner
	Warm(context.Context) error
	Carrier() string // kvm or process
	Ready() int      // guests that wait for a run
	Close() error
}

// Options say which guests are wanted.
type Options struct {
	Isolation Isolation
	// guests that are kept ready from the first run on; 0 for a program that maps once
	Ahead int
	// ForMaps is how many bytes of the address space maps may take, in addition to machines; 0 if
	// that does not matter.
	ForMaps uint64
	Cache   Cache
	// Log gets a line when it turns out that runs are carried in another way than people expect; it
	// may be nil.
	Log func(line string)
}

// New makes a pool of guests. note is a line for the log about what carries the runs, empty if that
// is what people expect.
func New(o Options, r Allowance) (g Pool, note string, err error) {
	if o.Log == nil {
		o.Log = func(string) {}
	}
	if o.Isolation == Process {
		g, err = newProcesses(o, r)
		return g, "", err
	}
	machines, err := newMachines(o, r)
	switch {
	case err == nil && o.Isolation == KVM:
		return machines, "", nil
	case err == nil:
		return &autoPool{options: o, allowance: r, now: machines}, "", nil
	case o.Isolation == KVM || errors.Is(err, payload.ErrNotBuilt):
		return nil, "", err
	}
	return replaceMachines(o, r, err)
}

// replaceMachines makes processes in place of virtual machines. err says why there are none of
// those.
func replaceMachines(o Options, r Allowance, err error) (g Pool, note string, _ error) {
	processes, second := newProcesses(o, r)
	if second != nil {
		return nil, "", fmt.Errorf("%w; and %w", err, second)
	}
	return processes, fmt.Sprintf("guests run as confined processes: %v", err), nil
}

// newMachines makes a pool of virtual machines.
func newMachines(o Options, r Allowance) (Pool, error) {
	program, err := payload.Agent()
	if err != nil {
		return nil, err
	}
	most := 0
	if o.ForMaps > 0 {
		if most, err = memory.MachinesThatFit(vmm.MachineAddresses, o.ForMaps); err != nil {
			return nil, err
		}
	}
	idle := max(o.Ahead, 1)
	if most > 0 {
		idle = min(idle, most)
	}
	kept, err := o.Cache.kept()
	if err != nil {
		return nil, err
	}
	return vmm.NewPool(vmm.Options{Program: program, Idle: idle, Host: r.host(most), Kept: kept})
}

// newProcesses makes a pool of confined processes.
func newProcesses(o Options, r Allowance) (Pool, error) {
	program, err := payload.Agent()
	if err != nil {
		return nil, err
	}
	return jail.NewPool(jail.Options{
		Program: program, Host: r.host(0), Ahead: o.Ahead,
		Started: func(m jail.Measures) {
			if missing := m.Missing(); missing != "" {
				o.Log("this system lets processes be confined without: " + missing)
			}
		},
	})
}

// host is what the runs of a pool share.
func (r Allowance) host(most int) *session.Host {
	return session.NewHost(session.Options{
		Budget: r.budget(), Seats: r.seats(), Most: most, Turns: r.turns, Memory: r.memory,
	})
}

// autoPool run in virtual machines, unless the first of them cannot be started: then all run as
// processes. It is safe for concurrent use.
type autoPool struct {
	options   Options
	allowance Allowance

	mu      sync.Mutex
	now     Pool
	decided bool // now is what works
}

// Run implements Pool.
func (a *autoPool) Run(ctx context.Context, job *session.Job) (*session.Layer, error) {
	for {
		g := a.current()
		layer, err := g.Run(ctx, job)
		if again := a.decide(g, err); !again {
			return layer, err
		}
	}
}

// Warm implements Pool.
func (a *autoPool) Warm(ctx context.Context) error {
	for {
		g := a.current()
		err := g.Warm(ctx)
		if again := a.decide(g, err); !again {
			return err
		}
	}
}

func (a *autoPool) current() Pool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

// decide looks at how g did. It reports whether other guests should be asked.
func (a *autoPool) decide(g Pool, err error) (again bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case g != a.now:
		return true // somebody else was faster
	case a.decided:
		return false
	case !errors.Is(err, session.ErrNoGuest):
		a.decided = err == nil
		return false
	case errors.Is(err, ledger.ErrFull):
		return false
	}
	a.decided = true
	processes, note, second := replaceMachines(a.options, a.allowance, err)
	if second != nil {
		return false
	}
	a.options.Log(note)
	a.now = processes
	_ = g.Close()
	return true
}

// Carrier implements Pool.
func (a *autoPool) Carrier() string { return a.current().Carrier() }

// Ready implements Pool.
func (a *autoPool) Ready() int { return a.current().Ready() }

// Close implements Pool.
func (a *autoPool) Close() error { return a.current().Close() }

// CheckProcess starts a confined process, and returns what it is confined without, empty if nothing
// is missing.
func CheckProcess(ctx context.Context) (missing string, err error) {
	program, err := payload.Agent()
	if err != nil {
		return "", err
	}
	started := func(m jail.Measures) { missing = m.Missing() }
	p, err := jail.NewPool(jail.Options{Program: program, Started: started})
	if err != nil {
		return "", err
	}
	defer p.Close()
	return missing, p.Warm(ctx)
}

// CheckKVM opens /dev/kvm. An error says why KVM is not usable, and what to do.
func CheckKVM() error {
	s, err := kvm.Open("/dev/kvm")
	if err != nil {
		return err
	}
	return s.Close()
}
