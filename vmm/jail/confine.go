package jail

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
)

// nobody is the user and the group of a child in its own user namespace. Where the host is root,
// it is nobody for everyone.
const nobody = 65534

// Limits of a child. The Go runtime reserves a few hundred MiB of addresses that it never uses,
// so dataLimit bounds the memory that the child may write to. The garbage collector runs long
// before that is used up.
const (
	addressLimit = 1 << 30
	dataLimit    = 96 << 20
	stackLimit   = 1 << 20 // of the first thread, in addition to dataLimit
	threadLimit  = 64      // in a user namespace of its own
	cpuSpare     = 10      // seconds for the child's start, and for a host that is late to stop it
	maxCPU       = 1e6     // seconds
)

// The Go runtime does not start under every limit of addresses: it wants 1.2 GiB, and can do
// without the last part if it gets none of it.
const (
	fewAddresses  = 1 << 30
	manyAddresses = 3 << 29
)

// explain says more of an error of a child that did not start, where a limit of this process is a
// likely cause.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("%w (raise the limit of open files: ulimit -n, LimitNOFILE=)", err)
	case errors.Is(err, unix.EAGAIN):
		return fmt.Errorf("%w (raise the limit of processes: ulimit -u, LimitNPROC=, pids.max)",
			err)
	}
	var own unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &own) != nil || own.Cur <= fewAddresses ||
		own.Cur >= manyAddresses {
		return err
	}
	return fmt.Errorf("the address space is limited to %d MiB, and guests start with at most %d "+
		"or at least %d (ulimit -v): %w",
		own.Cur>>20, fewAddresses>>20, manyAddresses>>20, err)
}

// environment is the child's environment: settings of the Go runtime, and nothing of the host's.
var environment = []string{
	"GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=40MiB", "GODEBUG=asyncpreemptoff=1",
}

// level says which namespaces a child gets, from all to none: as many as the kernel permits.
type level int

// The levels, in the order in which they are tried.
const (
	userNamespace level = iota // namespaces of all kinds, owned by a user namespace
	namespaces                 // the same without a user namespace, which only root can make
	bare                       // none
	levels
)

// flags returns the flags of clone(2) that make the namespaces of a level.
func (l level) flags() uintptr {
	const own = unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS |
		unix.CLONE_NEWNS
	switch l {
	case userNamespace:
		return own | unix.CLONE_NEWUSER
	case namespaces:
		return own
	}
	return 0
}

// Measures says what confines the children of a pool in addition to what every child must have: a
// filter of system calls, no_new_privs, and resource limits.
type Measures struct {
	Namespaces    bool // process numbers, network, IPC, host name and mounts apart from the host's
	UserNamespace bool
	EmptyRoot     bool // no file can be named
	Landlock      bool // no file may be opened, no socket connected
	OtherUser     bool // a child of root is not root
	Reporting     bool // errors give the number of a refused system call

	// Refused is why more was not possible, if the kernel or a policy refused it.
	Refused error
}

// Missing names the measures that are not in force, for people. It returns "" if all are.
func (m Measures) Missing() string {
	list := m.missing(Measures{true, true, true, true, true, true, nil})
	text := strings.Join(list, ", ")
	if text != "" && m.Refused != nil {
		text += fmt.Sprintf(" (%v)", m.Refused)
	}
	return text
}

// missing names the measures that are in force in wanted but not in m.
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

// script is a list of steps, and how to judge their results.
type script struct {
	abi.Steps
	must map[int]string // steps that must succeed, and what they are
	may  map[int]*bool  // steps that need not; the bool becomes false if one of its steps fails
}

func newScript() *script { return &script{must: map[int]string{}, may: map[int]*bool{}} }

// demand adds a step that must succeed.
func (s *script) demand(what string, nr uint64, args ...abi.Arg) int {
	i := s.Add(nr, args...)
	s.must[i] = what
	return i
}

// try adds a step that need not succeed. judge sets ok to whether all steps with that ok succeeded.
func (s *script) try(ok *bool, nr uint64, args ...abi.Arg) int {
	i := s.Add(nr, args...)
	s.may[i] = ok
	*ok = true
	return i
}

// judge checks the results of the steps. The error names the first that had to succeed and did not.
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

// enclose returns the steps whose effect survives the next exec: an empty root, another user,
// limits, no capabilities and no way to gain any, Landlock. closed becomes whether what was
// inherited is closed.
func enclose(l level, root bool, cpu uint64, m *Measures, closed *bool) *script {
	s := newScript()
	s.try(closed, unix.SYS_CLOSE_RANGE, value(programFD+1), value(1<<32-1), value(0))
	s.demand("close the program", unix.SYS_FCNTL,
		value(programFD), value(unix.F_SETFD), value(unix.FD_CLOEXEC))
	if l != bare {
		emptyRoot(s, &m.EmptyRoot)
	}
	// The creator of a user namespace has all capabilities in it, and root has some anyway.
	for c := range uint64(unix.CAP_LAST_CAP + 1) {
		s.Add(unix.SYS_PRCTL, value(unix.PR_CAPBSET_DROP), value(c), value(0), value(0), value(0))
	}
	m.OtherUser = true
	if l == userNamespace || root {
		s.Add(unix.SYS_SETGROUPS, value(0), value(0)) // a user namespace may forbid it
		// If this process is root of a user namespace only, nobody may have no user in it.
		s.try(&m.OtherUser, unix.SYS_SETRESGID, value(nobody), value(nobody), value(nobody))
		s.try(&m.OtherUser, unix.SYS_SETRESUID, value(nobody), value(nobody), value(nobody))
	}
	limit := func(what string, resource int, n uint64) {
		s.limit(what, resource, inherited(resource, n))
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
		// Elsewhere the limit counts the threads of all processes of the user.
		limit("threads", unix.RLIMIT_NPROC, threadLimit)
	}
	header := binary.LittleEndian.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	s.demand("drop capabilities", unix.SYS_CAPSET,
		s.Bytes(append(header, 0, 0, 0, 0)), s.Bytes(make([]byte, 24)))
	s.prctl("no_new_privs", unix.PR_SET_NO_NEW_PRIVS, 1)
	landlock(s, &m.Landlock)
	return s
}

