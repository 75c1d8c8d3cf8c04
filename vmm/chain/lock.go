package chain

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// QEMU locks single bytes of the images that it has open (block/file-posix.c): byte 100+p says that somebody uses
// permission p, byte 200+p that somebody does not share it with others. A lock of any kind counts.
const (
	lockUses   = 100
	lockShares = 200

	permRead   = 0
	permWrite  = 1
	permResize = 3
)

// lockError says that somebody else has an image open in a way that a reader cannot do with.
type lockError struct {
	name string // of the file
	what string // qemu-img's words for the lock
}

func (e *lockError) Error() string {
	return "in use: another process has it open for writing (wait for that to end, or read it all the same with -U)"
}

// qemuText is what qemu-img says, in two lines.
func (e *lockError) qemuText() string {
	return fmt.Sprintf("Failed to get %s lock\nIs another process using the image [%s]?", e.what, e.name)
}

// users are those who have a file open in ways that a reader may have to mind.
type users struct {
	// always are the permissions that any reader needs, asWritten those that one needs who must not see the file change:
	// everybody but the reader of a raw image, whose bytes mean themselves. data is what the reader of a file needs that is no
	// image of its own: its bytes may change, not its length.
	always, asWritten, data *lockError
}

// usersOf looks who uses an open file, without locking anything.
func usersOf(fd int, name string) (u users) {
	if locked(fd, lockShares+permRead) {
		u.always = &lockError{name, `"consistent read"`}
	}
	resizes := locked(fd, lockUses+permResize)
	switch {
	case locked(fd, lockUses+permWrite):
		u.asWritten = &lockError{name, `shared "write"`}
	case resizes:
		u.asWritten = &lockError{name, `shared "resize"`}
	}
	if u.data = u.always; u.data == nil && resizes {
		u.data = &lockError{name, `shared "resize"`}
	}
	return u
}

// users looks who uses the file.
func (f *image) users(ctx context.Context) (users, error) {
	return do(ctx, f, func() (users, error) { return usersOf(f.fd, f.name), nil })
}

// err is what keeps a reader from a file: of a raw image, of another, or of a file that is no image of its own.
func (u users) err(raw, data bool) error {
	switch {
	case data && u.data != nil:
		return u.data
	case data:
		return nil
	case u.always != nil:
		return u.always
	case u.asWritten != nil && !raw:
		return u.asWritten
	}
	return nil
}

// locked reports whether somebody else holds a lock on a byte. A file system without locks has none.
func locked(fd int, at int64) bool {
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: unix.SEEK_SET, Start: at, Len: 1}
	return unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, &l) == nil && l.Type != unix.F_UNLCK
}
