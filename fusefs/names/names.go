package fusefs

import (
	"fmt"
	"path"

	"instarfs/guest/img"
)

// names decides what listings show. What it leaves out can still be opened by name.
type names struct {
	include, exclude []string // globs of package path
}

func newNames(include, exclude []string) (*names, error) {
	for _, glob := range append(append([]string(nil), include...), exclude...) {
		if _, err := path.Match(glob, ""); err != nil {
			return nil, fmt.Errorf("mount: glob %q: %w", glob, err)
		}
	}
	return &names{include: include, exclude: exclude}, nil
}

// image reports whether the views of a regular file are listed.
func (n *names) image(file string) bool {
	switch {
	case matchAny(n.exclude, file):
		return false
	case len(n.include) > 0:
		return matchAny(n.include, file)
	}
	return img.HasExtension(file)
}

// dir reports whether a directory is listed.
func (n *names) dir(dir string) bool { return !matchAny(n.exclude, dir) }

// matchAny reports whether a glob matches the last element of a path or all of it. The globs were
// checked by newNames.
func matchAny(globs []string, file string) bool {
	for _, glob := range globs {
		if ok, _ := path.Match(glob, path.Base(file)); ok {
			return true
		}
		if ok, _ := path.Match(glob, file); ok {
			return true
		}
	}
	return false
}
