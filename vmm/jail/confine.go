package jail

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
)

// nobody is the user and the group of a child as it sees itself, and as all see it where the host is
// root.
const nobody = 65534

// Limits of a child. The Go runtime reserves a few hundred MiB of addresses that it never uses;
// what it may write to is dataLimit. Its garbage is collected long before that is used up.
const (
	addressLimit = 1 << 30
	dataLimit    = 96 << 20
	stackLimit   = 1 << 20 // of the first thread, in addition to dataLimit
	threadLimit  = 64      // in a user namespace of its own
	cpuSpare     = 10      // seconds of a child's start, and of what the host is late
	maxCPU       = 1e6     // seconds
)

// The Go runtime does not start under every limit of addresses: it wants 1.2 GiB, and can do without
// the last part if it gets none of it.
const (
	fewAddresses  = 1 << 30
	manyAddresses = 3 << 29
)

// explain says more of an error of a child that did not start, where a limit that it inherited is a
// likely cause.
func explain(err error) error {
	var own unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &own) != nil || own.Cur <= fewAddresses || own.Cur >= manyAddresses {
		return err
	}
	return fmt.Errorf("the address space is limited to %d MiB, and guests start with at most %d or at least %d (ulimit -v): %w",
		own.Cur>>20, fewAddresses>>20, manyAddresses>>20, err)
}

// environment is that of a child: the knobs of the Go runtime, and nothing of the host's.
var environment = []string{"GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=40MiB", "GODEBUG=asyncpreemptoff=1"}

// level is how much of a child's own world the kernel lets a host make, from all to none.
type level int

// The levels, in the order in which they are tried.
const (
	userNamespace level = iota // namespaces of all kinds, owned by a user namespace
	namespaces                 // the same without a user namespace, for which the host must be root
	bare                       // none
	levels
)

// flags are those of clone(2) that make the namespaces of a level.
func (l level) flags() uintptr {
	const own = unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNS
	switch l {
	case userNamespace:
		return own | unix.CLONE_NEWUSER
	case namespaces:
		return own
	}
	return 0
}

// Measures are what confines the children of a pool in addition to the least that they must have: a
// filter of system calls, no_new_privs, and resource limits.
type Measures struct {
	Namespaces    bool // process numbers, network, IPC, host name and mounts of its own
	UserNamespace bool
	EmptyRoot     bool // no file can be named
	Landlock      bool // no file may be opened, no socket connected
	OtherUser     bool // a child of root is not root
	Reporting     bool // the number of a refused system call is known

	// Refused is why more was not possible, if the kernel or a policy refused it.
	Refused error
}

// Missing says what is not in force, in words for people; "" if nothing is missing.
func (m Measures) Missing() string {
	list := m.missing(Measures{true, true, true, true, true, true, nil})
	text := strings.Join(list, ", ")
	if text != "" && m.Refused != nil {
		text += fmt.Sprintf(" (%v)", m.Refused)
	}
	return text
}

// missing names what is in force in wanted and not in m.
func (m Measures) missing(wanted Measures) (list []string) {
	for _, x := range []struct {
		wanted, have bool
		name         string
	}{
		{wanted.UserNamespace, m.UserNamespace, "user namespace"},
		{wanted.Namespaces, m.Namespaces, "namespaces"},
		{wanted.EmptyRoot, m.EmptyRoot, "empty root"},
		{wanted.Landlock, m.Landlock, "Landlock"},
		{wanted.OtherUser, m.OtherUser, "other user"},
		{wanted.Reporting, m.Reporting, "reporting of refused system calls"},
	} {
		if x.wanted && !x.have {
			list = append(list, x.name)
		}
	}
	return list
}

// script is a list of steps and what is made of their results.
type script struct {
	abi.Steps
	must map[int]string // steps that must succeed, and what they are
	may  map[int]*bool  // steps that need not; all of those that share a bool must
}

func newScript() *script { return &script{must: map[int]string{}, may: map[int]*bool{}} }

// demand adds a step that must succeed.
func (s *script) demand(what string, nr uint64, args ...abi.Arg) int {
	i := s.Add(nr, args...)
	s.must[i] = what
	return i
}

// try adds a step that need not succeed; ok becomes whether it and all others with ok did.
func (s *script) try(ok *bool, nr uint64, args ...abi.Arg) int {
	i := s.Add(nr, args...)
	s.may[i] = ok
	*ok = true
	return i
}

// judge looks at the results of the steps.
func (s *script) judge(results []byte) error {
	if len(results) != 8*s.Len() {
		return fmt.Errorf("%d bytes of results for %d steps", len(results), s.Len())
	}
	for i := range s.Len() {
		r := int64(binary.LittleEndian.Uint64(results[8*i:]))
		if r >= 0 {
			continue
		}
		if what, ok := s.must[i]; ok {
			return fmt.Errorf("%s: %w", what, unix.Errno(-r))
		}
		if ok := s.may[i]; ok != nil {
			*ok = false
		}
	}
	return nil
}

