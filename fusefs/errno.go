package fusefs

import (
	"context"
	"errors"
	"syscall"
)

// errnoOf is the one place where an error becomes an error number. Which numbers leave the mount is
// decided by answer. ESTALE is never the answer to an error: Open has the VFS look again by it.
func errnoOf(err error) (e syscall.Errno) {
	var (
		typed interface{ Errno() syscall.Errno }
		plain syscall.Errno
	)
	defer func() {
		if e == syscall.ESTALE {
			e = syscall.EIO
		}
	}()
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errInterrupted):
		return syscall.EINTR
	case errors.Is(err, context.Canceled): // the mount is being ended
		return syscall.ENOTCONN
	case errors.As(err, &typed) && typed.Errno() != 0:
		return typed.Errno()
	case errors.As(err, &plain) && plain != 0:
		return plain
	case errors.Is(err, context.DeadlineExceeded):
		return syscall.ETIMEDOUT
	}
	return syscall.EIO
}

// request is what answer must know of a request: some error numbers mean something special.
type request struct {
	open        bool // an OPEN: of a file, not of a directory
	again       bool // one after which the VFS looks the name up again when it is told ESTALE
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
	case syscall.ESTALE: // the VFS looks the name up again
		allowed = r.again
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
