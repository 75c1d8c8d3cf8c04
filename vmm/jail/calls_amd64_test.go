package jail

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/vmm/jail/jailtest"
	"instarfs/vmm/session"
)

// TestForbiddenCalls: each guest makes a system call which is none of its own. Were it made,
// whether with success or not, the run would end well.
func TestForbiddenCalls(t *testing.T) {
	var list []hostile
	const shared = unix.MAP_SHARED | unix.MAP_ANONYMOUS
	refused := func(name string, nr uint64, args ...any) {
		list = append(list, hostile{name, does{}.call(nr, args...).good(), session.KindSyscall,
			fmt.Sprintf("forbidden system call: system call %d (at 0x", nr)})
	}
	killed := func(name string, do does) {
		list = append(list, hostile{name, do.good(), session.KindSyscall,
			"a system call that is not answered"})
	}
	null := string([]byte{0})
	address := make([]byte, 16) // struct sockaddr_in
	copy(address, []byte{unix.AF_INET, 0, 0, 80, 127, 0, 0, 1})
	argv := make([]byte, 16)

	refused("open", unix.SYS_OPEN, "/etc/passwd", 0, 0)
	refused("openat", unix.SYS_OPENAT, unix.AT_FDCWD, "/etc/passwd", 0, 0)
	refused("openat2", unix.SYS_OPENAT2, unix.AT_FDCWD, "/etc/passwd", make([]byte, 24), 24)
	refused("stat", unix.SYS_STAT, "/", make([]byte, 256))
	refused("getcwd", unix.SYS_GETCWD, make([]byte, 256), 256)
	refused("chroot", unix.SYS_CHROOT, "/")
	refused("mount", unix.SYS_MOUNT, "none", "/", "tmpfs", 0, 0)
	refused("unshare", unix.SYS_UNSHARE, unix.CLONE_NEWUSER)
	refused("setns", unix.SYS_SETNS, 0, 0)
	refused("socket", unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)
	refused("socketpair", unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_STREAM, 0, make([]byte, 8))
	refused("connect", unix.SYS_CONNECT, 0, address, len(address))
	refused("sendto", unix.SYS_SENDTO, 0, "x", 1, 0, address, len(address))
	refused("recvmsg", unix.SYS_RECVMSG, 0, make([]byte, 56), 0)
	refused("shutdown", unix.SYS_SHUTDOWN, 0, 2)
	refused("pipe2", unix.SYS_PIPE2, make([]byte, 8), 0)
	refused("dup", unix.SYS_DUP, 0)
	refused("fcntl", unix.SYS_FCNTL, 0, unix.F_SETFL, unix.O_NONBLOCK)
	refused("ioctl", unix.SYS_IOCTL, 0, 0x541b, make([]byte, 8))
	refused("execve", unix.SYS_EXECVE, "/bin/sh", argv, argv)
	refused("execveat", unix.SYS_EXECVEAT, programFD, null, argv, argv, unix.AT_EMPTY_PATH)
	refused("fork", unix.SYS_FORK)
	refused("vfork", unix.SYS_VFORK)
	refused("clone without a thread", unix.SYS_CLONE, int(unix.SIGCHLD), 0, 0, 0, 0)
	refused("clone3", unix.SYS_CLONE3, make([]byte, 88), 88)
	refused("ptrace", unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0, 0)
	refused("kill of the parent", unix.SYS_KILL, 0, int(unix.SIGKILL))
	refused("kill of process 1", unix.SYS_KILL, 1, int(unix.SIGKILL))
	refused("kill of all", unix.SYS_KILL, -1, int(unix.SIGKILL))
	refused("tkill", unix.SYS_TKILL, 1, 0)
	refused("tgkill of another", unix.SYS_TGKILL, 2, 2, 0)
	refused("rt_tgsigqueueinfo", unix.SYS_RT_TGSIGQUEUEINFO, 1, 1, 10, make([]byte, 128))
	refused("pidfd_open", unix.SYS_PIDFD_OPEN, 1, 0)
	refused("process_vm_readv", unix.SYS_PROCESS_VM_READV, 1, argv, 1, argv, 1, 0)
	refused("executable memory", unix.SYS_MMAP, 0, 4096, 7, memoryFlags, -1, 0)
	refused("shared memory", unix.SYS_MMAP, 0, 128<<20, 3, shared, -1, 0)
	refused("memory of a descriptor", unix.SYS_MMAP, 0, 4096, 3, unix.MAP_PRIVATE, 0, 0)
	refused("mprotect", unix.SYS_MPROTECT, 0, 0, unix.PROT_EXEC)
	refused("mremap", unix.SYS_MREMAP, 0, 0, 4096, 0)
	refused("brk", unix.SYS_BRK, 0)
	refused("mlock", unix.SYS_MLOCK, 0, 0)
	refused("memfd_create", unix.SYS_MEMFD_CREATE, "x", 0)
	refused("shmget", unix.SYS_SHMGET, 0, 4096, 0o1600)
	refused("userfaultfd", unix.SYS_USERFAULTFD, 1)
	refused("io_uring_setup", unix.SYS_IO_URING_SETUP, 8, make([]byte, 120))
	refused("bpf", unix.SYS_BPF, 0, make([]byte, 64), 64)
	refused("perf_event_open", unix.SYS_PERF_EVENT_OPEN, make([]byte, 128), 0, -1, -1, 0)
	refused("keyctl", unix.SYS_KEYCTL, 0, -3, 0)
	refused("add_key", unix.SYS_ADD_KEY, "user", "x", "x", 1, -3)
	refused("personality", unix.SYS_PERSONALITY, 0x40000)
	refused("prctl, dumpable", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	refused("prctl, seccomp", unix.SYS_PRCTL, unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	refused("prctl, death signal", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0, 0, 0, 0)
	refused("capset", unix.SYS_CAPSET, make([]byte, 8), make([]byte, 24))
	refused("setresuid", unix.SYS_SETRESUID, 0, 0, 0)
	refused("setrlimit", unix.SYS_SETRLIMIT, unix.RLIMIT_NOFILE, make([]byte, 16))
	refused("setitimer", unix.SYS_SETITIMER, 0, make([]byte, 32), 0)
	refused("sched_setaffinity", unix.SYS_SCHED_SETAFFINITY, 0, 8, make([]byte, 8))
	refused("getppid", unix.SYS_GETPPID)
	refused("uname", unix.SYS_UNAME, make([]byte, 512))
	refused("landlock", unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, 1)
	refused("a call that no kernel has", 999)
	for _, fd := range []int{1, 3, 4, 5, 63, 1023, -1} {
		refused(fmt.Sprint("read of descriptor ", fd), unix.SYS_READ, fd, make([]byte, 8), 8)
		refused(fmt.Sprint("write to descriptor ", fd), unix.SYS_WRITE, fd, make([]byte, 8), 8)
		refused(fmt.Sprint("writev to descriptor ", fd), unix.SYS_WRITEV, fd, argv, 1)
	}
	refused("write to the channel", unix.SYS_WRITE, channelFD, make([]byte, 8), 8)
	refused("read of the log", unix.SYS_READ, logFD, make([]byte, 8), 8)
	refused("pread64", unix.SYS_PREAD64, channelFD, make([]byte, 8), 8, 0)

	// What the start took, and closed behind itself.
	killed("seccomp", does{}.call(unix.SYS_SECCOMP, 0, 0, 0))
	killed("close", does{}.call(unix.SYS_CLOSE, 7))
	killed("prlimit", does{}.call(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, 0, make([]byte, 16)))
	killed("sendmsg", does{}.call(unix.SYS_SENDMSG, channelFD, make([]byte, 56), 0))

	killed("getpid of x32", does{}.call(0x40000000|unix.SYS_GETPID))
	killed("open of x32", does{}.call(0x40000000|unix.SYS_OPEN, "/etc/passwd", 0))
	killed("getpid of 32-bit x86", does{}.add(jailtest.Foreign, 20, nil))
	killed("exit of 32-bit x86", does{}.add(jailtest.Foreign, 1, nil))

	mustEnd(t, list)
}
