package failure

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/vmm/files"
	"instarfs/vmm/image"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
)

// Errno is the error number that suits e best for a file system. This is the only such table.
func (e *Error) Errno() syscall.Errno {
	var f *fault.Fault
	var g *session.GuestError
	var ref *Reference
	var lock *image.LockError
	var errno syscall.Errno
	switch {
	case errors.As(e.Err, &ref) && Refused(ref.Err):
		return unix.EACCES
	case errors.Is(e.Err, ErrLoop), errors.Is(e.Err, ErrDeep):
		return unix.ELOOP
	case errors.Is(e.Err, ErrFiles):
		return unix.EFBIG
	case errors.As(e.Err, &lock):
		return unix.EBUSY
	case errors.As(e.Err, &f):
		return classErrno(f.Class())
	case errors.As(e.Err, &g):
		switch {
		case g.Kind == session.KindDeadline:
			return unix.ETIMEDOUT
		case g.Kind == session.KindKilled:
			return unix.ENOMEM
		case g.Kind.Budget():
			return unix.EFBIG
		}
		return unix.EIO
	case errors.Is(e.Err, ErrChanging):
		return unix.EBUSY
	case errors.Is(e.Err, ledger.ErrFull):
		return unix.ENOMEM
	case errors.Is(e.Err, ErrSlow):
		return unix.ETIMEDOUT
	case errors.Is(e.Err, ErrFormat):
		return unix.EOPNOTSUPP
	case errors.Is(e.Err, files.ErrNotRegular):
		return unix.EINVAL
	case errors.Is(e.Err, extent.ErrTooMany):
		return unix.EFBIG
	case errors.Is(e.Err, fs.ErrNotExist):
		return unix.ENOENT
	case errors.Is(e.Err, context.Canceled):
		return unix.EINTR
	case errors.Is(e.Err, context.DeadlineExceeded):
		return unix.ETIMEDOUT
	case errors.Is(e.Err, session.ErrNoGuest):
		return unix.EIO
	case errors.As(e.Err, &errno):
		return errno
	}
	return unix.EIO
}

// classErrno is the error number for a class of faults.
func classErrno(c fault.Class) syscall.Errno {
	switch c {
	case fault.InvalidSource, fault.Corrupt:
		// Not EUCLEAN, which file systems say of themselves: "Structure needs cleaning" sends
		// people to the fsck of the disk that the image lies on.
		return unix.EIO
	case fault.InvalidOption:
		return unix.EINVAL
	case fault.HasBacking, fault.Unsupported:
		return unix.EOPNOTSUPP
	case fault.LimitExceeded:
		return unix.EFBIG
	case fault.NeedsKey:
		return unix.ENOKEY
	}
	return unix.EIO
}
