package jail

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// sysCall is a system call as a filter sees it: struct seccomp_data.
type sysCall struct {
	nr   uint32
	arch uint32
	args [6]uint64
}

// word is the 32 bits at an offset of the struct.
func (c sysCall) word(off uint32) uint32 {
	switch {
	case off == nrOffset:
		return c.nr
	case off == archOffset:
		return c.arch
	case off < argOffset || off >= argOffset+48 || off%4 != 0:
		panic(fmt.Sprintf("load at %d", off))
	}
	return uint32(c.args[(off-argOffset)/8] >> (off % 8 * 8))
}

// answer runs a filter. It panics where the kernel would refuse it: at the end, or at an
// instruction that it does not have.
func answer(f []unix.SockFilter, c sysCall) uint32 {
	var a uint32
	for at := 0; ; at++ {
		i := f[at]
		jump := func(yes bool) {
			if yes {
				at += int(i.Jt)
			} else {
				at += int(i.Jf)
			}
		}
		switch i.Code {
		case loadWord:
			a = c.word(i.K)
		case and:
			a &= i.K
		case jumpEqual:
			jump(a == i.K)
		case jumpAtLeast:
			jump(a >= i.K)
		case ret:
			return i.K
		default:
			panic(fmt.Sprintf("instruction %d has code %#x", at, i.Code))
		}
	}
}

const (
	allow  = unix.SECCOMP_RET_ALLOW
	kill   = unix.SECCOMP_RET_KILL_PROCESS
	report = unix.SECCOMP_RET_USER_NOTIF
)

const testSelf = 42

var testFilter = filter(allowed(testSelf), allow, report)

// ask is what testFilter answers.
func ask(nr uint32, args ...uint64) uint32 {
	c := sysCall{nr: nr, arch: auditArch}
	copy(c.args[:], args)
	return answer(testFilter, c)
}

const minusOne = ^uint64(0)

// usual are the system calls of a guest and arguments that the Go runtime or the guest passes.
var usual = map[uint32][][]uint64{
	unix.SYS_READ:   {{0}},
	unix.SYS_WRITEV: {{0}},
	unix.SYS_WRITE:  {{2}},
	unix.SYS_MMAP: {
		{0, 4096, 0, 0x22, minusOne}, {0, 4096, 3, 0x22, minusOne},
		{1 << 20, 4096, 3, 0x32, minusOne},
	},
	unix.SYS_CLONE:         {{0x50f00}, {0x50f00 | unix.CLONE_SETTLS}},
	unix.SYS_PRCTL:         {{0x53564d41}},
	unix.SYS_TGKILL:        {{testSelf, 43, 6}},
	unix.SYS_FUTEX:         {{0, 128}, {0, 129}},
	unix.SYS_CLOCK_GETTIME: {{0}, {1}},
	unix.SYS_MADVISE:       {{0, 0, 4}, {0, 0, 8}, {0, 0, 14}, {0, 0, 15}, {0, 0, 25}},

	unix.SYS_MUNMAP: {{}}, unix.SYS_SCHED_YIELD: {{}}, unix.SYS_NANOSLEEP: {{}},
	unix.SYS_GETPID: {{}}, unix.SYS_GETTID: {{}}, unix.SYS_SIGALTSTACK: {{}},
	unix.SYS_RT_SIGACTION:   {{}},
	unix.SYS_RT_SIGPROCMASK: {{}}, unix.SYS_RT_SIGRETURN: {{}}, unix.SYS_RESTART_SYSCALL: {{}},
	unix.SYS_EXIT: {{}}, unix.SYS_EXIT_GROUP: {{}},
}

// TestFilterAllowsTheUsual: every call of usual is allowed, and no number that is not there,
// whatever its arguments.
func TestFilterAllowsTheUsual(t *testing.T) {
	for nr := range uint32(1000) {
		calls, ok := usual[nr]
		for _, args := range calls {
			if a := ask(nr, args...); a != allow {
				t.Errorf("call %d %#x: %#x", nr, args, a)
			}
		}
		if ok {
			continue
		}
		for _, v := range []uint64{0, 1, 2, testSelf, minusOne} {
			if a := ask(nr, v, v, v, v, v, v); a != report {
				t.Errorf("call %d with arguments %#x: %#x", nr, v, a)
			}
		}
	}
}

