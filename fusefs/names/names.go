// Package names decides by its name whether a file is taken for an image, and shown.
package names

import (
	"fmt"
	"path"

	"github.com/bmatcuk/doublestar/v4"

	"instarfs/guest/img"
)

// Names decides what listings show. What it leaves out can still be opened by name.
type Names struct{ include, exclude []string }

// New makes a Names of globs: those of a shell, and ** for any number of directories. A glob is
// compared to the name of a file and to its path below the source. include replaces the list of
// extensions; exclude also hides directories, and beats include.
func New(include, exclude []string) (*Names, error) {
	for _, glob := range append(append([]string(nil), include...), exclude...) {
		if !doublestar.ValidatePattern(glob) {
			return nil, fmt.Errorf("mount: glob %q: %w", glob, doublestar.ErrBadPattern)
		}
	}
	return &Names{include: include, exclude: exclude}, nil
}

// Image reports whether the views of a regular file are listed, or of a device, which needs no
// name for that. file is its path below the source.
func (n *Names) Image(file string, device bool) bool {
	switch {
	case matchAny(n.exclude, file):
		return false
	case device:
		return true
	case len(n.include) > 0:
		return matchAny(n.include, file)
	}
	return img.HasExtension(file)
}

// Dir reports whether a directory is listed.
func (n *Names) Dir(dir string) bool { return !matchAny(n.exclude, dir) }

// matchAny reports whether a glob matches. The globs were checked by New.
func matchAny(globs []string, file string) bool {
	for _, glob := range globs {
		if Match(glob, file) {
			return true
		}
	}
	return false
}

// Match reports whether a glob matches the last element of a path, or all of it.
func Match(glob, file string) bool {
	if ok, _ := doublestar.Match(glob, path.Base(file)); ok {
		return true
	}
	ok, _ := doublestar.Match(glob, file)
	return ok
}
