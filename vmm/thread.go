package vmm

import (
	"slices"

	"instarfs/vmm/kvm"
)

// maxThreads bounds the threads of a guest program. The Go runtime makes three.
const maxThreads = 16

// thread is a thread of the guest program that does not have the processor. Vector registers are not kept: threads change
// only inside system calls, and across those Go code holds nothing in them.
type thread struct {
	id   uint64
	regs kvm.Regs
	fs   uint64
	// futex is the address it waits at, 0 when it can run; timed waits may be ended early, as if their time had come.
	futex uint64
	timed bool
}

// scheduler shares the one processor among the threads: it changes at a futex wait, a sleep or a yield and nowhere else.
type scheduler struct {
	current thread
	waiting []thread // all others, the one that ran longest ago first
}

func newScheduler() scheduler { return scheduler{current: thread{id: 1}} }

// clone copies s for a snapshot.
func (s *scheduler) clone() scheduler {
	return scheduler{current: s.current, waiting: slices.Clone(s.waiting)}
}

// spawn adds a thread that will start with r. It returns 0 when there are too many.
func (s *scheduler) spawn(r kvm.Regs, fs uint64) uint64 {
	if len(s.waiting)+1 >= maxThreads {
		return 0
	}
	id := uint64(len(s.waiting)) + 2
	s.waiting = append(s.waiting, thread{id: id, regs: r, fs: fs})
	return id
}

// wake makes up to n threads runnable that wait at a futex, and returns how many.
func (s *scheduler) wake(futex, n uint64) uint64 {
	woken := uint64(0)
	for i := range s.waiting {
		if woken < n && s.waiting[i].futex == futex {
			s.waiting[i].futex, s.waiting[i].timed = 0, false
			woken++
		}
	}
	return woken
}

// yield gives the processor to another thread. s.current has its registers, and says what it waits for. The first thread
// that can run comes next; if there is none, the first whose wait is timed gets its timeout. ok is false when nobody can.
func (s *scheduler) yield() (ok bool) {
	s.waiting = append(s.waiting, s.current)
	pick := slices.IndexFunc(s.waiting, func(t thread) bool { return t.futex == 0 })
	if pick < 0 {
		if pick = slices.IndexFunc(s.waiting, func(t thread) bool { return t.timed }); pick < 0 {
			return false
		}
		t := &s.waiting[pick]
		t.futex, t.timed, t.regs.RAX = 0, false, errno(_ETIMEDOUT)
	}
	s.current = s.waiting[pick]
	s.waiting = slices.Delete(s.waiting, pick, pick+1)
	return true
}
