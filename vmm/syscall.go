package vmm

import (
	"encoding/binary"
	"slices"

	"instarfs/vmm/kvm"
	"instarfs/vmm/session"
	"instarfs/vmm/space"
	"instarfs/vmm/threads"
)

var le = binary.LittleEndian

// System calls of x86-64 Linux (arch/x86/entry/syscalls/syscall_64.tbl) that the Go runtime makes;
// those of constantCalls do not come here.
const (
	_SYS_WRITE             = 1
	_SYS_MMAP              = 9
	_SYS_SCHED_YIELD       = 24
	_SYS_NANOSLEEP         = 35
	_SYS_GETPID            = 39
	_SYS_CLONE             = 56
	_SYS_EXIT              = 60
	_SYS_PRCTL             = 157
	_SYS_ARCH_PRCTL        = 158
	_SYS_GETTID            = 186
	_SYS_FUTEX             = 202
	_SYS_SCHED_GETAFFINITY = 204
	_SYS_EXIT_GROUP        = 231
	_SYS_TGKILL            = 234
	_SYS_OPENAT            = 257

	_EPERM, _ENOENT, _EAGAIN, _ENOMEM, _EFAULT, _EINVAL, _ETIMEDOUT = 1, 2, 11, 12, 14, 22, 110

	_ARCH_SET_FS  = 0x1002
	_FUTEX_WAIT   = 0
	_FUTEX_WAKE   = 1
	_FUTEX_CMD    = 0x7f // the command without FUTEX_PRIVATE_FLAG
	_PROT_NONE    = 0
	_CLONE_SETTLS = 0x80000
)

func errno(e int64) uint64 { return uint64(-e) }

// process is the state behind the system calls of one guest program: what a kernel would keep.
type process struct {
	pages    *space.Paging
	threads  threads.Scheduler
	mmapNext uint64
	lazy     []span // mappings that get memory where they are touched
	starved  bool   // memory was asked for and there was none
	log      []byte
}

// span is a range [start, end) of guest-virtual addresses.
type span struct{ start, end uint64 }

// clone copies p for a machine with other pages, or for a snapshot.
func (p *process) clone(pages *space.Paging) *process {
	c := *p
	c.pages = pages
	c.threads = p.threads.Clone()
	c.lazy = slices.Clone(p.lazy)
	c.log = nil
	return &c
}

// syscall answers the call in r and sets r to where the program goes on, which may be another
// thread. A call that the Go runtime does not make ends the run.
func (p *process) syscall(r *kvm.Regs) *session.GuestError {
	nr := r.RAX
	// What SYSRET would do.
	r.RIP, r.RFLAGS = r.RCX, r.R11&userFlags|rflagsReserved
	switch nr {
	case _SYS_WRITE:
		r.RAX = p.write(r.RDI, r.RSI, r.RDX)
	case _SYS_MMAP:
		r.RAX = p.mmap(r.RDI, r.RSI, r.RDX)
	case _SYS_PRCTL:
		r.RAX = errno(_EINVAL)
	case _SYS_OPENAT:
		r.RAX = errno(_ENOENT)
	case _SYS_GETPID:
		r.RAX = 1
	case _SYS_GETTID:
		r.RAX = p.threads.Current.ID
	case _SYS_ARCH_PRCTL:
		if r.RDI != _ARCH_SET_FS || r.RSI >= space.SystemVA {
			r.RAX = errno(_EINVAL)
			break
		}
		p.threads.Current.FS, r.RAX = r.RSI, 0
	case _SYS_SCHED_GETAFFINITY:
		// One processor: the mask is one word.
		r.RAX = p.out(r.RDX, 1, 8)
	case _SYS_CLONE:
		child := *r
		child.RAX, child.RSP = 0, r.RSI
		fs := p.threads.Current.FS
		if r.RDI&_CLONE_SETTLS != 0 {
			fs = r.R8
		}
		if fs >= space.SystemVA {
			r.RAX = errno(_EPERM)
			break
		}
		if r.RAX = p.threads.Spawn(child, fs); r.RAX == 0 {
			r.RAX = errno(_EAGAIN)
		}
	case _SYS_FUTEX:
		return p.futex(r)
	case _SYS_SCHED_YIELD, _SYS_NANOSLEEP:
		r.RAX = 0
		return p.switchThread(r)
	case _SYS_EXIT, _SYS_EXIT_GROUP:
		if p.starved {
			return outOfMemory()
		}
		return session.Errorf(session.KindExit, "the program ended with status %d", uint8(r.RDI))
	case _SYS_TGKILL:
		return session.Errorf(session.KindExit, "the program raised signal %d", r.RDX)
	default:
		return session.Errorf(session.KindSyscall, "system call %d", nr)
	}
	return nil
}

