package chain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/vmm"
	"instarfs/vmm/kvm"
)

// Sentinels that a caller may match.
var (
	// ErrChanging: the file changed during each of several runs.
	ErrChanging = errors.New("the file changes while it is mapped: try again when its writer is done")
	// ErrNotRegular: a directory, FIFO, socket or character device.
	ErrNotRegular = errors.New("not a regular file or block device")
	// ErrReference: the image needs another file.
	ErrReference = errors.New("images that refer to another file are not mapped yet")
	// ErrFormat: no format has the name that was asked for.
	ErrFormat = errors.New("unknown format")
)

// formatError is ErrFormat with the name that was asked for.
type formatError struct{ name string }

func (e formatError) Error() string { return fmt.Sprintf("%v %.40q", ErrFormat, e.name) }
func (e formatError) Unwrap() error { return ErrFormat }

// Error is why an image could not be mapped.
type Error struct {
	Name string // the image, as the user knows it
	Err  error
	// qemu is what qemu-img says of it behind "Could not open 'NAME': ", empty when it says nothing like it.
	qemu string
}

// Error is one line: what was tried, on which file, at which offset, why, and what to do where something can be done.
func (e *Error) Error() string {
	name, text := fmt.Sprintf("%q", e.Name), e.Err.Error()
	if name == `"`+e.Name+`"` && e.Name != "" && !strings.ContainsAny(e.Name, " :") {
		name = e.Name // nothing to quote
	}
	var f *fault.Fault
	if errors.As(e.Err, &f) {
		text = describe(f)
	}
	return "map " + name + ": " + text
}

func (e *Error) Unwrap() error { return e.Err }

// QemuText is what qemu-img prints behind "Could not open 'NAME': " for the same image, empty when there is no such text.
func (e *Error) QemuText() string { return e.qemu }

// describe adds to a fault what to do about it.
func describe(f *fault.Fault) string {
	text := f.Error()
	switch f.Class() {
	case fault.InvalidSource:
		return text + " (choose the format with -f, or leave -f out)"
	case fault.Corrupt:
		return text + " (the image is damaged: restore it, or let qemu-img check -r all repair a copy)"
	}
	return text
}

// Errno is the error number that suits e best for a file system: the one table of its kind.
func (e *Error) Errno() syscall.Errno {
	var f *fault.Fault
	var g *vmm.GuestError
	var errno syscall.Errno
	switch {
	case errors.As(e.Err, &f):
		return classErrno(f.Class())
	case errors.As(e.Err, &g):
		switch {
		case g.Kind == vmm.KindDeadline:
			return unix.ETIMEDOUT
		case g.Kind.Budget():
			return unix.EFBIG
		}
		return unix.EIO
	case errors.Is(e.Err, ErrChanging):
		return unix.EBUSY
	case errors.Is(e.Err, ErrReference), errors.Is(e.Err, ErrFormat):
		return unix.EOPNOTSUPP
	case errors.Is(e.Err, ErrNotRegular):
		return unix.EINVAL
	case errors.Is(e.Err, extent.ErrTooMany):
		return unix.EFBIG
	case errors.Is(e.Err, fs.ErrNotExist):
		return unix.ENOENT
	case errors.Is(e.Err, context.Canceled):
		return unix.EINTR
	case errors.Is(e.Err, context.DeadlineExceeded):
		return unix.ETIMEDOUT
	case errors.Is(e.Err, kvm.ErrNoKVM):
		return unix.EIO
	case errors.As(e.Err, &errno):
		return errno
	}
	return unix.EIO
}

func classErrno(c fault.Class) syscall.Errno {
	switch c {
	case fault.InvalidSource, fault.Corrupt:
		return unix.EUCLEAN
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
