package jail

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiveNotification calls SECCOMP_IOCTL_NOTIF_RECV of include/uapi/linux/seccomp.h.
func receiveNotification(fd int, b *[80]byte) error {
	const request = 3<<30 | 80<<16 | '!'<<8 // SECCOMP_IOWR(0, struct seccomp_notif)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(b)))
	if errno != 0 {
		return errno
	}
	return nil
}
