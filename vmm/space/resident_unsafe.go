package space

import (
	"bytes"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Resident is how many bytes of a mapping of whole pages are in memory, by mincore(2).
func Resident(mapping []byte) (int, error) {
	pages := make([]byte, len(mapping)/PageLen)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE,
		uintptr(unsafe.Pointer(unsafe.SliceData(mapping))), uintptr(len(mapping)),
		uintptr(unsafe.Pointer(unsafe.SliceData(pages))))
	if errno != 0 {
		return 0, errno
	}
	return (len(pages) - bytes.Count(pages, []byte{0})) * PageLen, nil
}