func value(v uint64) abi.Arg { return abi.Value(v) }

// enclose sets up all that holds from the next program on: an empty root, another user, limits, no
// capabilities and no way to get any, Landlock.
func enclose(l level, root bool, cpu uint64, m *Measures) *script {
	s := newScript()
	s.Add(unix.SYS_CLOSE_RANGE, value(programFD+1), value(1<<32-1), value(0))
	s.demand("close the program", unix.SYS_FCNTL, value(programFD), value(unix.F_SETFD), value(unix.FD_CLOEXEC))
	if l != bare {
		emptyRoot(s, &m.EmptyRoot)
	}
	// A user namespace gave all capabilities, root has some.
	for c := range uint64(unix.CAP_LAST_CAP + 1) {
		s.Add(unix.SYS_PRCTL, value(unix.PR_CAPBSET_DROP), value(c), value(0), value(0), value(0))
	}
	m.OtherUser = true
	if l == userNamespace || root {
		s.Add(unix.SYS_SETGROUPS, value(0), value(0)) // which a user namespace may forbid
		// Nobody may be nobody in the user namespace that this process is root of.
		s.try(&m.OtherUser, unix.SYS_SETRESGID, value(nobody), value(nobody), value(nobody))
		s.try(&m.OtherUser, unix.SYS_SETRESUID, value(nobody), value(nobody), value(nobody))
	}
	limit := func(what string, resource int, n uint64) {
		n = inherited(resource, n)
		s.demand("limit of "+what, unix.SYS_PRLIMIT64, value(0), value(uint64(resource)), s.Bytes(rlimit(n)), value(0))
	}
	limit("addresses", unix.RLIMIT_AS, addressLimit)
	limit("memory", unix.RLIMIT_DATA, dataLimit)
	limit("stack", unix.RLIMIT_STACK, stackLimit)
	limit("processor time", unix.RLIMIT_CPU, cpu)
	limit("file size", unix.RLIMIT_FSIZE, 0)
	limit("core dumps", unix.RLIMIT_CORE, 0)
	limit("locked memory", unix.RLIMIT_MEMLOCK, 0)
	limit("message queues", unix.RLIMIT_MSGQUEUE, 0)
	if l == userNamespace {
		// Elsewhere it counts what all processes of the user have.
		limit("threads", unix.RLIMIT_NPROC, threadLimit)
	}
	header := binary.LittleEndian.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	s.demand("drop capabilities", unix.SYS_CAPSET, s.Bytes(append(header, 0, 0, 0, 0)), s.Bytes(make([]byte, 24)))
	s.demand("no_new_privs", unix.SYS_PRCTL, value(unix.PR_SET_NO_NEW_PRIVS), value(1), value(0), value(0), value(0))
	landlock(s, &m.Landlock)
	return s
}

// inherited is n, or the limit of this process if that is lower: a child cannot raise it.
func inherited(resource int, n uint64) uint64 {
	var own unix.Rlimit
	if unix.Getrlimit(resource, &own) == nil {
		n = min(n, own.Max)
	}
	return n
}

// cpuLimit is the processor time in seconds of a child whose run may take d. Only a child that
// computes on many processors reaches it before its run ends.
func cpuLimit(d time.Duration) uint64 {
	return inherited(unix.RLIMIT_CPU, uint64(min(math.Ceil(d.Seconds())+cpuSpare, maxCPU)))
}

func rlimit(n uint64) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, n), n)
}

// emptyRoot makes the root of a mount namespace an empty file system that cannot be written.
func emptyRoot(s *script, ok *bool) {
	none, slash, dot := s.String("none"), s.String("/"), s.String(".")
	over := s.String("/proc") // a directory that there is: the program was executed by it
	s.try(ok, unix.SYS_MOUNT, none, slash, value(0), value(unix.MS_REC|unix.MS_PRIVATE), value(0))
	s.try(ok, unix.SYS_MOUNT, none, over, s.String("tmpfs"),
		value(unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC), s.String("size=4k,nr_inodes=2,mode=555"))
	s.try(ok, unix.SYS_CHDIR, over)
	s.try(ok, unix.SYS_PIVOT_ROOT, dot, dot)
	s.try(ok, unix.SYS_UMOUNT2, dot, value(unix.MNT_DETACH))
	s.try(ok, unix.SYS_CHDIR, slash)
}

// landlock forbids all that this kernel's Landlock knows, without an exception.
func landlock(s *script, ok *bool) {
	attr := landlockAttr(landlockVersion())
	if attr == nil {
		return
	}
	rules := s.try(ok, unix.SYS_LANDLOCK_CREATE_RULESET, s.Bytes(attr), value(uint64(len(attr))), value(0))
	s.try(ok, unix.SYS_LANDLOCK_RESTRICT_SELF, abi.ResultOf(rules), value(0))
	s.Add(unix.SYS_CLOSE, abi.ResultOf(rules))
}

