// Package threads shares the one processor of a virtual machine among the threads of a guest
// program, as the scheduler of a kernel would. It knows of a thread only its registers and what it
// waits for.
package threads

import (
	"slices"

	"instarfs/vmm/kvm"
)

// Max is how many threads a guest program may have. The Go runtime makes three.
const Max = 16

// timedOut is what a system call returns whose time is up: -ETIMEDOUT.
const timedOut = ^uint64(110) + 1

// Thread is a thread of the guest program. Vector registers are not kept: threads change only
// inside system calls, and across those Go code holds nothing in them.
type Thread struct {
	ID   uint64
	Regs kvm.Regs // while another thread has the processor
	FS   uint64
	// Futex is the address it waits at, 0 when it can run; timed waits may be ended early, as if
	// their time had come.
	Futex uint64
	Timed bool
}

// Scheduler changes the thread that has the processor at a futex wait, a sleep or a yield and
// nowhere else. It is not safe for concurrent use.
type Scheduler struct {
	Current Thread
	waiting []Thread // all others, the one that ran longest ago first
}

// New returns a scheduler of a program that has one thread.
func New() Scheduler { return Scheduler{Current: Thread{ID: 1}} }

// Clone copies s for a snapshot.
func (s *Scheduler) Clone() Scheduler {
	return Scheduler{Current: s.Current, waiting: slices.Clone(s.waiting)}
}

// All returns copies of all threads, the current one first, for Of.
func (s *Scheduler) All() []Thread { return append([]Thread{s.Current}, s.waiting...) }

// Of makes a scheduler of threads, one to Max, the current one first.
func Of(all []Thread) Scheduler {
	if len(all) == 0 {
		return New()
	}
	return Scheduler{Current: all[0], waiting: slices.Clone(all[1:])}
}

// Spawn adds a thread that will start with r, and returns its number, or 0 if there are too many.
func (s *Scheduler) Spawn(r kvm.Regs, fs uint64) uint64 {
	if len(s.waiting)+1 >= Max {
		return 0
	}
	id := uint64(len(s.waiting)) + 2
	s.waiting = append(s.waiting, Thread{ID: id, Regs: r, FS: fs})
	return id
}

// Wake makes up to n threads runnable that wait at a futex, and returns how many.
func (s *Scheduler) Wake(futex, n uint64) uint64 {
	woken := uint64(0)
	for i := range s.waiting {
		if woken < n && s.waiting[i].Futex == futex {
			s.waiting[i].Futex, s.waiting[i].Timed = 0, false
			woken++
		}
	}
	return woken
}

// Yield gives the processor to another thread. Current has its registers, and says what it waits
// for. The first thread that can run comes next; if there is none, the first whose wait is timed
// gets its timeout. ok is false if no thread can run.
func (s *Scheduler) Yield() (ok bool) {
	s.waiting = append(s.waiting, s.Current)
	pick := slices.IndexFunc(s.waiting, func(t Thread) bool { return t.Futex == 0 })
	if pick < 0 {
		if pick = slices.IndexFunc(s.waiting, func(t Thread) bool { return t.Timed }); pick < 0 {
			return false
		}
		t := &s.waiting[pick]
		t.Futex, t.Timed, t.Regs.RAX = 0, false, timedOut
	}
	s.Current = s.waiting[pick]
	s.waiting = slices.Delete(s.waiting, pick, pick+1)
	return true
}
