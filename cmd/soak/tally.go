package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"
)

// tally counts what was done, and keeps the faults that were found. It is safe for concurrent use.
type tally struct {
	mu      sync.Mutex
	done    map[string]int
	longest time.Duration // of reads of good images on a file system that answers
	found   map[string]*found
}

// found is a kind of fault.
type found struct {
	times   int
	example string // the first one
}

func newTally() *tally { return &tally{done: map[string]int{}, found: map[string]*found{}} }

// did counts something that is not a fault.
func (t *tally) did(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done[what]++
}

func (t *tally) took(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.longest = max(t.longest, d)
}

// fault counts a fault of a kind.
func (t *tally) fault(kind, example string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.found[kind]
	if f == nil {
		f = &found{example: fmt.Sprintf(example, args...)}
		t.found[kind] = f
	}
	f.times++
}

// failed counts an error, which is a fault unless its number is one of allowed.
func (t *tally) failed(what, name string, err error, allowed ...syscall.Errno) {
	var errno syscall.Errno
	if errors.As(err, &errno) && slices.Contains(allowed, errno) {
		t.did(errno.Error())
		return
	}
	t.fault("unexpected error of "+what, "%s: %v", name, err)
}

// summary returns what was done so far.
func (t *tally) summary() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	faults := 0
	for _, f := range t.found {
		faults += f.times
	}
	return fmt.Sprintf("%d reads, the longest %.1f s, %d changes, %d kills, %d faults",
		t.done["read"], t.longest.Seconds(), t.done["change"], t.done["kill"], faults)
}

// longestRead is how long a read of a good image may take while other images are slow.
const longestRead = time.Minute

// faults returns a line for each kind of fault.
func (t *tally) faults() (lines []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for kind, f := range t.found {
		lines = append(lines, fmt.Sprintf("%s, %d times, first: %s", kind, f.times, f.example))
	}
	if t.longest > longestRead {
		lines = append(lines, fmt.Sprintf("a read of a good image took %v", t.longest))
	}
	if t.done["read"] == 0 || t.done["change"] == 0 || t.done["kill"] == 0 {
		lines = append(lines, fmt.Sprintf("nothing was tested: %v", t.done))
	}
	slices.Sort(lines)
	return lines
}
