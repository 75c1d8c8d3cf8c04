package chain

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"instarfs/cache"
	"instarfs/vmm/files"
	"instarfs/vmm/gate"
)

// image is an opened image file: opened once, looked at by fstat, and that descriptor is what the guest's device reads.
type image struct {
	gate *gate.Gate
	fd   int
	name string // as it is shown
	st   unix.Stat_t
	size uint64 // bytes

	held atomic.Int32 // by whom it must not be closed yet: who opened it, and runs
}

// newImage takes over a descriptor, and closes it when the file cannot be an image.
func newImage(g *gate.Gate, fd int, name string, st *unix.Stat_t) (*image, error) {
	f := &image{gate: g, fd: fd, name: name}
	f.held.Store(1)
	size, err := sizeOf(fd, st)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	f.st, f.size = *st, size
	// No reading ahead: it would bring in pages that nobody asked for, and on some file systems a page in the cache makes
	// what was reserved and never written look like data. That it may not work is no harm.
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

// do makes a call on the file, which stays open as long as the call takes.
func do[T any](ctx context.Context, f *image, call func() (T, error)) (T, error) {
	if !f.retain() {
		var none T
		return none, errAbandoned
	}
	return gate.Do(ctx, f.gate, gate.On{Device: f.st.Dev, Release: f.close}, nil, call)
}

// look takes over the file's attributes as they are now.
func (f *image) look(ctx context.Context) error {
	type now struct {
		st   unix.Stat_t
		size uint64
	}
	n, err := do(ctx, f, func() (n now, err error) {
		if err = unix.Fstat(f.fd, &n.st); err == nil {
			n.size, err = sizeOf(f.fd, &n.st)
		}
		return n, err
	})
	if err == nil {
		f.st, f.size = n.st, n.size
	}
	return err
}

// retain keeps f open until another close, unless it has been closed already.
func (f *image) retain() bool {
	for {
		n := f.held.Load()
		if n == 0 {
			return false
		}
		if f.held.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (f *image) close() {
	if f.held.Add(-1) == 0 {
		unix.Close(f.fd)
	}
}

// identity is what tells the content of a file from any other.
func identity(st *unix.Stat_t) cache.Identity {
	return cache.Identity{
		Dev: st.Dev, Ino: st.Ino, Size: st.Size, MTimeNs: st.Mtim.Nano(), CTimeNs: st.Ctim.Nano(),
	}
}

// identity is the file's as of the last look.
func (f *image) identity() cache.Identity { return identity(&f.st) }

// changed looks again, and reports whether the content is not what it was before. A file that was replaced or renamed, which
// shows in its links and its ctime only, has the content that it had.
func (f *image) changed(ctx context.Context) (bool, error) {
	before, links := f.identity(), f.st.Nlink
	if err := f.look(ctx); err != nil {
		return false, err
	}
	after := f.identity()
	if f.st.Nlink != links {
		after.CTimeNs = before.CTimeNs
	}
	return after != before, nil
}

// allocated is what the file occupies, bytes (st_blocks counts 512 whatever the file system).
func (f *image) allocated() uint64 { return uint64(f.st.Blocks) * 512 }

// dmg reports whether a name alone makes qemu take the file for an Apple disk image.
func dmg(name string) bool { return len(name) > len(".dmg") && strings.HasSuffix(name, ".dmg") }

// ReadAt implements session.Image. The bytes come by a buffer of the read's own, because a read that hangs may end when p is
// somebody else's.
func (f *image) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	var b []byte
	err := reading(ctx, func(ctx context.Context) (err error) {
		b, err = do(ctx, f, func() ([]byte, error) {
			b := make([]byte, len(p))
			n, err := f.pread(b, off)
			if err == io.EOF {
				return b[:n], nil
			}
			return b[:n], err
		})
		return err
	})
	n := copy(p, b)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (f *image) pread(p []byte, off int64) (n int, err error) {
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

// Peek implements session.Image with what is in the page cache. RWF_NOWAIT brings nothing in, which openImage says why.
func (f *image) Peek(p []byte, off int64) bool {
	n, err := unix.Preadv2(f.fd, [][]byte{p}, off, unix.RWF_NOWAIT)
	return err == nil && n == len(p)
}

// Seek is lseek(2). A block device has no holes that could be asked for.
func (f *image) Seek(off int64, whence int) (int64, error) {
	if f.st.Mode&unix.S_IFMT == unix.S_IFBLK {
		return 0, unix.EINVAL
	}
	return unix.Seek(f.fd, off, whence)
}
