package image

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// deviceSize is the size of a block device in bytes (BLKGETSIZE64 of linux/fs.h).
func deviceSize(fd int) (n uint64, err error) {
	_, _, errno := unix.Syscall(
		unix.SYS_IOCTL, uintptr(fd), unix.BLKGETSIZE64, uintptr(unsafe.Pointer(&n)))
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}
