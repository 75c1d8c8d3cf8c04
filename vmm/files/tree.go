package files

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/vmm/gate"
)

// Tree is a directory and what lies beneath it, held by a descriptor: it stays the same directory
// when another file system is mounted over it. It is safe for concurrent use.
type Tree struct {
	name string // as it is shown, in front of the paths of its files
	abs  string // the same as an absolute path
	real string // abs without symbolic links, as of when the tree was opened
	fd   int
	dev  uint64
	up   string // the way from here to the root of all names: "../../.."
}

// OpenTree opens a directory.
func OpenTree(name string) (*Tree, error) { return openTree(name, unix.O_RDONLY) }

// OpenPath opens a directory that need not be readable: it can only be passed through.
func OpenPath(name string) (*Tree, error) { return openTree(name, unix.O_PATH) }

// openTime is how long a tree may take to be opened: a program that is being started should say
// soon that it cannot be.
const openTime = 5 * time.Second

func openTree(name string, flags int) (*Tree, error) {
	ctx, drop := context.Background(), func(t *Tree) { t.Close() }
	t, err := gate.Do(ctx, gate.New(openTime), gate.On{}, drop, func() (*Tree, error) {
		return openTreeNow(name, flags)
	})
	if err == gate.ErrHangs {
		err = fmt.Errorf("open directory %s: %w", name, err)
	}
	return t, err
}

func openTreeNow(name string, flags int) (*Tree, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", name, err)
	}
	fd, err := unix.Open(abs, flags|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", name, err)
	}
	t := &Tree{name: name, abs: abs, real: abs, fd: fd}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		t.real = real
	}
	if t.real != "/" {
		t.up = strings.Repeat("../", strings.Count(t.real, "/"))
	}
	if t.dev, err = deviceOf(fd); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open directory %s: %w", name, err)
	}
	return t, nil
}

// Shown returns the same tree with another name in front of the paths of its files. Callers must
// close only one of the two.
func (t *Tree) Shown(name string) *Tree {
	shown := *t
	shown.name = name
	return &shown
}

// Close closes the directory. Files opened from it stay open.
func (t *Tree) Close() error { return unix.Close(t.fd) }

// Device is the file system that the directory itself lies on (st_dev).
func (t *Tree) Device() uint64 { return t.dev }

// Label is a path in the tree as it is shown to people: as qemu-img would be called.
func (t *Tree) Label(p string) string {
	if t.name == "" || t.name[len(t.name)-1] == '/' {
		return t.name + p
	}
	return t.name + "/" + p
}

// Inside returns what an absolute path is relative to the tree, if it lies in it by its name. A
// ".." that follows a symbolic link is the parent of the link.
func (t *Tree) Inside(abs string) (rest string, ok bool) {
	for _, root := range []string{t.abs, t.real} {
		rest, err := filepath.Rel(root, abs)
		if err == nil && rest != ".." && !strings.HasPrefix(rest, "../") {
			return rest, true
		}
	}
	return "", false
}

// Place is how a file is reached: a path from a tree, as it was named, symbolic links and all.
type Place struct {
	Tree *Tree
	Path string
}

// Label is the place as it is shown to people.
func (p Place) Label() string { return p.Tree.Label(p.Path) }

// Beside is the place of a relative name that starts from the directory of p.
func (p Place) Beside(name string) Place { return Place{p.Tree, DirPart(p.Path) + name} }

// Real is the absolute path of p, with no link in the path of its tree.
func (p Place) Real() string { return filepath.Join(p.Tree.real, p.Path) }

// Abs is the absolute path of p, by its name.
func (p Place) Abs() string { return filepath.Join(p.Tree.abs, p.Path) }

// DirPart is a path up to and including its last slash, or empty if it has none.
func DirPart(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }
