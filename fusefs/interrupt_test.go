package fusefs

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"instarfs/fusefs/view"
)

// A stat survives signals that its program handles, however many there are.
func TestAlarmDoesNotBreakStat(t *testing.T) {
	src := newFakeSource(t, 400*time.Millisecond)
	src.put(t, "a.img", "a", 777)
	m := mountFake(t, src, nil)
	program, args := clientCommand("alarmed-stat", m.path("a.img.map.json"))
	if got := command(t, program, args...); got != "777\n" {
		t.Errorf("size %q", got)
	}
}

// Signals that end a program end its wait, for stat as for open.
func TestFatalSignalsDoNotWait(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT,
		syscall.SIGALRM} {
		for _, program := range []string{"cat", "stat"} {
			t.Run(fmt.Sprint(program, " ", sig), func(t *testing.T) {
				t.Parallel()
				src := newFakeSource(t, time.Hour)
				src.put(t, "a.img", "a", 777)
				m := mountFake(t, src, nil)
				cmd := exec.Command(program, m.path("a.img.map.json"))
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				waitRuns(t, src, 1)
				cmd.Process.Signal(sig)
				waitEnd(t, cmd)
				// Nobody waits for the run any more; a new caller starts another.
				src.delay.Store(0)
				want := string(fakeContent("a", 777, view.JSON))
				if got := m.read("a.img.map.json"); got != want {
					t.Errorf("after the interruption: %q", got)
				}
				if m.logged("") != 0 {
					t.Errorf("the log says %q", m.log)
				}
			})
		}
	}
}

// A run goes on for those who wait for it when one of them is killed.
func TestRunOutlivesOneOfTwoCallers(t *testing.T) {
	src := newFakeSource(t, 0)
	src.put(t, "a.img", "a", 777)
	mayEnd := make(chan struct{})
	src.during = func(ctx context.Context, _ string) {
		select {
		case <-mayEnd:
		case <-ctx.Done():
		}
	}
	m := mountFake(t, src, nil)
	waiters := func(n int) {
		t.Helper()
		if !eventually(func() bool { return src.waiting("a.img") == n }) {
			t.Errorf("%d callers wait for the run, want %d", src.waiting("a.img"), n)
		}
	}
	first := exec.Command("cat", m.path("a.img.map.json"))
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	waiters(1)
	second := exec.Command("cat", m.path("a.img.map.txt"))
	var out strings.Builder
	second.Stdout = &out
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	waiters(2)
	first.Process.Kill()
	waitEnd(t, first)
	waiters(1)
	close(mayEnd)
	if err := waitEnd(t, second); err != nil ||
		out.String() != string(fakeContent("a", 777, view.Text)) {
		t.Errorf("%v, %q", err, out.String())
	}
	if n := src.runs.Load(); n != 1 {
		t.Errorf("%d runs, want 1", n)
	}
}