// landlockVersion is the version of Landlock in this kernel, 0 if there is none.
func landlockVersion() int {
	v, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// landlockAttr is a struct landlock_ruleset_attr that handles everything of a version: handled
// accesses to files, to the network, and scopes, as far as the version has them.
func landlockAttr(version int) []byte {
	if version < 1 {
		return nil
	}
	fs := uint64(1<<13 - 1)
	for _, more := range []struct {
		since int
		bit   uint
	}{{2, 13}, {3, 14}, {5, 15}} {
		if version >= more.since {
			fs |= 1 << more.bit
		}
	}
	b := binary.LittleEndian.AppendUint64(nil, fs)
	if version >= 4 {
		b = binary.LittleEndian.AppendUint64(b, 1<<2-1)
	}
	if version >= 6 {
		b = binary.LittleEndian.AppendUint64(b, 1<<2-1)
	}
	return b
}

// execute starts the program once more, in what enclose made of the process.
func execute() *script {
	s := newScript()
	argv := s.Bytes(make([]byte, 16))
	s.Point(argv, 0, s.String("instarfs-guest"))
	envp := s.Bytes(make([]byte, 8*(len(environment)+1)))
	for i, v := range environment {
		s.Point(envp, uint64(8*i), s.String(v))
	}
	s.demand("execute the guest", unix.SYS_EXECVEAT, value(programFD), s.String(""), argv, envp, value(unix.AT_EMPTY_PATH))
	return s
}

// lock installs the filter. With report, a system call that it refuses is reported to a listener,
// whose descriptor is the result of the last step; else it kills. self is the process number that the
// child has for itself.
func lock(self int, report bool) *script {
	s := newScript()
	prctl := func(what string, option, v uint64) {
		s.demand(what, unix.SYS_PRCTL, value(option), value(v), value(0), value(0), value(0))
	}
	prctl("not dumpable", unix.PR_SET_DUMPABLE, 0)
	prctl("end with the host", unix.PR_SET_PDEATHSIG, uint64(unix.SIGKILL))
	s.demand("close", unix.SYS_CLOSE, value(spareFD))
	if report {
		rules := append(allowed(self), handOver()...)
		seccomp(s, filter(rules, unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_USER_NOTIF),
			unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH)
		return s
	}
	noFiles(s)
	seccomp(s, filter(allowed(self), unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_KILL_PROCESS), 0)
	return s
}

// seccomp installs a filter for all threads.
func seccomp(s *script, f []unix.SockFilter, flags uint64) {
	var b []byte
	for _, i := range f {
		b = binary.LittleEndian.AppendUint16(b, i.Code)
		b = append(b, i.Jt, i.Jf)
		b = binary.LittleEndian.AppendUint32(b, i.K)
	}
	// struct sock_fprog
	prog := s.Bytes(append(binary.LittleEndian.AppendUint64(nil, uint64(len(f))), make([]byte, 8)...))
	s.Point(prog, 8, s.Bytes(b))
	s.demand("install a filter of system calls (allow seccomp(2) in the container or service that runs this)",
		unix.SYS_SECCOMP, value(unix.SECCOMP_SET_MODE_FILTER), value(flags|unix.SECCOMP_FILTER_FLAG_TSYNC), prog)
}

func noFiles(s *script) {
	s.demand("limit of descriptors", unix.SYS_PRLIMIT64, value(0), value(unix.RLIMIT_NOFILE), s.Bytes(rlimit(0)), value(0))
}

// shut sends the listener to the host and forbids what that took.
func shut(listener uint64) *script {
	s := newScript()
	// struct msghdr with one byte of data, and the descriptor as control data of SCM_RIGHTS.
	data := s.Bytes([]byte{0})
	iov := s.Bytes(binary.LittleEndian.AppendUint64(make([]byte, 8), 1))
	s.Point(iov, 0, data)
	rights := unix.UnixRights(int(listener))
	control := s.Bytes(rights)
	msg := make([]byte, 56)
	binary.LittleEndian.PutUint64(msg[24:], 1)
	binary.LittleEndian.PutUint64(msg[40:], uint64(len(rights)))
	at := s.Bytes(msg)
	s.Point(at, 16, iov)
	s.Point(at, 32, control)
	s.demand("hand over the listener", unix.SYS_SENDMSG, value(channelFD), at, value(0))
	s.demand("close the listener", unix.SYS_CLOSE, value(listener))
	noFiles(s)
	seccomp(s, filter(takenBack(), unix.SECCOMP_RET_KILL_PROCESS, unix.SECCOMP_RET_ALLOW), 0)
	return s
}
