package chain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/vmm/files"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
)

// Sentinels that a caller may match.
var (
	// ErrChanging: the file changed during each of several runs.
	ErrChanging = errors.New("the file changes while it is mapped: try again when its writer is done")
	// ErrNotRegular: a directory, FIFO, socket or character device.
	ErrNotRegular = files.ErrNotRegular
	// ErrFormat: no format has the name that was asked for.
	ErrFormat = errors.New("unknown format")
	// ErrSlow: one of Limits was met. What is not a run of a guest has limits of its own, and so
	// has a map in all.
	ErrSlow = errors.New("the image takes too long to map")
)

// formatError is ErrFormat with the name that was asked for.
type formatError struct{ name string }

// checkFormat checks the name of a format that a disk is said to have, empty if nobody says so. That
// comes before a look at the file, as in qemu. No disk has the format of a part of one.
func checkFormat(name string) error {
	if id := img.ParseFormat(name); name != "" && id == 0 || id.IsPart() {
		return formatError{name}
	}
	return nil
}

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
	name := fmt.Sprintf("%q", e.Name)
	if name == `"`+e.Name+`"` && e.Name != "" && !strings.ContainsAny(e.Name, " :") {
		name = e.Name // nothing to quote
	}
	return "map " + name + ": " + reason(e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// QemuText is what qemu-img prints behind "Could not open 'NAME': " for the same image, empty when there is no such text.
func (e *Error) QemuText() string { return e.qemu }

// QemuStderr are the texts that qemu-img prints, each after its name, before that.
func (e *Error) QemuStderr() (texts []string) {
	var w warnedError
	if errors.As(e.Err, &w) {
		for _, f := range w.warnings {
			texts = append(texts, f.QemuWarning())
		}
	}
	var f *fault.Fault
	if errors.As(e.Err, &f) {
		texts = append(texts, f.QemuStderr()...)
	}
	return texts
}

// warnedError is an error, and the warnings of the layers that were opened before it.
type warnedError struct {
	error
	warnings []*fault.Fault
}

func (e warnedError) Unwrap() error { return e.error }

// warned adds the warnings of the layers that are open to an error.
func (c *chain) warned(err error) error {
	if list := c.warnings(); len(list) > 0 {
		return warnedError{err, list}
	}
	return err
}

// unreadable is the error of an image under which lies what who asks may not read. Nothing else is
// said of that file, not even whether there is a map for others.
type unreadable struct{ error }

func (e unreadable) Unwrap() error { return e.error }

// noMap is the error of an image that has no map for anybody, whatever this one is told.
type noMap struct{ error }

func (e noMap) Unwrap() error { return e.error }

// ForAll reports whether others who ask for the map fail too, as long as the image stays as it is.
func (e *Error) ForAll() bool {
	var n noMap
	return errors.As(e.Err, &n)
}

// reason is the text of an error, and what to do about it.
func reason(err error) string {
	var ref *referenceError
	var f *fault.Fault
	var g *session.GuestError
	switch {
	case errors.As(err, &ref):
		return ref.Error()
	case errors.As(err, &g) && g.Kind == session.KindDeadline:
		return err.Error() + " (--guest-time allows more)"
	case errors.Is(err, ledger.ErrFull):
		return err.Error() + ": the map needs more than --memory leaves " +
			"(allow more, or try again when less is read at a time)"
	case !errors.As(err, &f):
		return err.Error()
	}
	text := f.Error()
	switch f.Class() {
	case fault.InvalidSource:
		return text + " (choose the format with -f, or leave -f out)"
	case fault.Corrupt:
		return text + " (the image is damaged: restore it, or let qemu-img check -r all repair a copy)"
	}
	return text
}

// failure names the file in an error.
func failure(name string, err error) error {
	return &Error{Name: name, Err: err, qemu: qemuText(name, err)}
}

// qemuText is what qemu-img says of an error behind "Could not open 'NAME': ", empty when it says nothing like it. Names from
// images are shown as they are, but for what could be meant for the terminal.
func qemuText(name string, err error) string {
	var ref *referenceError
	var lock *lockError
	var format formatError
	var f *fault.Fault
	var errno unix.Errno
	switch {
	case errors.As(err, &ref):
		if text := qemuText(printable(ref.label), ref.err); text != "" {
			return strings.Repeat("Could not open backing file: ", ref.depth) + text
		}
		return ""
	case errors.As(err, &f):
		return f.Told(name)
	case errors.As(err, &lock):
		return lock.qemuText()
	case errors.Is(err, ErrNotRegular):
		return fmt.Sprintf("'file' driver requires '%s' to be a regular file", name)
	case errors.Is(err, errNoName):
		return "The 'file' block driver requires a file name"
	case errors.As(err, &format):
		return fmt.Sprintf("Unknown driver '%s'", printable(format.name))
	case errors.As(err, &errno):
		return fmt.Sprintf("Could not open '%s': %s", name, strerror(errno))
	}
	return ""
}

// printable shows control characters, those of C1 too, and what is no text as \xHH.
func printable(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if unicode.IsControl(r) || r == utf8.RuneError && n == 1 {
			for _, c := range []byte(s[:n]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// strerror is the C library's text of an error number, which differs from Go's in its first letter only.
func strerror(e unix.Errno) string {
	s := e.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}

// Errno is the error number that suits e best for a file system: the one table of its kind.
func (e *Error) Errno() syscall.Errno {
	var f *fault.Fault
	var g *session.GuestError
	var ref *referenceError
	var lock *lockError
	var errno syscall.Errno
	switch {
	case errors.As(e.Err, &ref) && refused(ref.err):
		return unix.EACCES
	case errors.Is(e.Err, errLoop), errors.Is(e.Err, errDeep):
		return unix.ELOOP
	case errors.Is(e.Err, errFiles):
		return unix.EFBIG
	case errors.As(e.Err, &lock):
		return unix.EBUSY
	case errors.As(e.Err, &f):
		return classErrno(f.Class())
	case errors.As(e.Err, &g):
		switch {
		case g.Kind == session.KindDeadline:
			return unix.ETIMEDOUT
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
	case errors.Is(e.Err, session.ErrNoGuest):
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
