package threads

import (
	"testing"

	"instarfs/vmm/kvm"
)

func TestThreadsTakeTurns(t *testing.T) {
	s := New()
	for want := uint64(2); want <= 3; want++ {
		if id := s.Spawn(kvm.Regs{RIP: 100 * want}, want); id != want {
			t.Fatalf("thread %d, want %d", id, want)
		}
	}
	for i, want := range []uint64{2, 3, 1, 2, 3, 1} {
		if !s.Yield() || s.Current.ID != want {
			t.Fatalf("turn %d is of thread %d, want %d", i, s.Current.ID, want)
		}
	}
	s.Yield()
	if s.Current.Regs.RIP != 200 || s.Current.FS != 2 {
		t.Errorf("%+v", s.Current)
	}
}

func TestAlone(t *testing.T) {
	s := New()
	if !s.Yield() || s.Current.ID != 1 || len(s.waiting) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWaitAndWake(t *testing.T) {
	s := New()
	s.Spawn(kvm.Regs{}, 0)
	s.Spawn(kvm.Regs{}, 0)
	wait := func(futex uint64, timed bool) bool {
		s.Current.Futex, s.Current.Timed = futex, timed
		return s.Yield()
	}
	// 1 and 2 wait at the same place; 3 goes on.
	for next := uint64(2); next <= 3; next++ {
		if !wait(0x10, false) || s.Current.ID != next {
			t.Fatalf("%+v", s)
		}
	}
	if n := s.Wake(0x20, 9); n != 0 {
		t.Errorf("%d woken at another place", n)
	}
	if n := s.Wake(0x10, 1); n != 1 {
		t.Errorf("%d woken, want 1", n)
	}
	if !s.Yield() || s.Current.ID != 1 {
		t.Errorf("thread %d runs, want 1, which waited longer", s.Current.ID)
	}
	if n := s.Wake(0x10, 9); n != 1 {
		t.Errorf("%d woken, want 2 alone", n)
	}
	if n := s.Wake(0x10, 9); n != 0 {
		t.Errorf("%d woken twice", n)
	}
}

// TestTimeout: when nobody can run, the first whose wait is timed gets its timeout; when there is
// none, it is a deadlock.
func TestTimeout(t *testing.T) {
	s := New()
	s.Spawn(kvm.Regs{RAX: 7}, 0)
	s.Current.Futex, s.Current.Timed = 0x10, true
	if !s.Yield() || s.Current.ID != 2 || s.Current.Regs.RAX != 7 {
		t.Fatalf("%+v", s)
	}
	s.Current.Futex = 0x10
	if !s.Yield() || s.Current.ID != 1 || s.Current.Regs.RAX != timedOut || s.Current.Timed ||
		s.Current.Futex != 0 {
		t.Fatalf("%+v", s)
	}
	s.Current.Futex = 0x20
	if s.Yield() {
		t.Errorf("%+v runs", s.Current)
	}
}

func TestTooManyThreads(t *testing.T) {
	s := New()
	for range Max - 1 {
		if s.Spawn(kvm.Regs{}, 0) == 0 {
			t.Fatalf("only %d", len(s.waiting)+1)
		}
	}
	if id := s.Spawn(kvm.Regs{}, 0); id != 0 {
		t.Errorf("thread %d", id)
	}
}

// TestSnapshotOfThreads: a clone and its original do not share threads.
func TestSnapshotOfThreads(t *testing.T) {
	s := New()
	s.Spawn(kvm.Regs{RIP: 1}, 0)
	s.waiting[0].Futex = 0x10
	c := s.Clone()
	s.Wake(0x10, 1)
	s.Spawn(kvm.Regs{RIP: 2}, 0)
	if len(c.waiting) != 1 || c.waiting[0].Futex != 0x10 {
		t.Errorf("%+v", c)
	}
}
