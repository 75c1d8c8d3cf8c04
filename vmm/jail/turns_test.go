package jail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"instarfs/guest/abi"
	"instarfs/guest/img"
	"instarfs/vmm/jail/jailtest"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
	"instarfs/vmm/turns"
)

// state is what /proc says of a process, as one letter: R runs, S waits, T is stopped, Z has ended.
func state(t testing.TB, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:1]
}

// slow is an image of which everything but the start waits to be read until told, or until nobody
// waits for it any more.
type slow struct {
	ram
	reading chan struct{}
	release chan struct{}
}

func newSlow(d does) slow {
	s := slow{make(ram, 1<<20), make(chan struct{}), make(chan struct{})}
	copy(s.ram, d)
	return s
}

func (s slow) Peek(p []byte, off int64) bool { return off == 0 && s.ram.Peek(p, off) }

func (s slow) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	select {
	case s.reading <- struct{}{}:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	select {
	case <-s.release:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	return s.ram.ReadAt(ctx, p, off)
}

func (s slow) job() *session.Job {
	return &session.Job{Window: img.Whole, Image: s, Size: uint64(len(s.ram))}
}

// TestStoppedWhileTheImageIsRead: a child that asked for something and computes has no processor as
// long as the image is being read, which is nobody's turn. Then it goes on.
func TestStoppedWhileTheImageIsRead(t *testing.T) {
	p := newPool(t, session.Options{Turns: turns.New(1)})
	p.eager = false // no child but that of the run
	image := newSlow(does{}.send(abi.MsgRead, 1, request(1024, 512)).add(jailtest.Spin, 2, nil))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() {
		_, err := p.Run(ctx, image.job())
		done <- err
	}()
	<-image.reading
	pid := onlyChild(t)
	awaitState(t, pid, "T")
	mustMap(t, p) // by another child
	close(image.release)
	awaitState(t, pid, "R")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// onlyChild waits until this process has one child, and returns it.
func onlyChild(t testing.TB) (pid int) {
	t.Helper()
	eventually(t, func() error {
		list := children(t, os.Getpid())
		if len(list) != 1 {
			return fmt.Errorf("children are %v", list)
		}
		pid = list[0]
		return nil
	})
	return pid
}

// awaitState waits until a process has a state.
func awaitState(t testing.TB, pid int, want string) {
	t.Helper()
	eventually(t, func() error {
		if s := state(t, pid); s != want {
			return fmt.Errorf("process %d has state %q, not %q", pid, s, want)
		}
		return nil
	})
}

// endlessRuns starts runs that never end, waits until as many are in the slow lane, and returns
// what ends them.
func endlessRuns(t *testing.T, p *Pool, n, seated int, owner uint64) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			ctx := turns.With(ctx, owner)
			_, err := p.Run(ctx, does{}.add(jailtest.Spin, 2, nil).job())
			if !errors.Is(err, context.Canceled) || errors.As(err, new(*session.GuestError)) {
				t.Error(err)
			}
		})
	}
	eventually(t, func() error {
		if k := p.host.Seated(); k < seated {
			return fmt.Errorf("%d long runs", k)
		}
		return nil
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// TestEndlessRunsGiveWay: with one processor and a few guests that never end, others are served. Of
// those that never end one at most is not stopped.
func TestEndlessRunsGiveWay(t *testing.T) {
	before, books := inUse(t), ledger.New(1<<30)
	p := newPool(t, session.Options{Memory: books, Turns: turns.New(1)})
	stop := endlessRuns(t, p, 4, 4, 1)
	for range 20 {
		mustMap(t, p)
	}
	// While the test has the turn of the fast lane one run at most has that of the slow lane.
	turn, err := p.host.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		states := map[string]int{}
		for _, pid := range children(t, os.Getpid()) {
			states[state(t, pid)]++
		}
		if states["T"] < 4 || states["R"]+states["S"] > 1 {
			return fmt.Errorf("states of the children: %v", states)
		}
		return nil
	})
	turn.Leave()
	stop()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	settled(t, before, books)
}

// TestSeats: of more endless runs than seats the rest have no child, and get their seat when one is
// free.
func TestSeats(t *testing.T) {
	before, books := inUse(t), ledger.New(1<<30)
	p := newPool(t, session.Options{Memory: books, Turns: turns.New(1), Seats: 2})
	first := endlessRuns(t, p, 2, 2, 1)
	second := endlessRuns(t, p, 3, 2, 2)
	eventually(t, func() error {
		// Two are under way, another waits for its job.
		if n := len(children(t, os.Getpid())); n > 3 {
			return fmt.Errorf("%d children", n)
		}
		return nil
	})
	mustMap(t, p)
	first()
	second()
	if n := p.host.Seated(); n != 0 {
		t.Errorf("%d seats are taken by nobody", n)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	settled(t, before, books)
}
