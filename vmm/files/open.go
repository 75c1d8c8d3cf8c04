package files

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"instarfs/vmm/gate"
)

// ErrReplaced says that a path leads to a different file than before.
var ErrReplaced = errors.New("another file has taken its place")

// Open opens what f holds for reading, if it is a regular file or has Device set, with the rights
// of u. It closes f. Opening anything else may already do something, so the type is checked first.
func (h *Host) Open(ctx context.Context, u *gate.User, f *File) (fd int, err error) {
	drop := func(fd int) { unix.Close(fd) }
	on := gate.On{Device: f.Dev, User: u, Release: f.Close}
	return gate.Do(ctx, h.Gate, on, drop, func() (int, error) { return reopen(f.FD, f.Device) })
}

// reopen opens what an O_PATH descriptor holds. device says that it is a block device, and meant.
func reopen(path int, device bool) (int, error) {
	if !device {
		if err := Regular(path); err != nil {
			return -1, err
		}
	}
	return unix.Open(ProcFD(path), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

// Look opens what f holds, like Open, and passes it to look. It closes f.
func (h *Host) Look(ctx context.Context, u *gate.User, f *File, look func(fd int) error) error {
	on := gate.On{Device: f.Dev, User: u, Release: f.Close}
	_, err := gate.Do(ctx, h.Gate, on, nil, func() (struct{}, error) {
		fd, err := reopen(f.FD, f.Device)
		if err != nil {
			return struct{}{}, err
		}
		defer unix.Close(fd)
		return struct{}{}, look(fd)
	})
	return err
}

// Read opens the regular file that p names for reading, with the rights of u, and passes it to
// look. st describes the file that was found there before, which may be a block device: for another
// one the error is ErrReplaced. Links may lead anywhere.
func (h *Host) Read(
	ctx context.Context, u *gate.User, p Place, st *unix.Stat_t, look func(fd int) error,
) error {
	on := gate.On{Device: st.Dev, User: u}
	_, err := gate.Do(ctx, h.Gate, on, nil, func() (struct{}, error) {
		return struct{}{}, p.read(u, st, look)
	})
	return err
}

func (p Place) read(u *gate.User, st *unix.Stat_t, look func(fd int) error) error {
	if err := p.Tree.passAbove(u); err != nil {
		return err
	}
	path, err := openHow(p.Tree.fd, p.Path, unix.O_PATH, unix.RESOLVE_NO_MAGICLINKS)
	if err != nil {
		return err
	}
	defer unix.Close(path)
	var now unix.Stat_t
	if err := unix.Fstat(path, &now); err != nil {
		return err
	}
	if now.Dev != st.Dev || now.Ino != st.Ino {
		return ErrReplaced
	}
	fd, err := reopen(path, st.Mode&unix.S_IFMT == unix.S_IFBLK)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return look(fd)
}

// MayList reports why u may not list the directory that f holds.
func (h *Host) MayList(ctx context.Context, u *gate.User, f *File) error {
	held, err := f.Dup()
	if err != nil {
		return err
	}
	on := gate.On{Device: f.Dev, User: u, Release: held.Close}
	_, err = gate.Do(ctx, h.Gate, on, nil, func() (struct{}, error) {
		fd, err := unix.Open(ProcFD(held.FD), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err == nil {
			unix.Close(fd)
		}
		return struct{}{}, err
	})
	return err
}

// ReadLink returns the target of the symbolic link that f holds.
func (h *Host) ReadLink(ctx context.Context, f *File) (string, error) {
	held, err := f.Dup()
	if err != nil {
		return "", err
	}
	on := gate.On{Device: f.Dev, Release: held.Close}
	return gate.Do(ctx, h.Gate, on, nil, func() (string, error) { return readLink(held.FD) })
}