// inherited returns n, or this process's limit if that is lower: a child cannot raise it.
func inherited(resource int, n uint64) uint64 {
	var own unix.Rlimit
	if unix.Getrlimit(resource, &own) == nil {
		n = min(n, own.Max)
	}
	return n
}

// cpuLimit returns the limit of processor time, in seconds, of a child whose run may take d. Only a
// child that computes on several processors reaches it before its run ends.
func cpuLimit(d time.Duration) uint64 {
	return inherited(unix.RLIMIT_CPU, uint64(min(math.Ceil(d.Seconds())+cpuSpare, maxCPU)))
}

// limit adds a step that sets both limits of a resource, the soft and the hard one.
func (s *script) limit(what string, resource int, n uint64) {
	le := binary.LittleEndian
	both := s.Bytes(le.AppendUint64(le.AppendUint64(nil, n), n)) // struct rlimit64
	s.demand("limit of "+what, unix.SYS_PRLIMIT64,
		value(0), value(uint64(resource)), both, value(0))
}

// prctl adds a step that sets an option of the process.
func (s *script) prctl(what string, option, v uint64) {
	s.demand(what, unix.SYS_PRCTL, value(option), value(v), value(0), value(0), value(0))
}

// emptyRoot adds steps that make an empty, read-only file system the root of the mount namespace.
func emptyRoot(s *script, ok *bool) {
	none, slash, dot := s.String("none"), s.String("/"), s.String(".")
	over := s.String("/proc") // a directory that exists: the program was executed by a path in it
	s.try(ok, unix.SYS_MOUNT, none, slash, value(0), value(unix.MS_REC|unix.MS_PRIVATE), value(0))
	s.try(ok, unix.SYS_MOUNT, none, over, s.String("tmpfs"),
		value(unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC),
		s.String("size=4k,nr_inodes=2,mode=555"))
	s.try(ok, unix.SYS_CHDIR, over)
	s.try(ok, unix.SYS_PIVOT_ROOT, dot, dot)
	s.try(ok, unix.SYS_UMOUNT2, dot, value(unix.MNT_DETACH))
	s.try(ok, unix.SYS_CHDIR, slash)
}

// landlock adds steps that forbid everything that this kernel's Landlock can, without exceptions.
func landlock(s *script, ok *bool) {
	attr := landlockAttr(landlockVersion())
	if attr == nil {
		return
	}
	rules := s.try(ok, unix.SYS_LANDLOCK_CREATE_RULESET,
		s.Bytes(attr), value(uint64(len(attr))), value(0))
	s.try(ok, unix.SYS_LANDLOCK_RESTRICT_SELF, abi.ResultOf(rules), value(0))
	s.Add(unix.SYS_CLOSE, abi.ResultOf(rules))
}

// landlockVersion returns the version of this kernel's Landlock, 0 if there is none.
func landlockVersion() int {
	v, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0,
		unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// landlockAttr returns a struct landlock_ruleset_attr that handles everything that a version can:
// accesses to files, to the network, and scopes. It returns nil for version 0.
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

// execute returns the step that executes the program again, in the process that enclose confined.
func execute() *script {
	s := newScript()
	argv := s.Bytes(make([]byte, 16))
	s.Point(argv, 0, s.String("instarfs-guest"))
	envp := s.Bytes(make([]byte, 8*(len(environment)+1)))
	for i, v := range environment {
		s.Point(envp, uint64(8*i), s.String(v))
	}
	s.demand("execute the guest", unix.SYS_EXECVEAT,
		value(programFD), s.String(""), argv, envp, value(unix.AT_EMPTY_PATH))
	return s
}

// lock returns the steps that install the filter. With report, a listener is told of a refused
// system call; its descriptor is the result of the last step. Without, a refused call kills the
// child. self is the child's process number in its own namespace.
func lock(self int, report bool) *script {
	s := newScript()
	s.prctl("not dumpable", unix.PR_SET_DUMPABLE, 0)
	s.prctl("end with the host", unix.PR_SET_PDEATHSIG, uint64(unix.SIGKILL))
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

// seccomp adds a step that installs a filter for all threads.
func seccomp(s *script, f []unix.SockFilter, flags uint64) {
	var b []byte
	for _, i := range f {
		b = binary.LittleEndian.AppendUint16(b, i.Code)
		b = append(b, i.Jt, i.Jf)
		b = binary.LittleEndian.AppendUint32(b, i.K)
	}
	fprog := make([]byte, 16) // struct sock_fprog
	binary.LittleEndian.PutUint16(fprog, uint16(len(f)))
	prog := s.Bytes(fprog)
	s.Point(prog, 8, s.Bytes(b))
	const what = "install a filter of system calls " +
		"(allow seccomp(2) in the container or service that runs this)"
	s.demand(what, unix.SYS_SECCOMP,
		value(unix.SECCOMP_SET_MODE_FILTER), value(flags|unix.SECCOMP_FILTER_FLAG_TSYNC), prog)
}

// noFiles adds a step that keeps the child from opening any more descriptors.
func noFiles(s *script) { s.limit("descriptors", unix.RLIMIT_NOFILE, 0) }

// shut returns the steps that send the listener to the host and forbid the calls that this took.
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
