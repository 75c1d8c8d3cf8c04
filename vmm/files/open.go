package files

import (
	"context"
	"errors"
	"strconv"

	"golang.org/x/sys/unix"

	"instarfs/vmm/gate"
)

// ErrNotRegular says that a file is a directory, FIFO, socket, device, or one that a kernel makes
// up.
var ErrNotRegular = errors.New("not a regular file or block device")

// ErrReplaced says that a path leads to another file than before.
var ErrReplaced = errors.New("another file has taken its place")

// Open opens what f holds for reading, if it is a regular file, with the rights of u. It closes f.
// To open anything else may already do something, so what a path names is looked at first.
func (h *Host) Open(ctx context.Context, u *gate.User, f *File) (fd int, err error) {
	drop := func(fd int) { unix.Close(fd) }
	on := gate.On{Device: f.Dev, User: u, Release: f.Close}
	return gate.Do(ctx, h.Gate, on, drop, func() (int, error) { return reopen(f.FD) })
}

func reopen(path int) (int, error) {
	if err := Regular(path); err != nil {
		return -1, err
	}
	return unix.Open(ProcFD(path), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

// ProcFD names what a descriptor holds by way of proc(5), whatever its own name is by now.
func ProcFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// Regular checks that a descriptor, O_PATH or not, is one of a file on a disk.
func Regular(fd int) error {
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

// Look opens what f holds, like Open, and gives it to look. It closes f.
func (h *Host) Look(ctx context.Context, u *gate.User, f *File, look func(fd int) error) error {
	on := gate.On{Device: f.Dev, User: u, Release: f.Close}
	_, err := gate.Do(ctx, h.Gate, on, nil, func() (struct{}, error) {
		fd, err := reopen(f.FD)
		if err != nil {
			return struct{}{}, err
		}
		defer unix.Close(fd)
		return struct{}{}, look(fd)
	})
	return err
}

// Read opens the regular file that p names for reading, as u, and gives it to look. It must be the
// one of st, which was found there before: else the error is ErrReplaced. Links lead anywhere.
func (h *Host) Read(ctx context.Context, u *gate.User, p Place, st *unix.Stat_t, look func(fd int) error) error {
	on := gate.On{Device: st.Dev, User: u}
	_, err := gate.Do(ctx, h.Gate, on, nil, func() (struct{}, error) { return struct{}{}, p.read(u, st, look) })
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
	fd, err := reopen(path)
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
