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

// File is something that a path names, held by an O_PATH descriptor, which opens nothing.
type File struct {
	FD   int
	Dev  uint64 // of the file system that it lies on
	Stat unix.Stat_t
	List []byte // its access control list, see Narrow, as far as its mode may hide one
}

// Close lets the descriptor go.
func (f *File) Close() { unix.Close(f.FD) }

// Dup returns the file, without its Stat, by a descriptor of its own.
func (f *File) Dup() (*File, error) {
	fd, err := unix.FcntlInt(uintptr(f.FD), unix.F_DUPFD_CLOEXEC, 0)
	return &File{FD: fd, Dev: f.Dev}, err
}

func dropFile(f *File) {
	if f != nil {
		f.Close()
	}
}

// resolveCached is RESOLVE_CACHED of linux/openat2.h, since Linux 5.12: EAGAIN rather than wait for
// a file system.
const resolveCached = 0x20

const (
	maxLinks = 40      // as many as the kernel follows
	maxWay   = 1 << 16 // bytes of a path with all links in it replaced
)

// Find finds what p names, with the rights of u. Symbolic links on the way are followed as long as
// they stay in p's tree or lead, by their absolute names, to one of roots; where follow is not set
// the last one is not. What leads elsewhere is ErrOutside, whether or not it exists.
func (h *Host) Find(ctx context.Context, u *gate.User, p Place, roots []*Tree, follow bool) (*File, error) {
	on := gate.On{Device: p.Tree.dev, User: u}
	f, err := gate.Do(ctx, h.Gate, on, dropFile, func() (*File, error) { return p.cached(u, follow) })
	switch {
	case err == nil && f.Stat.Ino == 0: // on another device
		return h.look(ctx, u, f)
	case err != unix.EAGAIN && err != unix.EXDEV && err != unix.EINVAL:
		return f, err // found, or not to be found
	}
	w := &walk{gate: h.Gate, ctx: ctx, user: u, roots: append([]*Tree{p.Tree}, roots...), follow: follow}
	if f, err = w.run(p); err != nil {
		return nil, err
	}
	return h.look(ctx, u, f)
}

// cached finds p if the kernel can without asking a file system, which may hang: then no device is
// to be charged for the way. Stat is filled in if the file lies on the tree's own.
func (p Place) cached(u *gate.User, follow bool) (*File, error) {
	if err := p.Tree.passAbove(u); err != nil {
		return nil, err
	}
	const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | resolveCached
	fd, err := openHow(p.Tree.fd, p.Path, pathFlags(follow), resolve)
	if err != nil {
		return nil, err
	}
	f := &File{FD: fd}
	if f.Dev, err = deviceOf(fd); err == nil && f.Dev == p.Tree.dev {
		err = f.stat()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// look fills in the Stat and the List of a file that a walk found.
func (h *Host) look(ctx context.Context, u *gate.User, f *File) (*File, error) {
	held, err := f.Dup()
	if err != nil {
		f.Close()
		return nil, err
	}
	on := gate.On{Device: f.Dev, User: u, Release: held.Close}
	seen, err := gate.Do(ctx, h.Gate, on, nil, func() (File, error) {
		err := held.stat()
		return *held, err
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	f.Stat, f.List = seen.Stat, seen.List
	return f, nil
}

// stat asks for what Stat and List hold.
func (f *File) stat() error {
	if err := unix.Fstat(f.FD, &f.Stat); err != nil {
		return err
	}
	list, err := listed(ProcFD(f.FD), f.Stat.Mode)
	f.List = list
	return err
}

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
		case ".": // which only those may name who may search the directory
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

// here returns the current directory, to be closed.
func (w *walk) here() (*File, error) {
	if w.dir == nil {
		return (&File{FD: w.tree.fd, Dev: w.tree.dev}).Dup()
	}
	return w.dir.Dup()
}

// step finds a name in the current directory, and the type of what it names.
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

// parent goes to the directory above, which is looked up again from the tree: what a rename has
// carried out of the tree leads nowhere.
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

// link goes on with the target of a link.
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

// readLink returns the target of the symbolic link that an O_PATH descriptor holds.
func readLink(fd int) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

func pathFlags(follow bool) uint64 {
	if follow {
		return unix.O_PATH
	}
	return unix.O_PATH | unix.O_NOFOLLOW
}

func openHow(dir int, p string, flags, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolve}
	for tries := 0; ; tries++ {
		fd, err := unix.Openat2(dir, p, &how)
		switch {
		case err == unix.EINTR: // a slow file system
		case err == unix.EAGAIN && resolve&resolveCached == 0 && tries < maxTries:
			// A rename somewhere raced with the walk of "..".
		default:
			return fd, err
		}
	}
}

// maxTries is how often a walk is tried again that a rename disturbed: one who renames all the time
// must not keep a thread.
const maxTries = 1000

// known is what is known of an open file without asking a server for news.
func known(fd int) (st unix.Statx_t, err error) {
	const flags = unix.AT_EMPTY_PATH | unix.AT_STATX_DONT_SYNC | unix.AT_NO_AUTOMOUNT
	err = unix.Statx(fd, "", flags, unix.STATX_TYPE, &st)
	return st, err
}

// deviceOf is the file system that an open file lies on (st_dev).
func deviceOf(fd int) (uint64, error) {
	st, err := known(fd)
	return unix.Mkdev(st.Dev_major, st.Dev_minor), err
}

// MountedAt reports whether something is mounted at a name in a directory of device dev. It does
// not ask what is.
func MountedAt(dir int, name string, dev uint64) bool {
	var st unix.Statx_t
	const flags = unix.AT_SYMLINK_NOFOLLOW | unix.AT_STATX_DONT_SYNC | unix.AT_NO_AUTOMOUNT
	err := unix.Statx(dir, name, flags, unix.STATX_TYPE, &st)
	return err == nil && unix.Mkdev(st.Dev_major, st.Dev_minor) != dev
}
