package files

import (
	"context"

	"golang.org/x/sys/unix"

	"instarfs/vmm/gate"
)

// Find finds what p names, with the rights of u. Symbolic links on the way are followed as long as
// they stay in p's tree or lead, by their absolute names, to one of roots; the last one only if
// follow is set. What leads elsewhere is ErrOutside, whether or not it exists.
func (h *Host) Find(
	ctx context.Context, u *gate.User, p Place, roots []*Tree, follow bool,
) (*File, error) {
	on := gate.On{Device: p.Tree.dev, User: u}
	f, err := gate.Do(ctx, h.Gate, on, dropFile, func() (*File, error) {
		return p.cached(u, follow)
	})
	switch {
	case err == nil && f.Stat.Ino == 0: // on another device
		return h.look(ctx, u, f)
	case err != unix.EAGAIN && err != unix.EXDEV && err != unix.EINVAL:
		return f, err // found, or not to be found
	}
	all := append([]*Tree{p.Tree}, roots...)
	w := &walk{gate: h.Gate, ctx: ctx, user: u, roots: all, follow: follow}
	if f, err = w.run(p); err != nil {
		return nil, err
	}
	return h.look(ctx, u, f)
}

// cached finds p if the kernel can do so without asking a file system, which may hang: then no
// device is charged for the way. Stat is filled in if the file lies on the device of the tree.
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
