package chain

import (
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

// users looks who uses a file, without locking anything. always are the permissions that any reader needs, asWritten those
// that one needs who must not see the file change: everybody but the reader of a raw image, whose bytes mean themselves.
func (f *image) users() (always, asWritten *lockError) {
	if f.locked(lockShares + permRead) {
		always = &lockError{f.name, `"consistent read"`}
	}
	switch {
	case f.locked(lockUses + permWrite):
		asWritten = &lockError{f.name, `shared "write"`}
	case f.locked(lockUses + permResize):
		asWritten = &lockError{f.name, `shared "resize"`}
	}
	return always, asWritten
}

// dataUsers is users of a file that is no image of its own: its bytes may change, not its length.
func (f *image) dataUsers() *lockError {
	always, _ := f.users()
	if always == nil && f.locked(lockUses+permResize) {
		return &lockError{f.name, `shared "resize"`}
	}
	return always
}

// locked reports whether somebody else holds a lock on a byte. A file system without locks has none.
func (f *image) locked(at int64) bool {
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: unix.SEEK_SET, Start: at, Len: 1}
	return unix.FcntlFlock(uintptr(f.fd), unix.F_OFD_GETLK, &l) == nil && l.Type != unix.F_UNLCK
}
