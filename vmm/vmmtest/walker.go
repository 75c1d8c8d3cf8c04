// Package vmmtest lets tests map images without a carrier: the code that runs in the guest runs in
// the process of the test, and talks to the real session. What the walkers find is compared with
// qemu-img a thousand times faster that way. That a guest finds the same is for other tests.
package vmmtest

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"

	"instarfs/guest/abi"
	"instarfs/guest/run"
	"instarfs/vmm/session"
	"instarfs/vmm/turns"
)

// Walker carries out runs in place of a pool of guests.
type Walker struct{}

// host lets all tests of a package run at once: they share no processor with guests.
var host = session.NewHost(session.Options{Turns: turns.New(16 * runtime.NumCPU())})

// Run is what a pool does with a job.
func (Walker) Run(ctx context.Context, job *session.Job) (*session.Layer, error) {
	return host.Run(ctx, func(ticket *session.Ticket) (*session.Layer, error) {
		defer ticket.Leave()
		m := ticket.Meter(ctx, func() {})
		defer m.Stop()
		g := &guest{memory: memories.Get().(*memory)}
		defer memories.Put(g.memory)
		next, stop := iter.Pull(g.events)
		defer stop()
		g.next = next
		return session.Serve(m, g, job)
	})
}

// guest is the guest's code and the host's end of its transport: it goes on when an event is asked
// for. It implements session.Transport and run.Port.
type guest struct {
	*memory
	next   func() (session.Event, bool)
	config [abi.ConfigLen]byte
	disk   *session.Disk
	yield  func(session.Event) bool
	handed uint64 // records
	err    error  // why the run must end
}

// memory is what a guest shares with its host.
type memory struct {
	mirror  [abi.MirrorLen]byte
	buffers [abi.BuffersLen]byte
	ring    [abi.RingLen]byte
	page    [abi.ResultLen]byte
}

var memories = sync.Pool{New: func() any { return new(memory) }}

// errStopped ends a guest that nobody waits for any more.
var errStopped = errors.New("the run was given up")

// events runs the guest.
func (g *guest) events(yield func(session.Event) bool) {
	defer func() {
		if r := recover(); r != nil && r != errStopped {
			panic(r)
		}
	}()
	g.yield = yield
	produced, n := run.Job(g.config[:], g, g.page[:])
	left := g.ring[:(produced-g.handed)*abi.RecordLen]
	yield(session.Event{Records: [2][]byte{left, nil}, Result: g.page[:n]})
}

// Carrier implements session.Transport.
func (g *guest) Carrier() string { return "test" }

// Start implements session.Transport.
func (g *guest) Start(c *abi.Config, job *session.Job, disk *session.Disk) error {
	err := job.Mirror(c, func(off, n uint64) ([]byte, error) { return g.mirror[off : off+n], nil })
	c.Encode(g.config[:])
	g.disk = disk
	return err
}

// Next implements session.Transport.
func (g *guest) Next(m *session.Meter) (session.Event, error) {
	if err := m.Exit(); err != nil {
		return session.Event{}, err
	}
	if err := m.Yield(); err != nil {
		return session.Event{}, err
	}
	e, _ := g.next()
	return e, g.err
}

// Blame implements session.Transport.
func (g *guest) Blame(k session.Kind, format string, args ...any) *session.GuestError {
	return session.Errorf(k, format, args...)
}

// Mirror implements run.Port.
func (g *guest) Mirror() []byte { return g.mirror[:] }

// Buffers implements run.Port.
func (g *guest) Buffers() []byte { return g.buffers[:] }

// Reaches implements run.Port.
func (g *guest) Reaches([]byte) bool { return true }

// Ring implements run.Port.
func (g *guest) Ring() []byte { return g.ring[:] }

// Full implements run.Port.
func (g *guest) Full(produced uint64) {
	g.handed = produced
	if !g.yield(session.Event{Records: [2][]byte{g.ring[:], nil}}) {
		panic(errStopped)
	}
}

// Read implements run.Port.
func (g *guest) Read(batch []run.Read) int {
	for i, r := range batch {
		ok, err := g.disk.ReadSectors(r.Buf, r.Sector)
		if err != nil {
			g.err = err
		}
		if !ok {
			return i
		}
	}
	return len(batch)
}
