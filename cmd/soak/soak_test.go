package main

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSoakSeesFaults checks that soak notices faults.
func TestSoakSeesFaults(t *testing.T) {
	s := &subject{kind: renamed, name: "a"}
	s.maps[0] = map[string][]byte{views[0]: []byte("old")}
	s.maps[1] = map[string][]byte{views[0]: []byte("new")}
	first := &moment{variant: 0, since: time.Now()}
	s.now.Store(first)
	if err := s.become(moment{variant: 1}, func() error {
		if !s.now.Load().changing {
			t.Error("a change does not show")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	now := s.now.Load()
	for _, c := range []struct {
		got    string
		err    error
		before *moment
		fault  string
	}{
		{"new", nil, now, ""}, {"old", nil, first, ""}, {"new", nil, first, ""},
		{"old", nil, now, "old map"}, {"ne", nil, now, "wrong bytes"},
		{"ne", nil, first, "wrong bytes"},
		{"", syscall.EIO, now, "unexpected error"}, {"", syscall.EBUSY, first, "unexpected error"},
	} {
		w := &world{tally: newTally()}
		w.tally.did("change")
		w.tally.did("kill")
		w.judge(s, views[0], []byte(c.got), c.err, c.before, now)
		faults := strings.Join(w.tally.faults(), "; ")
		if !strings.HasPrefix(faults, c.fault) || (faults == "") != (c.fault == "") {
			t.Errorf("%q, %v: %q, want %q", c.got, c.err, faults, c.fault)
		}
	}
	if faults := newTally().faults(); len(faults) != 1 {
		t.Errorf("of nothing at all: %q", faults)
	}
}

func TestSoakSeesGrowth(t *testing.T) {
	usual := usage{descriptors: 20, machines: 3, threads: 50, memory: 100}
	history := []usage{usual, usual, usual, usual, usual}
	if faults := grown(history); len(faults) > 0 {
		t.Errorf("%q", faults)
	}
	history[4] = usage{descriptors: 30, machines: 4, threads: 90, memory: 300, busy: time.Second}
	if faults := grown(history); len(faults) != 5 {
		t.Errorf("%q", faults)
	}
}

func TestSoakReadsTheLog(t *testing.T) {
	quiet := "instarfs: mounted\nSIGQUIT: quit\n" + strings.Repeat("goroutine 7 [select]:\n", 30)
	if faults := complaints(quiet, 30); len(faults) > 0 {
		t.Errorf("%q", faults)
	}
	loud := "instarfs: a bug of instarfs, please report it: panic: x\n" + quiet +
		strings.Repeat("goroutine 8 [select]:\n", 30)
	if faults := complaints(loud, 30); len(faults) != 2 {
		t.Errorf("%q", faults)
	}
	if faults := complaints("", 30); len(faults) != 1 {
		t.Errorf("of no log: %q", faults)
	}
}
