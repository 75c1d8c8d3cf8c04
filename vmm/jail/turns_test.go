package jail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"instarfs/guest/abi"
	"instarfs/guest/img"
	"instarfs/vmm/jail/jailtest"
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
