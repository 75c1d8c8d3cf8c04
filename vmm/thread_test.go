package vmm

import (
	"testing"

	"instarfs/vmm/kvm"
)

func TestThreadsTakeTurns(t *testing.T) {
	s := newScheduler()
	for want := uint64(2); want <= 3; want++ {
		if id := s.spawn(kvm.Regs{RIP: 100 * want}, want); id != want {
			t.Fatalf("thread %d, want %d", id, want)
		}
	}
	for i, want := range []uint64{2, 3, 1, 2, 3, 1} {
		if !s.yield() || s.current.id != want {
			t.Fatalf("turn %d is of thread %d, want %d", i, s.current.id, want)
		}
	}
	s.yield()
	if s.current.regs.RIP != 200 || s.current.fs != 2 {
		t.Errorf("%+v", s.current)
	}
}

func TestAlone(t *testing.T) {
	s := newScheduler()
	if !s.yield() || s.current.id != 1 || len(s.waiting) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWaitAndWake(t *testing.T) {
	s := newScheduler()
	s.spawn(kvm.Regs{}, 0)
	s.spawn(kvm.Regs{}, 0)
	wait := func(futex uint64, timed bool) bool {
		s.current.futex, s.current.timed = futex, timed
		return s.yield()
	}
	// 1 and 2 wait at the same place; 3 goes on.
	for next := uint64(2); next <= 3; next++ {
		if !wait(0x10, false) || s.current.id != next {
			t.Fatalf("%+v", s)
		}
	}
	if n := s.wake(0x20, 9); n != 0 {
		t.Errorf("%d woken at another place", n)
	}
	if n := s.wake(0x10, 1); n != 1 {
		t.Errorf("%d woken, want 1", n)
	}
	if !s.yield() || s.current.id != 1 {
		t.Errorf("thread %d runs, want 1, which waited longer", s.current.id)
	}
	if n := s.wake(0x10, 9); n != 1 {
		t.Errorf("%d woken, want 2 alone", n)
	}
	if n := s.wake(0x10, 9); n != 0 {
		t.Errorf("%d woken twice", n)
	}
}

// TestTimeout: when nobody can run, the first whose wait is timed gets its timeout; when there is none, it is a deadlock.
func TestTimeout(t *testing.T) {
	s := newScheduler()
	s.spawn(kvm.Regs{RAX: 7}, 0)
	s.current.futex, s.current.timed = 0x10, true
	if !s.yield() || s.current.id != 2 || s.current.regs.RAX != 7 {
		t.Fatalf("%+v", s)
	}
	s.current.futex = 0x10
	if !s.yield() || s.current.id != 1 || s.current.regs.RAX != errno(_ETIMEDOUT) || s.current.timed || s.current.futex != 0 {
		t.Fatalf("%+v", s)
	}
	s.current.futex = 0x20
	if s.yield() {
		t.Errorf("%+v runs", s.current)
	}
}

func TestTooManyThreads(t *testing.T) {
	s := newScheduler()
	for range maxThreads - 1 {
		if s.spawn(kvm.Regs{}, 0) == 0 {
			t.Fatalf("only %d", len(s.waiting)+1)
		}
	}
	if id := s.spawn(kvm.Regs{}, 0); id != 0 {
		t.Errorf("thread %d", id)
	}
}

// TestSnapshotOfThreads: a clone and its original do not share threads.
func TestSnapshotOfThreads(t *testing.T) {
	s := newScheduler()
	s.spawn(kvm.Regs{RIP: 1}, 0)
	s.waiting[0].futex = 0x10
	c := s.clone()
	s.wake(0x10, 1)
	s.spawn(kvm.Regs{RIP: 2}, 0)
	if len(c.waiting) != 1 || c.waiting[0].futex != 0x10 {
		t.Errorf("%+v", c)
	}
}
