package files

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotRegular says that a file is a directory, FIFO, socket, device, or one that a kernel makes
// up.
var ErrNotRegular = errors.New("not a regular file or block device")

// File is what a path names, held by an O_PATH descriptor, which opens nothing.
type File struct {
	FD   int
	Dev  uint64 // of the file system that it lies on
	Stat unix.Stat_t
	List []byte // its access control list, see Narrow, as far as its mode may hide one

	// Device says that it may be opened although it is a block device. What an image names may
	// not.
	Device bool
}

// Close closes the descriptor.
func (f *File) Close() { unix.Close(f.FD) }

// Dup returns the file, without its Stat, with a descriptor of its own.
func (f *File) Dup() (*File, error) {
	fd, err := unix.FcntlInt(uintptr(f.FD), unix.F_DUPFD_CLOEXEC, 0)
	return &File{FD: fd, Dev: f.Dev}, err
}

func dropFile(f *File) {
	if f != nil {
		f.Close()
	}
}

// stat fills in Stat and List.
func (f *File) stat() error {
	if err := unix.Fstat(f.FD, &f.Stat); err != nil {
		return err
	}
	AgeDevice(&f.Stat)
	list, err := listed(ProcFD(f.FD), f.Stat.Mode)
	f.List = list
	return err
}

// deviceAge is how long what was found out of a block device may be used.
const deviceAge = 2 * time.Second

// AgeDevice sets the mtime of a block device to when the period of deviceAge began that it is now,
// and leaves other files alone. The kernel does not tell when the content of a device changed, so
// each period may have another.
func AgeDevice(st *unix.Stat_t) {
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		st.Mtim = unix.NsecToTimespec(time.Now().Truncate(deviceAge).UnixNano())
	}
}

// Regular checks that a descriptor, O_PATH or not, holds a file on a disk. The error is
// ErrNotRegular.
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
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC,
		unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC:
		return ErrNotRegular
	}
	return nil
}
