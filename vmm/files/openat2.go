package files

import (
	"errors"
	"fmt"
	"strconv"

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
	return fmt.Errorf("openat2, which keeps paths beneath their directory: %w; "+
		"use Linux 5.6 or newer, and allow the call in the seccomp filter "+
		"(newer runc and libseccomp; systemd: SystemCallFilter=openat2, RestrictSUIDSGID=no)", err)
}

// resolveCached is RESOLVE_CACHED of linux/openat2.h, since Linux 5.12: EAGAIN rather than wait for
// a file system.
const resolveCached = 0x20

// pathFlags are the flags for an O_PATH descriptor of a path, or of the link at its end.
func pathFlags(follow bool) uint64 {
	if follow {
		return unix.O_PATH
	}
	return unix.O_PATH | unix.O_NOFOLLOW
}

// openHow is openat2(2). resolve are RESOLVE flags.
func openHow(dir int, p string, flags, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolve}
	for tries := 0; ; tries++ {
		fd, err := unix.Openat2(dir, p, &how)
		switch {
		case err == unix.EINTR: // a slow file system
		case err == unix.EAGAIN && resolve&resolveCached == 0 && tries < maxTries:
			// A rename somewhere raced with the walk of "..".
		default:
			return fd, err
		}
	}
}

// maxTries is how often a walk is tried again that a rename disturbed: a process that renames all
// the time must not keep a thread.
const maxTries = 1000

// readLink returns the target of the symbolic link that an O_PATH descriptor holds.
func readLink(fd int) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

// ProcFD returns a name in proc(5) for what a descriptor holds, whatever its own name is by now.
func ProcFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// known returns what is known of an open file without asking a server for news.
func known(fd int) (st unix.Statx_t, err error) {
	const flags = unix.AT_EMPTY_PATH | unix.AT_STATX_DONT_SYNC | unix.AT_NO_AUTOMOUNT
	err = unix.Statx(fd, "", flags, unix.STATX_TYPE, &st)
	return st, err
}

// deviceOf returns the file system that an open file lies on (st_dev).
func deviceOf(fd int) (uint64, error) {
	st, err := known(fd)
	return unix.Mkdev(st.Dev_major, st.Dev_minor), err
}

// MountedAt reports whether a file system is mounted at a name in a directory of device dev. It
// does not ask that file system.
func MountedAt(dir int, name string, dev uint64) bool {
	var st unix.Statx_t
	const flags = unix.AT_SYMLINK_NOFOLLOW | unix.AT_STATX_DONT_SYNC | unix.AT_NO_AUTOMOUNT
	err := unix.Statx(dir, name, flags, unix.STATX_TYPE, &st)
	return err == nil && unix.Mkdev(st.Dev_major, st.Dev_minor) != dev
}

// Errno returns the error number that package os wraps in err, path and all. An error without one
// is returned unchanged.
func Errno(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
