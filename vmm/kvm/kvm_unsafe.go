package kvm

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctl passes a number, or nothing, as the argument.
func ioctl(fd int, request, arg uintptr) (uintptr, error) {
	r, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, arg)
	if errno != 0 {
		return r, errno
	}
	return r, nil
}

// ioctlPtrN passes the address of arg, which mirrors the structure that the request takes.
func ioctlPtrN[T any](fd int, request uintptr, arg *T) (uintptr, error) {
	r, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(arg)))
	runtime.KeepAlive(arg)
	if errno != 0 {
		return r, errno
	}
	return r, nil
}

// ioctlPtr is ioctlPtrN for requests that answer with an error only.
func ioctlPtr[T any](fd int, request uintptr, arg *T) error {
	_, err := ioctlPtrN(fd, request, arg)
	return err
}

// addressOf is the address of memory that was made with mmap, which the garbage collector neither
// moves nor frees.
func addressOf(mem []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))) }

// addressOfWords is the address of a bitmap that its caller keeps alive during the call: heap
// objects do not move.
func addressOfWords(words []uint64) uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(words))))
}

// storeByte stores 0 or 1 where the kernel reads it at any moment. p is the second byte of struct
// kvm_run, so the aligned word around it is the structure's first one: the bytes beside it
// (request_interrupt_window, padding) stay 0.
func storeByte(p *byte, on bool) {
	word := (*uint32)(unsafe.Pointer(uintptr(unsafe.Pointer(p)) &^ 3))
	var v uint32
	if on {
		v = 1 << 8
	}
	atomic.StoreUint32(word, v)
}

// syncedRegs are the general registers in struct kvm_run. The kernel touches them during KVM_RUN
// only.
func (c *VCPU) syncedRegs() *Regs { return (*Regs)(unsafe.Pointer(&c.run[runSyncRegs])) }

// syncedSregs are the segment and control registers that follow.
func (c *VCPU) syncedSregs() *Sregs {
	return (*Sregs)(unsafe.Pointer(&c.run[runSyncRegs+unsafe.Sizeof(Regs{})]))
}
