package chain

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/cache"
)

// image is an opened image file: opened once, looked at by fstat, and that descriptor is what the guest's device reads.
type image struct {
	fd   int
	name string // as it is shown
	st   unix.Stat_t
	size uint64 // bytes

	held atomic.Int32 // by whom it must not be closed yet: who opened it, and runs
}

// openImage takes over a descriptor, and closes it when the file cannot be an image.
func openImage(fd int, name string) (*image, error) {
	f := &image{fd: fd, name: name}
	f.held.Store(1)
	if err := f.look(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	// No reading ahead: it would bring in pages that nobody asked for, and on some file systems a page in the cache makes
	// what was reserved and never written look like data. That it may not work is no harm.
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM)
	return f, nil
}

func (f *image) look() error {
	if err := unix.Fstat(f.fd, &f.st); err != nil {
		return err
	}
	switch f.st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		f.size = uint64(f.st.Size)
	case unix.S_IFBLK:
		n, err := deviceSize(f.fd)
		if err != nil {
			return fmt.Errorf("size of the block device: %w", err)
		}
		f.size = n
	default:
		return ErrNotRegular
	}
	return nil
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

// identity is the file's as of the last look.
func (f *image) identity() cache.Identity { return identity(&f.st) }

// changed looks again, and reports whether the content is not what it was before. A file that was replaced or renamed, which
// shows in its links and its ctime only, has the content that it had.
func (f *image) changed() (bool, error) {
	before, links := f.identity(), f.st.Nlink
	if err := f.look(); err != nil {
		return false, err
	}
	after := f.identity()
	if f.st.Nlink != links {
		after.CTimeNs = before.CTimeNs
	}
	return after != before, nil
}

// quiet is how long ago a file must have changed before it is read. The kernel notes the time of a write before it copies
// the bytes, and its clock has ticks of some milliseconds: what is read too soon may lack bytes of the very identity that it
// would be kept for. No write of a disk image's metadata takes longer.
const quiet = 30 * time.Millisecond

// settle waits until what is read from now on is the content of the identity that the file has. A write that is under way, however
// long it takes, holds the file's lock, for which lseek(2) waits on most file systems.
func (f *image) settle() {
	_, _ = f.Seek(0, unix.SEEK_DATA)
	if age := time.Since(time.Unix(f.st.Mtim.Unix())); age >= 0 && age < quiet {
		time.Sleep(quiet - age)
	}
}

// allocated is what the file occupies, bytes (st_blocks counts 512 whatever the file system).
func (f *image) allocated() uint64 { return uint64(f.st.Blocks) * 512 }

// dmg reports whether a name alone makes qemu take the file for an Apple disk image.
func dmg(name string) bool { return len(name) > len(".dmg") && strings.HasSuffix(name, ".dmg") }

// ReadAt implements vmm.Image without the bookkeeping of os.File, which a thousand reads a run would feel.
func (f *image) ReadAt(_ context.Context, p []byte, off int64) (n int, err error) {
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

// Peek implements vmm.Image with what is in the page cache. RWF_NOWAIT brings nothing in, which openImage says why.
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
