package image

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// fsIocFiemap is FS_IOC_FIEMAP of linux/fs.h.
const fsIocFiemap = 0xc020660b

// listedExtents is how many extents are listed at once.
const listedExtents = 512

// fiemap is a struct fiemap of linux/fiemap.h, with room for what it lists.
type fiemap struct {
	start, length uint64 // bytes of the file
	flags         uint32
	mapped, count uint32 // how many extents there are, and how many fit
	reserved      uint32
	extents       [listedExtents]fiemapExtent
}

// fiemapExtent is a struct fiemap_extent.
type fiemapExtent struct {
	logical, physical, length uint64 // bytes
	_                         [2]uint64
	flags                     uint32
	_                         [3]uint32
}

// list lists extents of a file. Nothing of the answer is checked.
func (m *fiemap) list(fd int) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsIocFiemap,
		uintptr(unsafe.Pointer(m)))
	if errno != 0 {
		return errno
	}
	return nil
}
