package vmm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/guest/payload"
	"instarfs/needs"
	"instarfs/vmm/session"
	"instarfs/vmm/turns"
)

// agentPool runs the real map guest.
func agentPool(t *testing.T, idle int) *Pool {
	t.Helper()
	return newAgentPool(t, idle, session.NewHost(session.Options{Turns: turns.New(idle)}))
}

// agentPoolOn runs it on a host of the test's.
func agentPoolOn(t *testing.T, host *session.Host) *Pool {
	t.Helper()
	return newAgentPool(t, 1, host)
}

func newAgentPool(t *testing.T, idle int, host *session.Host) *Pool {
	t.Helper()
	needs.KVM(t)
	program, err := payload.Agent()
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPool(Options{Program: program, Idle: idle, Host: host})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// rawJob is the run of a raw image of n bytes.
func rawJob(n int) *session.Job {
	return &session.Job{Window: img.Whole, Image: ram(make([]byte, n)), Size: uint64(n)}
}

func checkRaw(l *session.Layer, err error, n uint64) error {
	if err != nil {
		return err
	}
	if e := l.Map.At(0); l.VirtualSize != n || l.Map.Len() != 1 || e.Length != n ||
		e.Flags != extent.Present|extent.Data|extent.Offset|extent.Holes|extent.Bare {
		return fmt.Errorf("layer %+v of extent %+v", l, e)
	}
	return nil
}

// TestPoolsInParallel: two pools, each with more callers than machines. No run sees the image of
// another.
func TestPoolsInParallel(t *testing.T) {
	var wg sync.WaitGroup
	for range 2 {
		p := agentPool(t, 2)
		for caller := range 4 {
			wg.Go(func() {
				for i := range 10 {
					n := 512 * (1 + caller*10 + i)
					l, err := p.Run(t.Context(), rawJob(n))
					if err := checkRaw(l, err, uint64(n)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
}

// TestUnreadableImage: what the host saw when a read failed reaches the caller, with offset and
// errno; the next run works.
func TestUnreadableImage(t *testing.T) {
	p := agentPool(t, 1)
	name := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(name, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	short, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer short.Close()
	for _, test := range []struct {
		name  string
		image session.Image
		want  error
	}{
		{"file that became shorter", file{short}, io.ErrUnexpectedEOF},
		{"disk that fails", failing{unix.EIO}, unix.EIO},
	} {
		_, err := p.Run(t.Context(),
			&session.Job{Window: img.Whole, Image: test.image, Size: 1 << 20})
		if !errors.Is(err, test.want) ||
			!strings.Contains(err.Error(), "read of 65536 bytes at offset 0: ") ||
			session.IsFault(err) {
			t.Errorf("%s: %v", test.name, err)
		}
		l, err := p.Run(t.Context(), rawJob(1024))
		if err := checkRaw(l, err, 1024); err != nil {
			t.Errorf("after %s: %v", test.name, err)
		}
	}
}

// failing is an image that cannot be read.
type failing struct{ err error }

func (f failing) Peek([]byte, int64) bool { return false }

func (f failing) ReadAt(context.Context, []byte, int64) (int, error) { return 0, f.err }

// file is an image that is read and never in memory.
type file struct{ io.ReaderAt }

func (f file) Peek([]byte, int64) bool { return false }

func (f file) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return f.ReaderAt.ReadAt(p, off)
}

// ram is an image that is read from memory, and does not say so.
type ram []byte

func (r ram) Peek([]byte, int64) bool { return false }

func (r ram) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return bytes.NewReader(r).ReadAt(p, off)
}

// slow is an image whose reads wait until told.
type slow struct {
	reading chan struct{}
	release chan struct{}
}

func (s slow) Peek([]byte, int64) bool { return false }

func (s slow) ReadAt(_ context.Context, p []byte, _ int64) (int, error) {
	s.reading <- struct{}{}
	<-s.release
	clear(p)
	return len(p), nil
}

// resources are what a process could run out of.
type resources struct {
	fds, threads int
	guests       int // guest memories
}

// inUse waits for machines that are still on their way out: it returns once two looks agree.
func inUse(t *testing.T) resources {
	t.Helper()
	look := func() (r resources) {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		field := func(name string) int {
			_, rest, _ := strings.Cut(string(status), name+":")
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		// Memory of guests is anonymous and shared, which the kernel calls by this name.
		return resources{len(fds), field("Threads"),
			strings.Count(string(maps), "/dev/zero (deleted)")}
	}
	for last := look(); ; {
		time.Sleep(50 * time.Millisecond)
		r := look()
		if r == last {
			return r
		}
		last = r
	}
}

// grew checks that nothing but a few idle threads of the Go runtime is left of what happened since
// before.
func grew(t *testing.T, before resources) {
	t.Helper()
	runtime.GC()
	after := inUse(t)
	if after.fds > before.fds || after.threads > before.threads+8 || after.guests > before.guests {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// TestRunsLeakNothing: neither good runs, which reuse a machine, nor bad ones, each of which
// destroys its own, leave descriptors, threads or guest memory (64 MiB each) behind.
func TestRunsLeakNothing(t *testing.T) {
	p := agentPool(t, 2)
	l, err := p.Run(t.Context(), rawJob(512))
	if err := checkRaw(l, err, 512); err != nil {
		t.Fatal(err)
	}
	before := inUse(t)
	for range 200 {
		if l, err := p.Run(t.Context(), rawJob(512)); checkRaw(l, err, 512) != nil {
			t.Fatal(err)
		}
	}
	grew(t, before)
	for range 50 {
		if _, err := p.Run(t.Context(),
			&session.Job{Window: img.Whole, Image: failing{unix.EIO}, Size: 512}); !errors.Is(err,
			unix.EIO) {
			t.Fatal(err)
		}
	}
	grew(t, before)
}

func TestPoolsLeakNothing(t *testing.T) {
	warm := agentPool(t, 1)
	if err := warm.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := inUse(t)
	for range 10 {
		p := agentPool(t, 2)
		if err := p.Warm(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Run(t.Context(), rawJob(512)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := p.Run(t.Context(), rawJob(512)); !errors.Is(err, session.ErrClosed) {
			t.Error(err)
		}
		if err := p.Warm(t.Context()); !errors.Is(err, session.ErrClosed) {
			t.Error(err)
		}
	}
	grew(t, before)
}

// TestCloseDuringRuns: a pool is closed while runs are under way, come and go. Each ends with its
// result or with session.ErrClosed, nobody waits for ever, and nothing is left.
func TestCloseDuringRuns(t *testing.T) {
	before := inUse(t)
	for round := range 10 {
		p := agentPool(t, 2)
		if err := p.Warm(t.Context()); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for {
					l, err := p.Run(t.Context(), rawJob(4096))
					if errors.Is(err, session.ErrClosed) {
						return
					}
					if err := checkRaw(l, err, 4096); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		time.Sleep(time.Duration(round) * time.Millisecond)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
	grew(t, before)
}

// TestCloseLeavesTheRunUnderWay: Close returns at once, and the run ends well.
func TestCloseLeavesTheRunUnderWay(t *testing.T) {
	p := agentPool(t, 1)
	image := slow{make(chan struct{}), make(chan struct{})}
	done := make(chan error)
	go func() {
		_, err := p.Run(t.Context(), &session.Job{Window: img.Whole, Image: image, Size: 512})
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
}

// TestSlowSource: a run that waits for its image is in nobody's way.
func TestSlowSource(t *testing.T) {
	p := agentPool(t, 1)
	image := slow{make(chan struct{}), make(chan struct{})}
	done := make(chan error)
	go func() {
		_, err := p.Run(t.Context(), &session.Job{Window: img.Whole, Image: image, Size: 512})
		done <- err
	}()
	<-image.reading
	l, err := p.Run(t.Context(), rawJob(512))
	if err := checkRaw(l, err, 512); err != nil {
		t.Error(err)
	}
	close(image.release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestWaitingForATurn: who waits for a turn can give up.
func TestWaitingForATurn(t *testing.T) {
	p := agentPool(t, 1)
	turn, err := p.host.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer turn.Leave()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Run(ctx, rawJob(512)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := p.Warm(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestWhoseTimeIsUp: the caller's deadline is the caller's error; only the run's own is the
// guest's.
func TestWhoseTimeIsUp(t *testing.T) {
	needs.KVM(t)
	loops := good(func(a *asm) { a.forever(func() {}) }).elf()
	p, err := NewPool(Options{Program: bytes.NewReader(loops),
		Host: session.NewHost(session.Options{Budget: session.Budget{Time: time.Hour, Exits: 100,
			Read: 1, Extents: 1}})})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	var g *session.GuestError
	if _, err := p.Run(ctx, testJob()); !errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &g) {
		t.Errorf("%v", err)
	}
	never, err := NewPool(Options{Program: bytes.NewReader(new(asm).forever(func() {}).elf())})
	if err != nil {
		t.Fatal(err)
	}
	defer never.Close()
	cause := errors.New("the user lost patience")
	gone, leave := context.WithCancelCause(t.Context())
	time.AfterFunc(30*time.Millisecond, func() { leave(cause) })
	if _, err := never.Run(gone, testJob()); !errors.Is(err, cause) || errors.As(err, &g) {
		t.Errorf("%v", err)
	}
}

// TestImageFaults: what is wrong with an image is its fault, with the place, and costs no machine.
func TestImageFaults(t *testing.T) {
	p := agentPool(t, 1)
	job := func(format img.Format, head string, n int) *session.Job {
		b := make([]byte, n)
		copy(b, head)
		return &session.Job{Window: img.Whole, Image: ram(b), Size: uint64(n), Format: format}
	}
	const qcow2 = 2
	for _, test := range []struct {
		job  *session.Job
		want fault.Reason
	}{
		{job(qcow2, "not qcow2", 4096), fault.Qcow2Magic},
		{job(0, "QFI\xfb\x00\x00\x00\x04", 4096), fault.Qcow2Version},
		{job(0, "QED\x00", 4096), fault.QedClusterSize},
		{job(99, "", 4096), fault.UnknownFormat},
		{&session.Job{Window: img.Whole, Image: ram(nil), SectorSize: 1000}, fault.BadConfig},
	} {
		for range 2 {
			_, err := p.Run(t.Context(), test.job)
			var f *fault.Fault
			if !errors.As(err, &f) || f.Reason != test.want {
				t.Errorf("%v, want %v", err, &fault.Fault{Reason: test.want})
			}
		}
	}
	if _, err := p.Run(t.Context(), &session.Job{Window: img.Whole, Size: 1 << 63}); err == nil ||
		!strings.Contains(err.Error(), "too large") {
		t.Error(err)
	}
}
