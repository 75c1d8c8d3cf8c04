package gate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/needs"
	"instarfs/vmm/bug"
	"instarfs/vmm/chaintest"
)

const here, there = 1, 2

func value(n int) func() (int, error) { return func() (int, error) { return n, nil } }

func TestDo(t *testing.T) {
	g := New(DefaultCallTime)
	if n, err := Do(t.Context(), g, On{Device: here}, nil, value(7)); n != 7 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	want := errors.New("no")
	_, err := Do(t.Context(), g, On{Device: here}, nil, func() (int, error) { return 0, want })
	if err != want {
		t.Errorf("got %v", err)
	}
	var panicked *bug.Error
	_, err = Do(t.Context(), g, On{Device: here}, nil, func() (int, error) { panic("inside") })
	if !errors.As(err, &panicked) || panicked.Value != "inside" || panicked.Where == "" {
		t.Errorf("a panic came out as %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(want)
	if _, err := Do(ctx, g, On{Device: here}, nil, value(1)); err != want {
		t.Errorf("a context that is over: %v", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.devices) != 0 {
		t.Errorf("%d devices are remembered", len(g.devices))
	}
}

// hang fills all calls of a device with such that do not return, and returns how to let them go.
func hang(t *testing.T, g *Gate, dev uint64, dropped *atomic.Int64) (release func()) {
	t.Helper()
	stuck := make(chan struct{})
	var all sync.WaitGroup
	for range maxCalls {
		all.Go(func() {
			_, err := Do(t.Context(), g, On{Device: dev},
				func(int) { dropped.Add(1) }, func() (int, error) {
					<-stuck
					return 1, nil
				})
			if !errors.Is(err, ErrHangs) {
				t.Errorf("a call that hangs: %v", err)
			}
		})
	}
	all.Wait()
	return func() { close(stuck) }
}

func TestDeviceThatHangs(t *testing.T) {
	g := New(50 * time.Millisecond)
	var dropped atomic.Int64
	release := hang(t, g, there, &dropped)
	begun := false
	_, err := Do(t.Context(), g, On{Device: there}, nil,
		func() (int, error) { begun = true; return 0, nil })
	if !errors.Is(err, ErrHangs) || begun {
		t.Errorf("one more call on a device all of whose calls hang: %v, begun %v", err, begun)
	}
	if n, err := Do(t.Context(), g, On{Device: here}, nil, value(3)); n != 3 || err != nil {
		t.Errorf("another device: %d, %v", n, err)
	}
	release()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		n, err := Do(t.Context(), g, On{Device: there}, nil, value(4))
		if n == 4 && err == nil && dropped.Load() == maxCalls {
			break
		}
		if time.Since(begin) > chaintest.GiveUp {
			t.Fatalf("the device is back, and a call says %v; %d results dropped",
				err, dropped.Load())
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.devices) != 0 {
		t.Errorf("%d devices are remembered", len(g.devices))
	}
}

func TestCallerGivesUp(t *testing.T) {
	g := New(DefaultCallTime)
	want := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	stuck, dropped := make(chan struct{}), make(chan int, 1)
	_, err := Do(ctx, g, On{Device: here}, func(n int) { dropped <- n }, func() (int, error) {
		cancel(want) // only now: a call whose caller gave up before is not made
		<-stuck
		return 5, nil
	})
	if err != want {
		t.Errorf("got %v", err)
	}
	close(stuck)
	if n := <-dropped; n != 5 {
		t.Errorf("dropped %d", n)
	}
}

// TestRights looks through the eyes of users at a directory of one of them.
func TestRights(t *testing.T) {
	needs.Root(t)
	const ann, ben, team = 2001, 2002, 3000
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	files := []struct {
		name     string
		uid, gid int
		mode     os.FileMode
	}{
		{"ann", ann, ann, 0o600}, {"team", ann, team, 0o640},
		{"root", 0, 0, 0o600}, {"all", 0, 0, 0o644},
		{"not-team", 0, team, 0o604},
	}
	for _, f := range files {
		name := filepath.Join(dir, f.name)
		err := errors.Join(os.WriteFile(name, nil, f.mode), os.Chmod(name, f.mode),
			os.Chown(name, f.uid, f.gid))
		if err != nil {
			t.Fatal(err)
		}
	}
	g := New(DefaultCallTime)
	for _, c := range []struct {
		who  string
		user *User
		may  string
	}{
		{"the process", nil, "ann team root all not-team "},
		{"ann", &User{UID: ann, GID: ann}, "ann team all not-team "},
		{"ben", &User{UID: ben, GID: ben}, "all not-team "},
		{"ben in the team", &User{UID: ben, GID: ben, Groups: []uint32{17, team}}, "team all "},
		{"the team", &User{UID: ben, GID: team}, "team all "},
		{"root without capabilities", &User{}, "root all not-team "},
	} {
		for range 2 {
			got := ""
			for _, f := range files {
				fd, err := Do(t.Context(), g, On{Device: here, User: c.user},
					nil, func() (int, error) {
						name := filepath.Join(dir, f.name)
						return unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
					})
				if err == nil {
					unix.Close(fd)
					got += f.name + " "
				} else if err != unix.EACCES {
					t.Errorf("%s, %s: %v", c.who, f.name, err)
				}
			}
			if got != c.may {
				t.Errorf("%s may read %q, want %q", c.who, got, c.may)
			}
		}
	}
	if !CanBecome() {
		t.Error("root cannot act for others")
	}
}

// TestRightsEndWithTheCall: a thread that had the rights of another is used for all else after.
func TestRightsEndWithTheCall(t *testing.T) {
	needs.Root(t)
	g := New(DefaultCallTime)
	for range 200 {
		_, err := Do(t.Context(), g, On{User: &User{UID: 2001, GID: 2001}},
			nil, func() (int, error) {
				panic("with the rights of another")
			})
		var panicked *bug.Error
		if !errors.As(err, &panicked) {
			t.Fatal(err)
		}
	}
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(threads) == 0 {
		t.Fatal(err)
	}
	for _, name := range threads {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it ended
		}
		_, rest, _ := strings.Cut(string(b), "\nUid:")
		var uid [4]int
		if _, err := fmt.Sscan(rest, &uid[0], &uid[1], &uid[2], &uid[3]); err != nil {
			t.Fatal(err)
		}
		if uid != [4]int{} {
			t.Errorf("%s: Uid %v", name, uid)
		}
	}
}

func BenchmarkDo(b *testing.B) {
	g := New(DefaultCallTime)
	var st unix.Stat_t
	for _, c := range []struct {
		name string
		user *User
	}{{"own", nil}, {"other", &User{UID: 2001, GID: 2001}}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				_, _ = Do(b.Context(), g, On{Device: here, User: c.user}, nil,
					func() (int, error) { return 0, unix.Lstat("/", &st) })
			}
		})
	}
}
