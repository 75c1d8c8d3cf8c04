package chain

import (
	"errors"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// References says which of the files that images name are opened.
type References uint8

const (
	// Beneath opens what lies beneath the tree of the image, or of Access.Allow.
	Beneath References = iota
	// None opens nothing.
	None
	// Any opens what qemu would open, as long as it is a regular file.
	Any
)

// DefaultMaxDepth is how many backing files an image may have, one under the other, where Access does not say.
const DefaultMaxDepth = 64

// Access is what an engine may open beside the images that it is told to map. What an image says is not enough.
type Access struct {
	References References
	Allow      []*Tree // beside the tree that the image lies in
	MaxDepth   int     // backing files under an image; 0 is DefaultMaxDepth
	ForceShare bool    // do not mind the locks of QEMU, see lock.go
}

var (
	errOutside = errors.New("it lies outside of the directories that may be read")
	errNone    = errors.New("references are not followed")
)

// refused reports whether an error is a decision of the policy. Nothing of the file shows then, not even whether it exists.
func refused(err error) bool {
	return errors.Is(err, errOutside) || errors.Is(err, errNone) || errors.Is(err, errProtocol) || errors.Is(err, ErrNotRegular)
}

// place is how a file was reached, which is where the names that it holds start from.
type place struct {
	tree *Tree  // nil: path is that of the process
	path string // relative to tree
}

// beside is the path of a name that a file at p holds, for whoever resolves p.path.
func (p place) beside(name string) string { return dirPart(p.path) + name }

// full is the path of p for the process.
func (p place) full() string {
	if p.tree == nil {
		return p.path
	}
	return p.tree.label(p.path)
}

// dirPart is a path up to its last slash, that included: nothing where there is none.
func dirPart(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }

// find gives an O_PATH descriptor of what a name means that a file at from holds. Symbolic links, and "..", are followed as
// long as they stay beneath the tree in which the way begins; that is the kernel's work (openat2).
func (a *Access) find(from place, name string) (fd int, at place, err error) {
	if a.References == None {
		return -1, place{}, errNone
	}
	if from.tree != nil && !filepath.IsAbs(name) {
		at = place{from.tree, from.beside(name)}
		if fd, err = from.tree.beneath(at.path); !errors.Is(err, unix.EXDEV) {
			return fd, at, err
		}
	}
	for _, t := range append([]*Tree{from.tree}, a.Allow...) {
		rest, ok := t.inside(from, name)
		if !ok {
			continue
		}
		at = place{t, rest}
		if fd, err = t.beneath(rest); !errors.Is(err, unix.EXDEV) {
			return fd, at, err
		}
	}
	if a.References != Any {
		return -1, place{}, errOutside
	}
	at = place{nil, name}
	if !filepath.IsAbs(name) {
		at.path = dirPart(from.full()) + name
	}
	fd, err = openHow(unix.AT_FDCWD, at.path, unix.O_PATH, unix.RESOLVE_NO_MAGICLINKS)
	return fd, at, err
}

// inside is the path in t of what a name means that a file at from holds, if that is the path of something in t. It goes by
// the names alone: a ".." behind a symbolic link is the parent of the link.
func (t *Tree) inside(from place, name string) (string, bool) {
	if t == nil {
		return "", false
	}
	if !filepath.IsAbs(name) {
		dir, err := filepath.Abs(dirPart(from.full()))
		if err != nil {
			return "", false
		}
		name = dir + "/" + name
	}
	rest, err := filepath.Rel(t.abs, name)
	if err != nil || rest == ".." || strings.HasPrefix(rest, "../") {
		return "", false
	}
	return rest, true
}

// regular checks that an O_PATH descriptor is one of a file on a disk: to open anything else may already do something.
func regular(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return ErrNotRegular
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return err
	}
	switch fs.Type {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC:
		return ErrNotRegular
	}
	return nil
}
