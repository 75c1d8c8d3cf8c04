package logger

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"instarfs/guest/show"
)

// A log that stands still holds up nobody, or this test would not end; what is lost is counted.
func TestLogNeverBlocks(t *testing.T) { synctest.Test(t, testLogNeverBlocks) }

func testLogNeverBlocks(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	gate := make(chan struct{})
	l := New(func(line string) {
		<-gate
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, line)
	})
	for n := range 2 * logQueue {
		l.Printf("line %d", n)
	}
	close(gate)
	l.Close()
	mu.Lock()
	defer mu.Unlock()
	if lines[0] != "line 0" ||
		!strings.Contains(strings.Join(lines, "\n"), "log lines were dropped") {
		t.Errorf("%d lines, %q", len(lines), lines[:3])
	}
}

func TestLogOnce(t *testing.T) { synctest.Test(t, testLogOnce) }

func testLogOnce(t *testing.T) {
	var lines []string
	l := New(func(line string) { lines = append(lines, line) })
	for range 3 {
		l.Once("a", [2]uint64{1, 1}, "a1")
		l.Once("b", [2]uint64{1, 1}, "b1")
	}
	l.Once("a", [2]uint64{1, 2}, "a2")
	l.Close()
	if got := fmt.Sprint(lines); got != "[a1 b1 a2]" {
		t.Errorf("log: %s", got)
	}
}

// A panic keeps the lines of its stack. No line holds what a terminal obeys.
func TestLogIsFitToBeShown(t *testing.T) { synctest.Test(t, testLogIsFitToBeShown) }

func testLogIsFitToBeShown(t *testing.T) {
	var lines []string
	l := New(func(line string) { lines = append(lines, line) })
	l.Printf("mount of %s", "a\n\u009b31m")
	l.Once("a", [2]uint64{}, "b\x1b")
	_, _ = l.Write([]byte("go-fuse\u202e\n"))
	l.Panicked("listing \u009b", "p\n")
	l.Close()
	if len(lines) != 4 {
		t.Fatalf("%q", lines)
	}
	for i, want := range []string{
		`mount of a\x0a\xc2\x9b31m`, `b\x1b`, `go-fuse\xe2\x80\xae`,
		`panic while listing \xc2\x9b: p\x0a` + "\n",
	} {
		if got := lines[i]; got != want && (i < 3 || !strings.HasPrefix(got, want+"goroutine ")) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if strings.Count(lines[3], "\n") < 5 || show.Lines(lines[3]) != lines[3] {
		t.Errorf("panic: %q", lines[3])
	}
}