// TestFilterConditions: a usual call with one argument changed is refused, unless the kernel does
// not look at what changed. All arguments with a condition are ints to the kernel, or flags of
// which it knows no more than 32 bits.
func TestFilterConditions(t *testing.T) {
	for _, test := range []struct {
		name string
		nr   uint32
		args []uint64
	}{
		{"read of the log", unix.SYS_READ, []uint64{2}},
		{"read of nothing", unix.SYS_READ, []uint64{minusOne}},
		{"write to the channel", unix.SYS_WRITE, []uint64{0}},
		{"write to standard output", unix.SYS_WRITE, []uint64{1}},
		{"writev to the log", unix.SYS_WRITEV, []uint64{2}},
		{"executable memory", unix.SYS_MMAP, []uint64{0, 4096, 7, 0x22, minusOne}},
		{"executable memory only", unix.SYS_MMAP, []uint64{0, 4096, 4, 0x22, minusOne}},
		{"unknown protection", unix.SYS_MMAP, []uint64{0, 4096, 0x01000003, 0x22, minusOne}},
		{"memory of a descriptor", unix.SYS_MMAP, []uint64{0, 4096, 3, 0x22, 0}},
		{"shared memory", unix.SYS_MMAP, []uint64{0, 4096, 3, 0x21, minusOne}},
		{"memory of a file", unix.SYS_MMAP, []uint64{0, 4096, 3, 0x02, minusOne}},
		{"huge pages", unix.SYS_MMAP, []uint64{0, 4096, 3, 0x40022, minusOne}},
		{"stack", unix.SYS_MMAP, []uint64{0, 4096, 3, 0x20122, minusOne}},
		{"locked memory", unix.SYS_MMAP, []uint64{0, 4096, 3, 0x2022, minusOne}},
		{"droppable memory", unix.SYS_MMAP, []uint64{0, 4096, 3, 0x28, minusOne}},
		{"process", unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}},
		{"vfork", unix.SYS_CLONE, []uint64{unix.CLONE_VM | unix.CLONE_VFORK | 17}},
		{"thread in a namespace", unix.SYS_CLONE, []uint64{0x50f00 | unix.CLONE_NEWNET}},
		{"thread with files of its own", unix.SYS_CLONE, []uint64{0x50f00 &^ unix.CLONE_FILES}},
		{"traced thread", unix.SYS_CLONE, []uint64{0x50f00 | unix.CLONE_PTRACE}},
		{"thread and its descriptor", unix.SYS_CLONE, []uint64{0x50f00 | unix.CLONE_PIDFD}},
		{"signal to the parent", unix.SYS_TGKILL, []uint64{testSelf - 1, testSelf - 1, 9}},
		{"signal to nobody", unix.SYS_TGKILL, []uint64{0, 0, 9}},
		{"signal to all", unix.SYS_TGKILL, []uint64{minusOne, minusOne, 9}},
		{"shared futex", unix.SYS_FUTEX, []uint64{0, 0}},
		{"requeue", unix.SYS_FUTEX, []uint64{0, 128 | 3}},
		{"lock with priorities", unix.SYS_FUTEX, []uint64{0, 128 | 6}},
		{"wait by the clock", unix.SYS_FUTEX, []uint64{0, 128 | 256}},
		{"clock of a process", unix.SYS_CLOCK_GETTIME, []uint64{minusOne &^ 1}},
		{"clock of processor time", unix.SYS_CLOCK_GETTIME, []uint64{2}},
		{"memory that is merged", unix.SYS_MADVISE, []uint64{0, 0, 12}},
		{"poisoned memory", unix.SYS_MADVISE, []uint64{0, 0, 100}},
		{"dumpable", unix.SYS_PRCTL, []uint64{unix.PR_SET_DUMPABLE, 1}},
		{"seccomp by prctl", unix.SYS_PRCTL, []uint64{unix.PR_SET_SECCOMP, 2}},
		{"tracer", unix.SYS_PRCTL, []uint64{unix.PR_SET_PTRACER, minusOne}},
		{"death signal", unix.SYS_PRCTL, []uint64{unix.PR_SET_PDEATHSIG, 0}},
	} {
		if a := ask(test.nr, test.args...); a != report {
			t.Errorf("%s: %#x", test.name, a)
		}
	}
	for nr, calls := range usual {
		for _, args := range calls {
			for i := range args {
				high := slices.Clone(args)
				high[i] ^= 1 << 40
				if a := ask(nr, high...); a != allow {
					t.Errorf("call %d %#x: %#x", nr, high, a)
				}
			}
		}
	}
}

// TestFilterOfOtherABIs: what is no call of this machine's ABI kills, the usual numbers included.
func TestFilterOfOtherABIs(t *testing.T) {
	for _, nr := range append(slices.Collect(maps.Keys(usual)), 1000) {
		for _, arch := range []uint32{
			unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_PPC64LE, 0,
		} {
			if a := answer(testFilter, sysCall{nr: nr, arch: arch}); a != kill {
				t.Errorf("call %d of architecture %#x: %#x", nr, arch, a)
			}
		}
		for _, bit := range []uint32{0x40000000, 0x80000000, 0xc0000000} {
			if a := ask(nr | bit); foreignFrom > 0 && a != kill {
				t.Errorf("call %#x: %#x", nr|bit, a)
			}
		}
	}
}

// TestFilterOfTheStart: what a child needs to hand its listener over is allowed then and killed
// afterwards, and nothing else is.
func TestFilterOfTheStart(t *testing.T) {
	during := filter(append(allowed(testSelf), handOver()...), allow, report)
	after := filter(takenBack(), kill, allow)
	both := func(nr uint32, args ...uint64) (first, second uint32) {
		c := sysCall{nr: nr, arch: auditArch}
		copy(c.args[:], args)
		return answer(during, c), answer(after, c)
	}
	taken := []uint32{unix.SYS_SENDMSG, unix.SYS_CLOSE, unix.SYS_PRLIMIT64, unix.SYS_SECCOMP}
	for nr := range uint32(1000) {
		first, second := both(nr)
		if slices.Contains(taken, nr) {
			if first != allow || second != kill {
				t.Errorf("call %d: %#x, then %#x", nr, first, second)
			}
		} else if first != ask(nr) || second != allow {
			t.Errorf("call %d: %#x, then %#x", nr, first, second)
		}
	}
	if first, _ := both(unix.SYS_SENDMSG, 3); first != report {
		t.Errorf("sendmsg to another descriptor: %#x", first)
	}
	if first, _ := both(unix.SYS_PRLIMIT64, 1); first != report {
		t.Errorf("limits of another process: %#x", first)
	}
}
