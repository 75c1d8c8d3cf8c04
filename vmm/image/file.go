// Package image is an opened image file: its identity, what is read from it, the locks that QEMU
// has on it, and its holes. It interprets no byte of the file, and it knows no map, no layer, no
// guest and no cache.
//
// Its files, from the bottom up:
//
//	device_unsafe.go  the size of a block device
//	fiemap_unsafe.go  the ioctl that lists the extents of a file
//	file.go           an opened file, and reads
//	identity.go       which content it is
//	settled.go        whether that is still being written
//	locks.go          who else uses it
//	holes.go          where it has data, asked by lseek(2)
//	fiemap.go         the same from a list of extents
//	spans.go          which of the two is asked
package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"instarfs/vmm/files"
	"instarfs/vmm/gate"
)

// ErrClosed says that an image was closed before a call on it could begin.
var ErrClosed = errors.New("the file was closed before it was read")

// File is an opened image file. It is opened once: what a stat says of it and what is read from it
// come from one descriptor. Methods that take a context return its cause as soon as it ends,
// whatever the file system does. They are safe for concurrent use, except Changed.
type File struct {
	gate *gate.Gate
	fd   int
	name string // as it is shown
	at   files.Place
	st   unix.Stat_t
	size uint64 // bytes

	holds  atomic.Int32 // how many calls of Close are still to come
	listed atomic.Bool  // its many holes can be listed, see spansListed
}

// OpenNamed opens what a user named: any path, links followed, block devices too. at is the place
// of the name. The error is files.ErrNotRegular for what cannot be an image.
func OpenNamed(ctx context.Context, h *files.Host, name string, at files.Place) (*File, error) {
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	on := gate.On{Device: at.Tree.Device()}
	return gate.Do(ctx, h.Gate, on, (*File).Close, func() (*File, error) {
		fd, err := unix.Open(name, flags, 0)
		if err != nil {
			return nil, fmt.Errorf("open: %w", err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			unix.Close(fd)
			return nil, err
		}
		return opened(h, fd, name, at, &st)
	})
}

// Open opens f, which was found at a place, with the rights of u. It closes f. name is the name
// that the image is shown by.
func Open(
	ctx context.Context, h *files.Host, u *gate.User, f *files.File, at files.Place, name string,
) (*File, error) {
	st := f.Stat
	fd, err := h.Open(ctx, u, f)
	if err != nil {
		return nil, err
	}
	return opened(h, fd, name, at, &st)
}

// OpenReference opens the file that another file names, to be shown by label. from is where that
// other file lies, and owner its stat.
func OpenReference(
	ctx context.Context, h *files.Host, from files.Place, owner *unix.Stat_t, name, label string,
) (*File, error) {
	f, at, err := h.FindReference(ctx, from, owner, name)
	if err != nil {
		return nil, err
	}
	u := h.RightsOf(owner)
	i, err := Open(ctx, h, u, f, at, label)
	return i, files.WithOwner(u, err)
}

// StatReference is OpenReference without opening the file: only Name, Place, Stat and Identity are
// known of the result. The mode in Stat is narrowed, see files.Narrow.
func StatReference(
	ctx context.Context, h *files.Host, from files.Place, owner *unix.Stat_t, name, label string,
) (*File, error) {
	found, at, err := h.FindReference(ctx, from, owner, name)
	if err != nil {
		return nil, err
	}
	f := newFile(h, found.FD, label, at, &found.Stat)
	f.st.Mode = files.Narrow(f.st.Mode, found.List)
	_, err = call(ctx, f, func() (struct{}, error) { return struct{}{}, files.Regular(f.fd) })
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Unopened returns the image at a place, of which only Name, Place, Stat and Identity are known.
func Unopened(h *files.Host, at files.Place, name string, st *unix.Stat_t) *File {
	return newFile(h, -1, name, at, st)
}

func newFile(h *files.Host, fd int, name string, at files.Place, st *unix.Stat_t) *File {
	f := &File{gate: h.Gate, fd: fd, name: name, at: at, st: *st}
	f.holds.Store(1)
	return f
}

// opened takes over a descriptor. It closes it if the file cannot be an image.
func opened(
	h *files.Host, fd int, name string, at files.Place, st *unix.Stat_t,
) (*File, error) {
	size, err := sizeOf(fd, st)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	f := newFile(h, fd, name, at, st)
	f.size = size
	// No reading ahead: it would bring in pages that nobody asked for. On some file systems a page
	// in the cache makes what was reserved and never written look like data. It does no harm if
	// this fails.
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM)
	return f, nil
}

// sizeOf is the size of a regular file or block device in bytes.
func sizeOf(fd int, st *unix.Stat_t) (uint64, error) {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return uint64(st.Size), nil
	case unix.S_IFBLK:
		n, err := deviceSize(fd)
		if err != nil {
			return 0, fmt.Errorf("size of the block device: %w", err)
		}
		return n, nil
	}
	return 0, files.ErrNotRegular
}

// call makes a call on the file, which stays open until do returns.
func call[T any](ctx context.Context, f *File, do func() (T, error)) (T, error) {
	if !f.Retain() {
		var none T
		return none, ErrClosed
	}
	return gate.Do(ctx, f.gate, gate.On{Device: f.st.Dev, Release: f.Close}, nil, do)
}

// Retain keeps f open until one more Close. It reports false if f has been closed already.
func (f *File) Retain() bool {
	for {
		n := f.holds.Load()
		if n == 0 {
			return false
		}
		if f.holds.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Close ends what opening the image or one Retain began. The last Close closes the descriptor.
func (f *File) Close() {
	if f.holds.Add(-1) == 0 {
		unix.Close(f.fd)
	}
}

// Name is the name that the image is shown by.
func (f *File) Name() string { return f.name }

// Place is where the image was found.
func (f *File) Place() files.Place { return f.at }

// Stat is what fstat(2) said when the image was opened, or at the last call of Changed. Callers
// must not modify it.
func (f *File) Stat() *unix.Stat_t { return &f.st }

// Size is the size of the file or block device in bytes, as of Stat.
func (f *File) Size() uint64 { return f.size }

// Allocated is what the file occupies, in bytes (st_blocks counts 512 on every file system).
func (f *File) Allocated() uint64 { return uint64(f.st.Blocks) * 512 }

// ReadAt reads like io.ReaderAt. The bytes come through a buffer of the call's own, because a read
// that hangs may return when p already has another use.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	b, err := call(ctx, f, func() ([]byte, error) {
		b := make([]byte, len(p))
		n, err := f.pread(b, off)
		if err == io.EOF {
			return b[:n], nil
		}
		return b[:n], err
	})
	n := copy(p, b)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (f *File) pread(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m, err := unix.Pread(f.fd, p[n:], off+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, err
		case m == 0:
			return n, io.EOF
		default:
			n += m
		}
	}
	return n, nil
}

// Peek fills p from byte off with what is in the page cache, and reports whether all of it was
// there. RWF_NOWAIT brings nothing in; opened says why that matters.
func (f *File) Peek(p []byte, off int64) bool {
	n, err := unix.Preadv2(f.fd, [][]byte{p}, off, unix.RWF_NOWAIT)
	return err == nil && n == len(p)
}

// Seek is lseek(2). A block device has no holes that it could be asked for.
func (f *File) Seek(off int64, whence int) (int64, error) {
	if f.st.Mode&unix.S_IFMT == unix.S_IFBLK {
		return 0, unix.EINVAL
	}
	return unix.Seek(f.fd, off, whence)
}
