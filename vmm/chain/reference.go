package chain

import (
	"errors"
	"fmt"
	"strings"

	"instarfs/guest/img"
	"instarfs/vmm/files"
)

var (
	errProtocol = errors.New("only plain file names are followed")
	errLoop     = errors.New("the chain of backing files comes back to a file that it has been through")
	errDeep     = errors.New("too many backing files, one under the other")
	errNested   = errors.New("a file that holds a part of a disk may name no further files")
	errFiles    = errors.New("too many files")
	errNoName   = errors.New("the name is empty")
)

// maxFiles is how many files may be under one image. They are open together until the map is made, and other images need descriptors
// too; two of the longest VMDKs have as many.
const maxFiles = 1 << 12

// maxQuoted is how many bytes of a name are shown.
const maxQuoted = 200

// referenceError is what became of a file that an image names.
type referenceError struct {
	kind  img.Kind
	name  string // as the image has it: hostile
	label string // as it would be shown
	depth int    // of the file in the chain, 0 if it belongs to the top
	err   error
}

func (e *referenceError) Unwrap() error { return e.err }

// Error says which file, why, and what to do.
func (e *referenceError) Error() string {
	text := e.kind.String() + " " + quote(e.name)
	switch {
	case errors.Is(e.err, files.ErrOutside):
		return text + " is refused: " + files.ErrOutside.Error() + " (allow its directory with --allow-dir, or all with --references any)"
	case errors.Is(e.err, errNone):
		return text + " is refused: " + errNone.Error() + " (leave out --references none)"
	case errors.Is(e.err, errProtocol):
		return text + " is refused: " + errProtocol.Error()
	case errors.Is(e.err, ErrNotRegular):
		return text + " is refused: it is no regular file"
	case errors.Is(e.err, errDeep):
		return text + ": " + errDeep.Error() + " (--max-depth allows more)"
	}
	if e.label != e.name {
		text += " (" + quote(e.label) + ")"
	}
	return text + ": " + reason(e.err)
}

// quote shows a name that may hold anything.
func quote(name string) string {
	if len(name) > maxQuoted {
		return fmt.Sprintf("%q...", name[:maxQuoted])
	}
	return fmt.Sprintf("%q", name)
}

// plainName takes the one protocol off that means a plain file, where qemu looks for protocols: in the names of backing
// files. What cannot be a reference is an error before any file is looked for, as in qemu.
func plainName(ref img.Reference) (name string, err error) {
	name = ref.Name
	if ref.Kind == img.Backing {
		if err := checkFormat(ref.Format); err != nil {
			return "", err
		}
		var plain bool
		name, plain = strings.CutPrefix(name, "file:")
		if i := strings.IndexAny(name, ":/"); !plain && i >= 0 && name[i] == ':' {
			return "", errProtocol
		}
	}
	if name == "" {
		return "", errNoName
	}
	return name, nil
}
