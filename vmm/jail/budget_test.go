package jail

import (
	"errors"
	"strings"
	"testing"
	"time"

	"instarfs/vmm/jail/jailtest"
	"instarfs/vmm/session"
)

// guestError is the error of a run that a guest is to blame for.
func guestError(t testing.TB, err error) *session.GuestError {
	t.Helper()
	var g *session.GuestError
	if !errors.As(err, &g) {
		t.Fatalf("error is %v", err)
	}
	return g
}

// TestProcessorTime: a child that used up the kernel's limit of its processor time ended for that
// reason, and not for want of memory, which kills in the same way.
func TestProcessorTime(t *testing.T) {
	p := newPool(t, session.Options{})
	p.spawner.cpu = 1
	_, err := p.Run(t.Context(), does{}.add(jailtest.Spin, 2, nil).job())
	g := guestError(t, err)
	if g.Kind != session.KindDeadline || !strings.Contains(g.What, "1s of processor time") {
		t.Error(err)
	}
}

func TestCPULimit(t *testing.T) {
	for d, want := range map[time.Duration]uint64{
		0: cpuSpare, time.Nanosecond: 1 + cpuSpare, time.Minute: 60 + cpuSpare, 1<<63 - 1: maxCPU,
	} {
		if n := cpuLimit(d); n != want {
			t.Errorf("%v: %d, want %d", d, n, want)
		}
	}
}

// TestOutOfMemory: the Go runtime has many words for it (throw in runtime/*.go).
func TestOutOfMemory(t *testing.T) {
	for log, want := range map[string]bool{
		"fatal error: runtime: out of memory\n\nruntime stack:\n":                            true,
		"fatal error: runtime: cannot allocate memory\n":                                     true,
		"fatal error: out of memory allocating heap arena metadata\n":                        true,
		"fatal error: pageAlloc: out of memory\n":                                            true,
		"fatal error: all goroutines are asleep - deadlock!\n":                               false,
		"panic: out of memory\n":                                                             false,
		"runtime: failed to create new OS thread (have 64 already; errno=11)\nout of memory": false,
		"": false,
	} {
		if outOfMemory(log) != want {
			t.Errorf("%q: %v", log, !want)
		}
	}
}
