package answer

import (
	"context"
	"errors"
	"syscall"

	"instarfs/fusefs/caller"
)

// Errno returns the error number that stands for err in an answer to the kernel, 0 for nil. It is
// the only such table of the mount. A source knows best what its own errors mean, so it puts
// numbers on them: by a method Errno() syscall.Errno, or by wrapping a syscall.Errno. The rows here
// are for the contexts of requests and for errors without a number. ESTALE never stands for an
// error, since an OPEN makes the VFS look a name up again with it. Which numbers leave the mount is
// up to Guard.
func Errno(err error) syscall.Errno {
	var (
		typed interface{ Errno() syscall.Errno }
		plain syscall.Errno
	)
	e := syscall.EIO
	switch {
	case err == nil:
		return 0
	case errors.Is(err, caller.ErrInterrupted):
		return syscall.EINTR
	case errors.Is(err, context.Canceled): // the mount is being ended
		return syscall.ENOTCONN
	case errors.As(err, &typed) && typed.Errno() != 0:
		e = typed.Errno()
	case errors.As(err, &plain) && plain != 0:
		e = plain
	case errors.Is(err, context.DeadlineExceeded):
		return syscall.ETIMEDOUT
	}
	if e == syscall.ESTALE {
		return syscall.EIO
	}
	return e
}

// request is what answer must know of a request: some error numbers mean something special.
type request struct {
	open        bool // an OPEN: of a file, not of a directory
	stale       bool // one that ESTALE suits: the VFS looks the name up again, or hands it on
	interrupted bool // by a signal to its caller
	ending      bool // the mount is being ended
}

// answer is the table of what may leave the mount. Everything else is EIO: a number that a source
// or a library made up may mean something to the kernel (ENOSYS ends a kind of request for the
// whole mount, one past 511 leaves the caller waiting for ever) or to programs (EAGAIN, EINTR: try
// again).
func (r request) answer(e syscall.Errno) syscall.Errno {
	allowed := false
	switch e {
	case 0,
		syscall.ENOENT, syscall.ENOTDIR, syscall.EISDIR, syscall.ELOOP, syscall.ENAMETOOLONG,
		syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.ENOKEY,
		syscall.EIO, syscall.EUCLEAN, syscall.EINVAL, syscall.EFBIG, syscall.EOVERFLOW,
		syscall.EBUSY, syscall.ETIMEDOUT, syscall.ENOMEM, syscall.ENFILE, syscall.EMFILE,
		syscall.ENXIO: // the end of SEEK_DATA
		allowed = true
	case syscall.ESTALE:
		allowed = r.stale
	case syscall.EOPNOTSUPP: // an image, or a view of it, that cannot be shown
		allowed = r.open
	case syscall.EINTR:
		allowed = r.interrupted
	case syscall.ENOTCONN: // programs take it for a mount whose server is dead
		allowed = r.ending
	}
	if !allowed {
		return syscall.EIO
	}
	return e
}

// MayNot reports whether an error says that the caller lacks a right, rather than that something is
// wrong.
func MayNot(err error) bool {
	e := Errno(err)
	return e == syscall.EACCES || e == syscall.EPERM
}

// FailsForAll reports whether an error is not about the caller: no caller can have the map.
func FailsForAll(err error) bool {
	var e interface{ ForAll() bool }
	return errors.As(err, &e) && e.ForAll()
}
