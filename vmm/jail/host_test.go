package jail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"instarfs/vmm/jail/jailtest"
	"instarfs/vmm/session"
)

// asHost makes the test binary a host of guests: it does the deeds of this list, by name and in
// this order, with the hostile guest on its standard input.
const asHost = "INSTARFS_TEST_JAIL_HOST"

// otherHost is a program that is a host, which does some deeds.
func otherHost(t *testing.T, deeds ...string) *exec.Cmd {
	t.Helper()
	if _, err := hostileProgram(); err != nil {
		t.Fatal(err)
	}
	program, err := os.Open(hostileName())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	// By its own name no other user could execute it: the go command keeps it in a private
	// directory.
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asHost+"="+strings.Join(deeds, " "), "GORACE=atexit_sleep_ms=10")
	cmd.Stdin, cmd.Stderr = program, os.Stderr
	return cmd
}

// host is such a program.
type host struct {
	program []byte
	pool    *Pool
	missing string
}

func beHost(list string) (err error) {
	h := &host{}
	if h.program, err = io.ReadAll(os.Stdin); err != nil {
		return err
	}
	for _, name := range strings.Fields(list) {
		deed := deeds[name]
		if deed == nil {
			return fmt.Errorf("there is no deed %s", name)
		}
		if err := deed(h); err != nil {
			return err
		}
	}
	return nil
}

// deeds are what a host of a test may be asked to do. An error ends it.
var deeds = map[string]func(*host) error{
	"open":    (*host).open,
	"serve":   (*host).serve,
	"fail":    (*host).fail,
	"endless": (*host).endless,

	"descriptors": (*host).descriptors,
	"leak":        leak,

	"lock-out-close-range":     denying(unix.ENOSYS, rule{unix.SYS_CLOSE_RANGE, nil}),
	"lock-out-exec":            denying(unix.EPERM, rule{unix.SYS_EXECVEAT, nil}),
	"lock-out-user-namespaces": denying(unix.EPERM, with(unix.SYS_CLONE, 0, unix.CLONE_NEWUSER)),
	"lock-out-namespaces": denying(unix.EPERM,
		with(unix.SYS_CLONE, 0, unix.CLONE_NEWUSER), with(unix.SYS_CLONE, 0, unix.CLONE_NEWPID)),
	"lock-out-mounts":   denying(unix.EPERM, rule{unix.SYS_MOUNT, nil}),
	"lock-out-landlock": denying(unix.EPERM, rule{unix.SYS_LANDLOCK_CREATE_RULESET, nil}),
	"lock-out-reports": denying(unix.EPERM,
		with(unix.SYS_SECCOMP, 1, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)),
	"lock-out-seccomp": denying(unix.EPERM, rule{unix.SYS_SECCOMP, nil}),
	// As a limit of processes would: that would strike the threads of this program, too.
	"lock-out-processes": denying(unix.EAGAIN,
		rule{unix.SYS_CLONE, []cond{without(0, unix.CLONE_THREAD)}}),

	"addresses-4g": limiting(unix.RLIMIT_AS, 4<<30),
	// No descriptor is lower, and free.
	"no-files":   limiting(unix.RLIMIT_NOFILE, 3),
	"many-files": limiting(unix.RLIMIT_NOFILE, 1000),
	"empty-root": emptyDirectory,
}

// open makes the pool.
func (h *host) open() (err error) {
	h.pool, err = NewPool(Options{
		Program: bytes.NewReader(h.program),
		Host:    session.NewHost(session.Options{Budget: testBudget}),
		Started: func(m Measures) { h.missing = m.Missing() },
	})
	return err
}

// serve has good and bad guests run, and says what the latter are confined without.
func (h *host) serve() error {
	ctx := context.Background()
	if h.pool == nil {
		if err := h.open(); err != nil {
			return err
		}
	}
	for range 2 {
		if l, err := h.pool.Run(ctx, does{}.good().job()); err != nil || l.VirtualSize != 4096 {
			return fmt.Errorf("a good guest: %w", err)
		}
	}
	own, sigkill := os.Getpid(), int(unix.SIGKILL)
	for _, bad := range []struct {
		do   does
		kind session.Kind
	}{
		{does{}.call(unix.SYS_OPENAT, unix.AT_FDCWD, "/", 0).good(), session.KindSyscall},
		{does{}.call(unix.SYS_KILL, own, sigkill).good(), session.KindSyscall},
		{does{}.call(unix.SYS_TGKILL, own, own, sigkill).good(), session.KindSyscall},
		{does{}.add(jailtest.Crash, 0, nil), session.KindExit},
	} {
		_, err := h.pool.Run(ctx, bad.do.job())
		var g *session.GuestError
		if !errors.As(err, &g) || g.Kind != bad.kind {
			return fmt.Errorf("want %v: %w", bad.kind, err)
		}
	}
	fmt.Printf("served without: %s\n", h.missing)
	return nil
}

// fail has guests run where none can be started. Some may be ready.
func (h *host) fail() (err error) {
	for range 3 {
		if _, err = h.pool.Run(context.Background(), does{}.good().job()); err != nil {
			break
		}
	}
	if !errors.Is(err, session.ErrNoGuest) || strings.Contains(err.Error(), "\n") {
		return fmt.Errorf("want no guest: %w", err)
	}
	fmt.Println(err)
	return nil
}

// leak opens a file that programs which this one executes inherit.
func leak(*host) error {
	_, err := unix.Open("/proc/self/status", unix.O_RDONLY, 0)
	return err
}

// descriptors prints those of a child that waits for its job.
func (h *host) descriptors() error {
	if err := h.open(); err != nil {
		return err
	}
	c, err := h.pool.spawn()
	if err != nil {
		return err
	}
	defer c.close()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.pid))
	if err != nil {
		return err
	}
	for _, e := range list {
		fmt.Printf("descriptor %s\n", e.Name())
	}
	return nil
}

// endless has a guest run that never ends.
func (h *host) endless() error {
	_, err := h.pool.Run(context.Background(), does{}.add(jailtest.Spin, 2, nil).job())
	return err
}

// with is a system call with an argument that has a bit.
func with(nr uint32, arg int, bit uint32) rule { return rule{nr, []cond{{arg, bit, bit}}} }

// denying is what a service manager or a container runtime does: system calls fail.
func denying(e unix.Errno, rules ...rule) func(*host) error {
	return func(*host) error {
		f := filter(rules, unix.SECCOMP_RET_ERRNO|uint32(e), unix.SECCOMP_RET_ALLOW)
		program := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
		_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
			unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
		if errno != 0 {
			return errno
		}
		return nil
	}
}

// limiting sets a soft limit, and leaves the hard one.
func limiting(resource int, n uint64) func(*host) error {
	return func(*host) error {
		var l unix.Rlimit
		if err := unix.Getrlimit(resource, &l); err != nil {
			return err
		}
		l.Cur = min(n, l.Max)
		if resource == unix.RLIMIT_AS || resource == unix.RLIMIT_DATA {
			l.Max = l.Cur // as with ulimit
		}
		return syscall.Setrlimit(resource, (*syscall.Rlimit)(&l))
	}
}

// emptyDirectory makes a directory without anything the root.
func emptyDirectory(*host) error {
	dir, err := os.MkdirTemp("", "instarfs-empty")
	if err != nil {
		return err
	}
	if err := unix.Chroot(dir); err != nil {
		return err
	}
	return os.Chdir("/")
}
