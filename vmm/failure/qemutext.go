package failure

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"instarfs/guest/fault"
	"instarfs/guest/show"
	"instarfs/vmm/files"
	"instarfs/vmm/image"
)

// qemuText returns what qemu-img prints for an error after "Could not open 'NAME': ", or "" if it
// prints nothing of the kind. The name must be fit to be shown.
func qemuText(name string, err error) string {
	var ref *Reference
	var lock *image.LockError
	var format Format
	var f *fault.Fault
	var errno unix.Errno
	switch {
	case errors.As(err, &ref):
		if text := qemuText(show.Line(ref.Label), ref.Err); text != "" {
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
		return fmt.Sprintf("Unknown driver '%s'", show.Line(format.Name))
	case errors.As(err, &errno):
		return fmt.Sprintf("Could not open '%s': %s", name, strerror(errno))
	}
	return ""
}

// strerror is the C library's text of an error number. Go's differs only in its first letter.
func strerror(e unix.Errno) string {
	s := e.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}
