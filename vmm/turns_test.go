package vmm

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"instarfs/guest/abi"
	"instarfs/guest/img"
	"instarfs/needs"
	"instarfs/vmm/session"
	"instarfs/vmm/turns"
)

// runOn carries out a job on a machine of the test's, on whose thread it is called.
func (p *Pool) runOn(ctx context.Context, m *machine, job *session.Job) (*session.Layer, error) {
	return p.host.Run(ctx, func(ticket *session.Ticket) (*session.Layer, error) {
		defer ticket.Leave()
		return m.run(ctx, job, ticket)
	})
}

// endless is the format for which loops never ends.
const endless = 7

// loops is a guest that maps a disk of 4096 bytes, unless it is told a format that makes it run for
// ever.
func loops() []byte {
	return good(func(a *asm) {
		a.imm(rcx, shared+abi.ConfigOffset+36).raw(0x83, 0x39, endless) // cmp dword [rcx], endless
		a.raw(0x75, 0x02).raw(0xeb, 0xfe)                               // jne over jmp to itself
	}).elf()
}

func loopsPool(t *testing.T, o session.Options) *Pool {
	t.Helper()
	needs.KVM(t)
	o.Turns = turns.New(1)
	p, err := NewPool(Options{Program: bytes.NewReader(loops()), Idle: 1, Host: session.NewHost(o)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// endlessRuns starts runs that never end, waits until all are in the slow lane, and returns what
// ends them.
func endlessRuns(t *testing.T, p *Pool, n, seated int, owner uint64) (stop func()) {
	ctx, cancel := context.WithCancel(turns.With(t.Context(), owner))
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			job := testJob()
			job.Format = endless
			ctx := turns.With(ctx, owner)
			if _, err := p.Run(ctx, job); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	for p.host.Seated() < seated {
		time.Sleep(time.Millisecond)
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// TestEndlessRunsGiveWay: with one processor and a few guests that never end, others are served,
// and what the former had in their machines is still there in the end: each of them is cancelled in
// the loop in which it was.
func TestEndlessRunsGiveWay(t *testing.T) {
	before := inUse(t)
	p := loopsPool(t, session.Options{})
	stop := endlessRuns(t, p, 4, 4, 1)
	for range 20 {
		if l, err := p.Run(t.Context(), testJob()); err != nil || l.VirtualSize != 4096 {
			t.Fatal(l, err)
		}
	}
	stop()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	grew(t, before)
}

// TestSeats: of more endless runs than seats the rest have no machine, and get their seat when one
// is free.
func TestSeats(t *testing.T) {
	before := inUse(t)
	p := loopsPool(t, session.Options{Seats: 2})
	first := endlessRuns(t, p, 2, 2, 1)
	second := endlessRuns(t, p, 3, 2, 2)
	time.Sleep(100 * time.Millisecond)
	if l, err := p.Run(t.Context(), testJob()); err != nil || l.VirtualSize != 4096 {
		t.Fatal(l, err)
	}
	first()
	second()
	if n := p.host.Seated(); n != 0 {
		t.Errorf("%d seats are taken by nobody", n)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	grew(t, before)
}

// TestMost: where there may be few machines, runs wait for them, and can give up.
func TestMost(t *testing.T) {
	p := loopsPool(t, session.Options{Most: 1})
	stop := endlessRuns(t, p, 1, 1, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Run(ctx, testJob()); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	stop()
	if _, err := p.Run(t.Context(), testJob()); err != nil {
		t.Error(err)
	}
}

// TestTimeOfTheGuest: what a run waits for is not its time. One that only waits is never late, one
// that only runs is.
func TestTimeOfTheGuest(t *testing.T) {
	budget := testBudget
	budget.Time = time.Second // an emulated machine needs a third of it
	p := loopsPool(t, session.Options{Budget: budget})
	job := testJob()
	job.Format = endless
	var g *session.GuestError
	if _, err := p.Run(t.Context(), job); !errors.As(err, &g) || g.Kind != session.KindDeadline {
		t.Error(err)
	}
	agent := agentPoolOn(t, session.NewHost(session.Options{Budget: budget}))
	image := slow{make(chan struct{}), make(chan struct{})}
	go func() {
		for range image.reading {
			time.Sleep(2 * budget.Time)
			image.release <- struct{}{}
		}
	}()
	defer close(image.reading)
	if _, err := agent.Run(t.Context(),
		&session.Job{Window: img.Whole, Image: image, Size: 512}); err != nil {
		t.Error(err)
	}
}
