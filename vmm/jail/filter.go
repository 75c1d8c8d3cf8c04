package jail

import "golang.org/x/sys/unix"

// rule matches a system call whose arguments meet all conditions.
type rule struct {
	nr    uint32
	conds []cond
}

// cond is a condition on the low 32 bits of an argument.
type cond struct {
	arg         int
	mask, value uint32
}

// is returns the condition that an argument equals value. The kernel reads an int, so 32 bits
// matter.
func is(arg int, value uint32) cond { return cond{arg, ^uint32(0), value} }

// without returns the condition that an argument has none of bits set.
func without(arg int, bits uint32) cond { return cond{arg, bits, 0} }

// threadFlags are the flags with which the Go runtime makes threads (runtime/os_linux.go,
// cloneFlags). Without CLONE_THREAD clone(2) would make a process.
const threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND |
	unix.CLONE_SYSVSEM | unix.CLONE_THREAD

// The descriptors of a child.
const (
	channelFD = 0 // the stream to the host
	spareFD   = 1 // the log, because the Go runtime wants a descriptor 1 when it starts
	logFD     = 2 // what the Go runtime writes when it panics
	programFD = 3 // the program, until the child executes it
)

// memoryFlags are the flags with which the Go runtime maps memory, apart from MAP_FIXED. The kernel
// counts no other kind of memory against RLIMIT_DATA.
const memoryFlags = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS

// allowed returns the system calls that a guest may make while it runs: what the Go runtime needs
// for memory, threads and locks, and reads and writes of its two descriptors. A guest may signal
// only itself; self is its process number in its own namespace.
func allowed(self int) []rule {
	const readWrite = unix.PROT_READ | unix.PROT_WRITE
	rules := []rule{
		{unix.SYS_READ, []cond{is(0, channelFD)}},
		{unix.SYS_WRITEV, []cond{is(0, channelFD)}},
		{unix.SYS_WRITE, []cond{is(0, logFD)}},
		{unix.SYS_MMAP, []cond{
			without(2, ^uint32(readWrite)),
			{3, ^uint32(unix.MAP_FIXED), memoryFlags},
			is(4, ^uint32(0)),
		}},
		{unix.SYS_CLONE, []cond{{0, ^uint32(unix.CLONE_SETTLS), threadFlags}}},
		{unix.SYS_TGKILL, []cond{is(0, uint32(self))}},
		// FUTEX_WAIT_PRIVATE and FUTEX_WAKE_PRIVATE, which differ by a bit.
		{unix.SYS_FUTEX, []cond{{1, ^uint32(1), futexPrivate}}},
		// CLOCK_MONOTONIC, and CLOCK_REALTIME, which is 0.
		{unix.SYS_CLOCK_GETTIME, []cond{without(0, ^uint32(unix.CLOCK_MONOTONIC))}},
		{unix.SYS_PRCTL, []cond{is(0, unix.PR_SET_VMA)}}, // names memory for /proc/PID/maps
	}
	for _, advice := range []uint32{
		unix.MADV_DONTNEED, unix.MADV_FREE,
		unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE, unix.MADV_COLLAPSE,
	} {
		rules = append(rules, rule{unix.SYS_MADVISE, []cond{is(2, advice)}})
	}
	for _, nr := range []uint32{
		unix.SYS_MUNMAP, unix.SYS_SCHED_YIELD, unix.SYS_NANOSLEEP, unix.SYS_GETPID, unix.SYS_GETTID,
		unix.SYS_SIGALTSTACK, unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN,
		unix.SYS_RESTART_SYSCALL, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
	} {
		rules = append(rules, rule{nr, nil})
	}
	return rules
}

// futexPrivate is FUTEX_PRIVATE_FLAG of include/uapi/linux/futex.h.
const futexPrivate = 128

// handOver returns the system calls with which a child passes the listener of its filter to the
// host, and then forbids these calls.
func handOver() []rule {
	return []rule{
		{unix.SYS_SENDMSG, []cond{is(0, channelFD)}}, {unix.SYS_CLOSE, nil},
		{unix.SYS_PRLIMIT64, []cond{is(0, 0)}}, {unix.SYS_SECCOMP, nil},
	}
}

// takenBack returns the calls of handOver with any arguments. They are forbidden afterwards.
func takenBack() (rules []rule) {
	for _, r := range handOver() {
		rules = append(rules, rule{r.nr, nil})
	}
	return rules
}

// Offsets in struct seccomp_data.
const (
	nrOffset   = 0
	archOffset = 4
	argOffset  = 16 // of six u64
)

// The BPF instructions that filters use.
const (
	loadWord    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	and         = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	jumpEqual   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	jumpAtLeast = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	ret         = unix.BPF_RET | unix.BPF_K
)

// filter returns a filter that answers calls that match a rule with then, and all others with
// otherwise. It kills a process that uses the ABI of another machine.
func filter(rules []rule, then, otherwise uint32) []unix.SockFilter {
	f := []unix.SockFilter{
		{Code: loadWord, K: archOffset},
		{Code: jumpEqual, K: auditArch, Jt: 1},
		{Code: ret, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: loadWord, K: nrOffset},
	}
	if foreignFrom > 0 {
		f = append(f, unix.SockFilter{Code: jumpAtLeast, K: foreignFrom, Jf: 1},
			unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_KILL_PROCESS})
	}
	for _, r := range rules {
		var body []unix.SockFilter
		for i, c := range r.conds {
			left := uint8(3 * (len(r.conds) - i - 1)) // instructions of the other conditions
			body = append(body,
				unix.SockFilter{Code: loadWord, K: argOffset + 8*uint32(c.arg)},
				unix.SockFilter{Code: and, K: c.mask},
				unix.SockFilter{Code: jumpEqual, K: c.value, Jf: left + 1})
		}
		body = append(body, unix.SockFilter{Code: ret, K: then})
		f = append(f, unix.SockFilter{Code: jumpEqual, K: r.nr, Jf: uint8(len(body))})
		f = append(f, body...)
		if len(r.conds) > 0 {
			f = append(f, unix.SockFilter{Code: loadWord, K: nrOffset}) // an argument replaced it
		}
	}
	return append(f, unix.SockFilter{Code: ret, K: otherwise})
}
