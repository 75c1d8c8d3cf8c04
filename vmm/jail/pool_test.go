package jail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/img"
	"instarfs/vmm/jail/jailtest"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
)

// rawJob is the run of a raw image of n bytes.
func rawJob(n int) *session.Job {
	return &session.Job{Window: img.Whole, Image: make(ram, n), Size: uint64(n)}
}

func checkRaw(l *session.Layer, err error, n int) error {
	if err != nil {
		return err
	}
	const want = extent.Present | extent.Data | extent.Offset | extent.Holes | extent.Bare
	e := l.Map.At(0)
	if l.VirtualSize != uint64(n) || l.Map.Len() != 1 || e.Length != uint64(n) || e.Flags != want {
		return fmt.Errorf("layer %+v of extent %+v", l, e)
	}
	return nil
}

// TestPoolsInParallel: two pools of the real guest, each with more callers than children that are
// ready. No run sees the image of another, and nothing is left.
func TestPoolsInParallel(t *testing.T) {
	before, books := inUse(t), ledger.New(1<<30)
	var wg sync.WaitGroup
	var pools []*Pool
	for range 2 {
		p := agentPool(t, session.Options{Memory: books})
		pools = append(pools, p)
		for caller := range 4 {
			wg.Go(func() {
				for i := range 10 {
					n := 512 * (1 + caller*10 + i)
					l, err := p.Run(t.Context(), rawJob(n))
					if err := checkRaw(l, err, n); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	for _, p := range pools {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	settled(t, before, books)
}

// TestOneRunAChild: a child that had a job is gone afterwards, however it ended.
func TestOneRunAChild(t *testing.T) {
	p := newPool(t, session.Options{})
	if err := p.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for i := range 6 {
		pid := readyChild(t)
		if seen[pid] {
			t.Errorf("child %d is there again", pid)
		}
		seen[pid] = true
		if i%2 == 0 {
			mustMap(t, p)
		} else if _, err := p.Run(t.Context(), does{}.send(99, 0).job()); err == nil {
			t.Error("no error")
		}
		awaitState(t, pid, "")
	}
}

// readyChild waits until this process has one child, which waits for its job, and returns it.
// Before that a child is two processes in turn.
func readyChild(t testing.TB) (pid int) {
	t.Helper()
	eventually(t, func() error {
		pid = onlyChild(t)
		if s := state(t, pid); s != "T" {
			return fmt.Errorf("process %d has state %q", pid, s)
		}
		return nil
	})
	return pid
}

// TestWarm: a child that Warm made ready serves the first run, also where none is kept ready.
func TestWarm(t *testing.T) {
	p := newPool(t, session.Options{})
	p.eager = false // as if Ahead were 0
	for range 2 {
		if err := p.Warm(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	pid := onlyChild(t)
	image := newSlow(does{}.ask(1024, 512).good())
	done := make(chan error)
	go func() {
		_, err := p.Run(t.Context(), image.job())
		done <- err
	}()
	<-image.reading
	if now := onlyChild(t); now != pid {
		t.Errorf("child %d was ready, %d runs", pid, now)
	}
	close(image.release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestChildThatEndsWhileItWaits: a run is served by another child than one that was ready and that
// somebody killed.
func TestChildThatEndsWhileItWaits(t *testing.T) {
	p := newPool(t, session.Options{})
	if err := p.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	pid := onlyChild(t)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	mustMap(t, p)
}

// TestUnreadableImage: what the host saw when a read failed reaches the caller, with offset and
// error number; the next run works.
func TestUnreadableImage(t *testing.T) {
	p := agentPool(t, session.Options{})
	for range 2 {
		job := &session.Job{Window: img.Whole, Image: failing{unix.EIO}, Size: 1 << 20}
		_, err := p.Run(t.Context(), job)
		if !errors.Is(err, unix.EIO) || session.IsFault(err) ||
			!strings.Contains(err.Error(), "read of 65536 bytes at offset 0: ") {
			t.Error(err)
		}
		l, err := p.Run(t.Context(), rawJob(1024))
		if err := checkRaw(l, err, 1024); err != nil {
			t.Error(err)
		}
	}
}

// failing is an image that cannot be read.
type failing struct{ err error }

func (f failing) Peek([]byte, int64) bool { return false }

func (f failing) ReadAt(context.Context, []byte, int64) (int, error) { return 0, f.err }

// TestSlowSource: a run that waits for its image is in nobody's way, and can be given up.
func TestSlowSource(t *testing.T) {
	p := newPool(t, session.Options{Most: 2})
	image := newSlow(does{}.ask(1024, 512).good())
	cause := errors.New("the user lost patience")
	ctx, leave := context.WithCancelCause(t.Context())
	done := make(chan error)
	run := func(ctx context.Context) {
		_, err := p.Run(ctx, image.job())
		done <- err
	}
	go run(ctx)
	<-image.reading
	mustMap(t, p)
	leave(cause)
	if err := <-done; !errors.Is(err, cause) {
		t.Error(err)
	}
	go run(t.Context())
	<-image.reading
	image.release <- struct{}{}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestCancel: a run that nobody wants any more does not begin, or ends, with the caller's cause.
func TestCancel(t *testing.T) {
	before, books := inUse(t), ledger.New(1<<30)
	p := newPool(t, session.Options{Memory: books})
	cause := errors.New("the user lost patience")
	for name, do := range map[string]does{
		"computes": does{}.add(jailtest.Spin, 1, nil),
		"waits":    {},
		"floods":   does{}.add(jailtest.Send, 0, message(abi.MsgRead, 1, request(0, 512))),
	} {
		ctx, leave := context.WithCancelCause(t.Context())
		done := make(chan error)
		go func() {
			_, err := p.Run(ctx, do.job())
			done <- err
		}()
		eventually(t, func() error {
			if len(children(t, os.Getpid())) == 0 {
				return errors.New("no child")
			}
			return nil
		})
		leave(cause)
		if err := <-done; !errors.Is(err, cause) || errors.As(err, new(*session.GuestError)) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := p.Run(ctx, does{}.good().job()); !errors.Is(err, cause) {
			t.Errorf("after the end of %s: %v", name, err)
		}
		if err := p.Warm(ctx); !errors.Is(err, cause) {
			t.Errorf("after the end of %s: %v", name, err)
		}
	}
	mustMap(t, p)
	p.Close()
	settled(t, before, books)
}

// TestClose: a pool is closed while runs are under way and children start. Each run ends with its
// result or with session.ErrClosed, nobody waits for ever, and nothing is left.
func TestClose(t *testing.T) {
	before, books := inUse(t), ledger.New(1<<30)
	for round := range 10 {
		p := newPool(t, session.Options{Memory: books})
		served := make(chan struct{}, 100)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					l, err := p.Run(t.Context(), does{}.good().job())
					if errors.Is(err, session.ErrClosed) {
						return
					}
					if err != nil || l.VirtualSize != 4096 {
						t.Errorf("%+v, %v", l, err)
						return
					}
					served <- struct{}{}
				}
			})
		}
		for range round {
			<-served
		}
		go func() {
			for range served { // room for those that still run
			}
		}()
		for range 2 {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		close(served)
		if err := p.Warm(t.Context()); !errors.Is(err, session.ErrClosed) {
			t.Error(err)
		}
	}
	settled(t, before, books)
}

// TestCloseWaitsForChildren: who exits after Close leaves no child behind, not even one to reap.
func TestCloseWaitsForChildren(t *testing.T) {
	for range 10 {
		p := newPool(t, session.Options{})
		mustMap(t, p)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if pids := children(t, os.Getpid()); len(pids) > 0 {
			t.Fatalf("children %v are left", pids)
		}
	}
}

// TestCloseLeavesTheRunUnderWay: Close returns while a run waits, and the run ends well.
func TestCloseLeavesTheRunUnderWay(t *testing.T) {
	before := inUse(t)
	p := newPool(t, session.Options{})
	image := newSlow(does{}.ask(1024, 512).good())
	done := make(chan error)
	go func() {
		_, err := p.Run(t.Context(), image.job())
		done <- err
	}()
	<-image.reading
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	close(image.release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	settled(t, before, nil)
}

// TestMemory: a child is booked before it is started, and what it takes while it runs. Where that
// does not fit it is the end of its run only.
func TestMemory(t *testing.T) {
	before := inUse(t)
	books := ledger.New(childCost / 2)
	small := newPool(t, session.Options{Memory: books})
	if _, err := small.Run(t.Context(), does{}.good().job()); !errors.Is(err, ledger.ErrFull) ||
		!errors.Is(err, session.ErrNoGuest) {
		t.Error(err)
	}
	small.Close()
	settled(t, before, books)

	books = ledger.New(3 * childCost)
	p := newPool(t, session.Options{Memory: books})
	_, err := p.Run(t.Context(), does{}.add(jailtest.Fill, 64, nil).job())
	if !errors.Is(err, ledger.ErrFull) || errors.Is(err, session.ErrNoGuest) {
		t.Error(err)
	}
	mustMap(t, p)
	p.Close()
	settled(t, before, books)
}

// TestChildEndsWithItsHost: a host that is killed leaves no child, neither one that waits nor one
// that runs.
func TestChildEndsWithItsHost(t *testing.T) {
	for _, lockOut := range []string{"", "lock-out-user-namespaces ", "lock-out-namespaces "} {
		cmd := otherHost(t, strings.Fields(lockOut+"serve endless")...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 100)); err != nil { // it has served
			t.Error(err)
		}
		var pids []int
		eventually(t, func() error {
			pids = children(t, cmd.Process.Pid)
			states := ""
			for _, pid := range pids {
				states += state(t, pid)
			}
			if states != "RT" && states != "TR" {
				return fmt.Errorf("states of the children: %s", states)
			}
			return nil
		})
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()
		for _, pid := range pids {
			eventually(t, func() error {
				if s := state(t, pid); s != "" && s != "Z" {
					return fmt.Errorf("process %d has state %s", pid, s)
				}
				return nil
			})
		}
	}
}
