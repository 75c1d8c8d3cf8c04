package failure

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"instarfs/guest/fault"
	"instarfs/vmm/files"
	"instarfs/vmm/image"
)

// qemuText is what qemu-img prints for an error after "Could not open 'NAME': ", or empty if it
// prints nothing of the kind. Names from images are shown as they are, except for what could be
// meant for the terminal.
func qemuText(name string, err error) string {
	var ref *Reference
	var lock *image.LockError
	var format Format
	var f *fault.Fault
	var errno unix.Errno
	switch {
	case errors.As(err, &ref):
		if text := qemuText(printable(ref.Label), ref.Err); text != "" {
			return strings.Repeat("Could not open backing file: ", ref.Depth) + text
		}
		return ""
	case errors.As(err, &f):
		return f.Told(name)
	case errors.As(err, &lock):
		return lock.QemuText()
	case errors.Is(err, files.ErrNotRegular):
		return fmt.Sprintf("'file' driver requires '%s' to be a regular file", name)
	case errors.Is(err, ErrNoName):
		return "The 'file' block driver requires a file name"
	case errors.As(err, &format):
		return fmt.Sprintf("Unknown driver '%s'", printable(format.Name))
	case errors.As(err, &errno):
		return fmt.Sprintf("Could not open '%s': %s", name, strerror(errno))
	}
	return ""
}

// printable shows control characters, those of C1 too, and bytes that are no text as \xHH.
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

// strerror is the C library's text of an error number. Go's differs only in its first letter.
func strerror(e unix.Errno) string {
	s := e.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}
