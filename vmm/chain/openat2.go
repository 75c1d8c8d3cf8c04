package chain

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// CheckOpenat2 reports why openat2(2), which keeps every path of a mount beneath its source, cannot
// be called, and what to do. Kernels before 5.6 lack it, and seccomp filters of old container
// runtimes and of systemd answer ENOSYS or EPERM instead.
func CheckOpenat2() error {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH}
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &how)
	switch err {
	case unix.EXDEV: // the kernel's answer: an absolute path is beneath nothing
		return nil
	case nil:
		unix.Close(fd)
		err = fmt.Errorf("it opened / beneath another directory")
	}
	return fmt.Errorf("openat2, which keeps paths beneath their directory: %w; use Linux 5.6 or newer, "+
		"and allow the call in the seccomp filter (newer runc and libseccomp; systemd: "+
		"SystemCallFilter=openat2, RestrictSUIDSGID=no)", err)
}
