package fusefs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"unicode"
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

// oneLine makes a line of a log or of a .map.err file, without its end. Names of files may hold anything, also what moves
// the cursor of a terminal.
func oneLine(text string) string {
	var b strings.Builder
	for _, r := range strings.TrimSpace(text) {
		switch {
		case r == '\n':
			b.WriteByte(' ')
		case unicode.IsControl(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
