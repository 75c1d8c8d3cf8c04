package files

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"instarfs/vmm/gate"
)

// ErrOutside says that a path leads out of the trees that it may lead through.
var ErrOutside = errors.New("it lies outside of the directories that may be read")

const (
	maxLinks = 40      // as many as the kernel follows
	maxWay   = 1 << 16 // bytes of a path with all links in it replaced
)

// walk follows a path step by step, each charged to the device that it asks.
type walk struct {
	gate   *gate.Gate
	ctx    context.Context
	user   *gate.User
	roots  []*Tree
	follow bool

	tree  *Tree    // where at starts from
	at    []string // the way so far, without links
	dir   *File    // the directory that it leads to; nil is that of tree
	todo  []string // what is left of the path
	links int
}

// run walks to the end.
func (w *walk) run(p Place) (*File, error) {
	w.tree, w.todo = p.Tree, strings.Split(p.Path, "/")
	defer func() { w.enter(nil) }()
	if p.Path == "" {
		return nil, unix.ENOENT
	}
	if p.Path[0] == '/' {
		return nil, ErrOutside
	}
	for len(w.todo) > 0 {
		name := w.todo[0]
		w.todo = w.todo[1:]
		last := len(w.todo) == 0
		switch name {
		case "":
			continue
		case ".": // only users who may search the directory may name it
			f, _, err := w.step(name)
			if err != nil {
				return nil, err
			}
			w.enter(f)
			continue
		case "..":
			if err := w.parent(); err != nil {
				return nil, err
			}
			continue
		}
		f, mode, err := w.step(name)
		if err != nil {
			return nil, err
		}
		switch {
		case mode == unix.S_IFLNK && (w.follow || !last):
			target, err := w.target(f)
			if err == nil {
				err = w.link(target)
			}
			if err != nil {
				return nil, err
			}
		case mode == unix.S_IFDIR:
			w.at = append(w.at, name)
			w.enter(f)
		case last:
			return f, nil
		default:
			f.Close()
			return nil, unix.ENOTDIR
		}
	}
	return w.here()
}

// enter makes f the current directory.
func (w *walk) enter(f *File) {
	if w.dir != nil {
		w.dir.Close()
	}
	w.dir = f
}

// here returns the current directory. The caller must close it.
func (w *walk) here() (*File, error) {
	if w.dir == nil {
		return (&File{FD: w.tree.fd, Dev: w.tree.dev}).Dup()
	}
	return w.dir.Dup()
}

// step finds a name in the current directory. It returns the type of what it names.
func (w *walk) step(name string) (*File, uint32, error) {
	return w.open(name, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
}

// open opens a path from the current directory.
func (w *walk) open(path string, resolve uint64) (*File, uint32, error) {
	from, err := w.here()
	if err != nil {
		return nil, 0, err
	}
	type found struct {
		file *File
		mode uint32
	}
	on := gate.On{Device: from.Dev, User: w.user, Release: from.Close}
	r, err := gate.Do(w.ctx, w.gate, on, func(r found) { r.file.Close() }, func() (found, error) {
		fd, err := openHow(from.FD, path, pathFlags(false), resolve)
		if err != nil {
			return found{}, err
		}
		st, err := known(fd)
		if err != nil {
			unix.Close(fd)
			return found{}, err
		}
		f := &File{FD: fd, Dev: unix.Mkdev(st.Dev_major, st.Dev_minor)}
		return found{f, uint32(st.Mode) & unix.S_IFMT}, nil
	})
	return r.file, r.mode, err
}

// parent goes to the directory above, which is looked up again from the tree: a directory that a
// rename has carried out of the tree leads nowhere.
func (w *walk) parent() error {
	if len(w.at) == 0 {
		// What is left may lead back in, by its names.
		way := append([]string{filepath.Dir(w.tree.real)}, w.todo...)
		w.todo = nil
		return w.restart(filepath.Join(way...))
	}
	w.at = w.at[:len(w.at)-1]
	w.enter(nil)
	if len(w.at) == 0 {
		return nil
	}
	const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS
	f, _, err := w.open(strings.Join(w.at, "/"), resolve)
	if err == nil {
		w.enter(f)
	}
	return err
}

// restart goes to an absolute path, which must be in one of the trees.
func (w *walk) restart(abs string) error {
	for _, t := range w.roots {
		if rest, ok := t.Inside(abs); ok {
			w.enter(nil)
			w.tree, w.at = t, nil
			w.todo = append(strings.Split(rest, "/"), w.todo...)
			return nil
		}
	}
	return ErrOutside
}

// target reads a symbolic link, and closes it.
func (w *walk) target(f *File) (string, error) {
	on := gate.On{Device: f.Dev, User: w.user, Release: f.Close}
	return gate.Do(w.ctx, w.gate, on, nil, func() (string, error) { return readLink(f.FD) })
}

// link continues with the target of a link.
func (w *walk) link(target string) error {
	if w.links++; w.links > maxLinks {
		return unix.ELOOP
	}
	left := len(target)
	for _, name := range w.todo {
		left += len(name) + 1
	}
	switch {
	case target == "":
		return unix.ENOENT
	case left > maxWay:
		return unix.ENAMETOOLONG
	case target[0] == '/':
		return w.restart(filepath.Clean(target))
	}
	w.todo = append(strings.Split(target, "/"), w.todo...)
	return nil
}
