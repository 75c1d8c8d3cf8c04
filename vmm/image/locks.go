package image

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// QEMU locks single bytes of the images that it has open (block/file-posix.c): byte 100+p means
// that a process uses permission p, byte 200+p that it does not share p with others. A lock of any
// kind counts.
const (
	lockUses   = 100
	lockShares = 200

	permRead   = 0
	permWrite  = 1
	permResize = 3
)

// LockError says that another process has an image open in a way that excludes a reader.
type LockError struct {
	name string // of the file
	what string // qemu-img's words for the lock
}

func (e *LockError) Error() string {
	return "in use: another process has it open for writing " +
		"(wait for that to end, or read it all the same with -U)"
}

// QemuText is what qemu-img prints, in two lines.
func (e *LockError) QemuText() string {
	return fmt.Sprintf("Failed to get %s lock\nIs another process using the image [%s]?",
		e.what, e.name)
}

// Reader is a kind of reader, which locks may exclude.
type Reader uint8

const (
	// ImageReader reads an image that must not change: its metadata would not match its data.
	ImageReader Reader = iota
	// RawReader reads a raw image, which may change: it has no metadata.
	RawReader
	// DataReader reads a file that holds the data of another image: its bytes may change, its
	// length may not.
	DataReader
)

// Locks are the locks that other processes have on a file.
type Locks struct {
	read   *LockError // excludes every reader of an image
	change *LockError // excludes in addition a reader of what must not change
	data   *LockError // excludes a DataReader
}

// LocksOf looks at the locks on an open file, without locking anything. name is the name that
// errors show.
func LocksOf(fd int, name string) (l Locks) {
	if locked(fd, lockShares+permRead) {
		l.read = &LockError{name, `"consistent read"`}
	}
	resizes := locked(fd, lockUses+permResize)
	switch {
	case locked(fd, lockUses+permWrite):
		l.change = &LockError{name, `shared "write"`}
	case resizes:
		l.change = &LockError{name, `shared "resize"`}
	}
	if l.data = l.read; l.data == nil && resizes {
		l.data = &LockError{name, `shared "resize"`}
	}
	return l
}

// Locks looks at the locks on the image.
func (f *File) Locks(ctx context.Context) (Locks, error) {
	return call(ctx, f, func() (Locks, error) { return LocksOf(f.fd, f.name), nil })
}

// Err returns a *LockError if the locks exclude a reader.
func (l Locks) Err(r Reader) error {
	switch {
	case r == DataReader && l.data != nil:
		return l.data
	case r == DataReader:
		return nil
	case l.read != nil:
		return l.read
	case l.change != nil && r == ImageReader:
		return l.change
	}
	return nil
}

// locked reports whether another process holds a lock on a byte. A file system without locks has
// none.
func locked(fd int, at int64) bool {
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: unix.SEEK_SET, Start: at, Len: 1}
	return unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, &l) == nil && l.Type != unix.F_UNLCK
}
