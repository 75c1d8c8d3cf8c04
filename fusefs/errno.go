package fusefs

import (
	"context"
	"errors"
	"strings"
	"syscall"
)

// errnoOf is the one place where an error becomes what a system call returns.
func errnoOf(err error) syscall.Errno {
	var (
		typed interface{ Errno() syscall.Errno }
		plain syscall.Errno
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &typed) && typed.Errno() != 0:
		return typed.Errno()
	case errors.As(err, &plain) && plain != 0:
		return plain
	case errors.Is(err, context.DeadlineExceeded):
		return syscall.ETIMEDOUT
	case errors.Is(err, context.Canceled): // the mount is being ended
		return syscall.ENOTCONN
	}
	return syscall.EIO
}

// oneLine is an error's text as a line of a log or of a .map.err file, without its end.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}
