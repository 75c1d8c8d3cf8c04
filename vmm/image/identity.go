package image

import (
	"context"

	"golang.org/x/sys/unix"
)

// Identity distinguishes the content of a file from the content of every other file, past and
// present, as far as a file system can.
type Identity struct {
	Dev, Ino uint64
	Size     int64 // bytes
	MTimeNs  int64 // last change of the content, nanoseconds since 1970
	CTimeNs  int64 // last change of the content or the inode, nanoseconds since 1970
}

// IdentityOf returns the identity of a file as stat(2) describes it.
func IdentityOf(st *unix.Stat_t) Identity {
	return Identity{
		Dev: st.Dev, Ino: st.Ino, Size: st.Size, MTimeNs: st.Mtim.Nano(), CTimeNs: st.Ctim.Nano(),
	}
}

// Identity is the identity of the image, as of Stat.
func (f *File) Identity() Identity { return IdentityOf(&f.st) }

// Changed calls fstat(2) again, and reports whether the content is another one than before. A file
// that was replaced or renamed, which only its links and its ctime show, still has its content.
func (f *File) Changed(ctx context.Context) (bool, error) {
	type state struct {
		st   unix.Stat_t
		size uint64
	}
	now, err := call(ctx, f, func() (now state, err error) {
		if err = unix.Fstat(f.fd, &now.st); err == nil {
			now.size, err = sizeOf(f.fd, &now.st)
		}
		return now, err
	})
	if err != nil {
		return false, err
	}
	if now.st.Mode&unix.S_IFMT == unix.S_IFBLK {
		now.st.Mtim = f.st.Mtim // it does not tell of changes, see files.AgeDevice
	}
	before, links := f.Identity(), f.st.Nlink
	f.st, f.size = now.st, now.size
	after := f.Identity()
	if f.st.Nlink != links {
		after.CTimeNs = before.CTimeNs
	}
	return after != before, nil
}