// write keeps what goes to stderr and accepts what goes elsewhere.
func (p *process) write(fd, va, n uint64) uint64 {
	if fd != 2 {
		return n
	}
	b := make([]byte, min(n, uint64(session.MaxLog-len(p.log))))
	p.touch(va, len(b))
	if err := p.pages.Read(va, b); err != nil {
		return errno(_EFAULT)
	}
	p.log = append(p.log, b...)
	return n
}

// mmap gives memory to [addr, addr+n), or to the next free range where addr is 0. A reservation
// (PROT_NONE) takes none.
func (p *process) mmap(addr, n, prot uint64) uint64 {
	n = (n + space.PageLen - 1) &^ (space.PageLen - 1)
	if n == 0 || n > space.SystemVA || addr%space.PageLen != 0 {
		return errno(_EINVAL)
	}
	if addr == 0 {
		addr = p.mmapNext
		p.mmapNext += n
	}
	if addr > space.SystemVA-n || p.mmapNext > space.SystemVA-space.MmapVA {
		return errno(_ENOMEM)
	}
	if prot == _PROT_NONE {
		return addr
	}
	if n > space.EagerLen {
		if len(p.lazy) == maxLazy {
			return errno(_ENOMEM)
		}
		p.lazy = append(p.lazy, span{addr, addr + n})
		return addr
	}
	if err := p.pages.MapRange(addr, n, space.UserWrite); err != nil {
		p.starved = true
		return errno(_ENOMEM)
	}
	return addr
}

// maxLazy bounds the mappings that are backed by faults. The Go runtime makes one.
const maxLazy = 64

// fault gives memory to the place of a lazy mapping where the program touched it. ok is false when
// there is none.
func (p *process) fault(va uint64) (ok bool, err *session.GuestError) {
	for _, s := range p.lazy {
		if va < s.start || va >= s.end {
			continue
		}
		from := max(s.start, va&^(space.FaultLen-1))
		if p.pages.MapRange(from, min(s.end, from+space.FaultLen)-from, space.UserWrite) != nil {
			return false, outOfMemory()
		}
		return true, nil
	}
	return false, nil
}

// touch does for a system call what the program's own access to n bytes would: lazy mappings, which
// all lie below systemVA, get memory there.
func (p *process) touch(va uint64, n int) {
	for end := min(va+uint64(n), space.SystemVA); va < end; va = va&^(space.PageLen-1) +
		space.PageLen {
		if _, ok := p.pages.Physical(va, 0); !ok {
			_, _ = p.fault(va) // the call fails where there is still nothing
		}
	}
}

func outOfMemory() *session.GuestError {
	return session.Errorf(session.KindMemory, "the program needs more than the %d MiB that it has",
		space.EndFrame>>20)
}

// out stores a word where the program asked for it, and returns ok.
func (p *process) out(va, word, ok uint64) uint64 {
	var b [8]byte
	le.PutUint64(b[:], word)
	p.touch(va, len(b))
	if err := p.pages.Write(va, b[:]); err != nil {
		return errno(_EFAULT)
	}
	return ok
}

func (p *process) futex(r *kvm.Regs) *session.GuestError {
	switch r.RSI & _FUTEX_CMD {
	case _FUTEX_WAKE:
		r.RAX = p.threads.Wake(r.RDI, r.RDX)
	case _FUTEX_WAIT:
		var b [4]byte
		p.touch(r.RDI, len(b))
		if err := p.pages.Read(r.RDI, b[:]); err != nil || r.RDI == 0 {
			r.RAX = errno(_EFAULT)
			break
		}
		if le.Uint32(b[:]) != uint32(r.RDX) {
			r.RAX = errno(_EAGAIN)
			break
		}
		r.RAX = 0
		p.threads.Current.Futex, p.threads.Current.Timed = r.RDI, r.R10 != 0
		return p.switchThread(r)
	default:
		r.RAX = errno(_EINVAL)
	}
	return nil
}

// switchThread parks the current thread, whose registers are in r, and puts those of the next one
// there.
func (p *process) switchThread(r *kvm.Regs) *session.GuestError {
	p.threads.Current.Regs = *r
	if !p.threads.Yield() {
		return session.Errorf(session.KindDeadlock, "every thread of the program waits")
	}
	*r = p.threads.Current.Regs
	return nil
}
