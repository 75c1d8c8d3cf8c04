package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"instarfs/cmd/instarfs/memory"
	"instarfs/cmd/instarfs/options"
	"instarfs/guest/payload"
	"instarfs/vmm"
	"instarfs/vmm/chain"
	"instarfs/vmm/jail"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
)

// isolation is what carries the runs of the map guest.
type isolation int

const (
	isolationAuto    isolation = iota // KVM where it is usable, else a process
	isolationKVM                      // a virtual machine, or an error
	isolationProcess                  // a confined process
)

var isolationChoices = []options.Choice[isolation]{
	options.Word("auto", isolationAuto), options.Word("kvm", isolationKVM),
	options.Word("process", isolationProcess),
}

// guests are a pool of one carrier or another.
type guests interface {
	chain.Runner
	Warm(context.Context) error
	Close() error
}

// guestOptions say which guests are wanted.
type guestOptions struct {
	isolation isolation
	ahead     int    // guests that are kept ready from the first run on; 0 for a program that maps once
	forMaps   uint64 // bytes of addresses that maps may take, in addition to machines; 0 does not matter
	// log gets a line when it turns out that runs are carried in another way than people expect; it
	// may be nil.
	log func(line string)
}

// newGuests makes the pool that everything runs in. note is a line for the log about what carries
// the runs, where that is not what people expect.
func newGuests(o guestOptions, r allowance) (g guests, note string, err error) {
	if o.log == nil {
		o.log = func(string) {}
	}
	if o.isolation == isolationProcess {
		g, err = newProcesses(o, r)
		return g, "", err
	}
	machines, err := newMachines(o, r)
	switch {
	case err == nil && o.isolation == isolationKVM:
		return machines, "", nil
	case err == nil:
		return &autoGuests{options: o, allowance: r, now: machines}, "", nil
	case o.isolation == isolationKVM || errors.Is(err, payload.ErrNotBuilt):
		return nil, "", err
	}
	return replaceMachines(o, r, err)
}

// replaceMachines makes processes in place of virtual machines, of which err says why there are none.
func replaceMachines(o guestOptions, r allowance, err error) (g guests, note string, _ error) {
	processes, second := newProcesses(o, r)
	if second != nil {
		return nil, "", fmt.Errorf("%w; and %w", err, second)
	}
	return processes, fmt.Sprintf("guests run as confined processes: %v", err), nil
}

// newMachines makes a pool of virtual machines.
func newMachines(o guestOptions, r allowance) (guests, error) {
	program, err := payload.Agent()
	if err != nil {
		return nil, err
	}
	most := 0
	if o.forMaps > 0 {
		if most, err = memory.MachinesThatFit(vmm.MachineAddresses, o.forMaps); err != nil {
			return nil, err
		}
	}
	idle := max(o.ahead, 1)
	if most > 0 {
		idle = min(idle, most)
	}
	return vmm.NewPool(vmm.Options{Program: program, Idle: idle, Host: r.host(most)})
}

// newProcesses makes a pool of confined processes.
func newProcesses(o guestOptions, r allowance) (guests, error) {
	program, err := payload.Agent()
	if err != nil {
		return nil, err
	}
	return jail.NewPool(jail.Options{
		Program: program, Host: r.host(0), Ahead: o.ahead,
		Started: func(m jail.Measures) {
			if missing := m.Missing(); missing != "" {
				o.log("this system lets processes be confined without: " + missing)
			}
		},
	})
}

// host is what the runs of a pool share.
func (r allowance) host(most int) *session.Host {
	return session.NewHost(session.Options{
		Budget: r.budget(), Seats: r.seats(), Most: most, Turns: r.turns, Memory: r.memory,
	})
}

// autoGuests run in virtual machines, unless the first of them cannot be started: then all run as
// processes. It is safe for concurrent use.
type autoGuests struct {
	options   guestOptions
	allowance allowance

	mu      sync.Mutex
	now     guests
	decided bool // now is what works
}

// Run implements guests.
func (a *autoGuests) Run(ctx context.Context, job *session.Job) (*session.Layer, error) {
	for {
		g := a.current()
		layer, err := g.Run(ctx, job)
		if again := a.decide(g, err); !again {
			return layer, err
		}
	}
}

// Warm implements guests.
func (a *autoGuests) Warm(ctx context.Context) error {
	for {
		g := a.current()
		err := g.Warm(ctx)
		if again := a.decide(g, err); !again {
			return err
		}
	}
}

func (a *autoGuests) current() guests {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

// decide looks at how g did. It reports whether other guests should be asked.
func (a *autoGuests) decide(g guests, err error) (again bool) {
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
	a.options.log(note)
	a.now = processes
	_ = g.Close()
	return true
}

// Close implements guests.
func (a *autoGuests) Close() error { return a.current().Close() }

// checkProcess starts a confined process, and says what it is confined without.
func checkProcess(ctx context.Context) (missing string, err error) {
	program, err := payload.Agent()
	if err != nil {
		return "", err
	}
	p, err := jail.NewPool(jail.Options{Program: program, Started: func(m jail.Measures) { missing = m.Missing() }})
	if err != nil {
		return "", err
	}
	defer p.Close()
	return missing, p.Warm(ctx)
}
