package process

import (
	"runtime"
	"unsafe"

	"instarfs/guest/abi"
)

const eINTR = ^uintptr(4 - 1) // -EINTR

// read fills some of b, which is not empty, from a descriptor. It returns 0 at the end of the
// stream and for every error.
func read(fd uintptr, b []byte) int {
	for {
		n := syscall6(sysRead, fd,
			uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
		if n != eINTR {
			return bounded(n, len(b))
		}
	}
}

// iovec mirrors struct iovec (include/uapi/linux/uio.h).
type iovec struct {
	base unsafe.Pointer
	len  uint64
}

// writev writes some of the bytes of parts to a descriptor. It returns 0 for every error.
func writev(fd uintptr, parts [][]byte) int {
	var v [4]iovec
	total := 0
	for i, b := range parts {
		v[i] = iovec{unsafe.Pointer(unsafe.SliceData(b)), uint64(len(b))}
		total += len(b)
	}
	for {
		n := syscall6(sysWritev, fd, uintptr(unsafe.Pointer(&v)), uintptr(len(parts)), 0, 0, 0)
		if n != eINTR {
			runtime.KeepAlive(parts)
			return bounded(n, total)
		}
	}
}

// bounded is a result of the kernel as a number of bytes, of which there are most at most.
func bounded(n uintptr, most int) int {
	if n > uintptr(most) {
		return 0
	}
	return int(n)
}

// CarryOut makes the system calls of the payload of a MsgSteps, and returns the result of each, 8
// bytes.
func CarryOut(n int, payload []byte) []byte {
	results := make([]byte, 8*n)
	carryOut(uintptr(n), unsafe.Pointer(unsafe.SliceData(payload)),
		unsafe.Pointer(unsafe.SliceData(results)))
	runtime.KeepAlive(payload)
	return results
}

// carryOut is CarryOut without the Go runtime, see confine. The payload is the host's and well
// formed: this process has seen no image yet.
//
//go:nosplit
func carryOut(n uintptr, payload, results unsafe.Pointer) {
	refs := uintptr(*(*uint32)(payload))
	steps := unsafe.Add(payload, 4)
	ref := unsafe.Add(steps, n*abi.StepLen)
	memory := unsafe.Add(ref, refs*abi.RefLen)
	for range refs {
		at, to := *(*uint32)(ref), *(*uint32)(unsafe.Add(ref, 4))
		*(*uint64)(unsafe.Add(memory, at)) = uint64(uintptr(memory)) + uint64(to)
		ref = unsafe.Add(ref, abi.RefLen)
	}
	for i := range n {
		step := unsafe.Add(steps, i*abi.StepLen)
		var a [6]uintptr
		for j := range uintptr(len(a)) {
			v := uintptr(*(*uint64)(unsafe.Add(step, 8+8*j)))
			switch *(*byte)(unsafe.Add(step, 56+j)) {
			case abi.ArgMemory:
				v += uintptr(memory)
			case abi.ArgResult:
				v = uintptr(*(*uint64)(unsafe.Add(results, 8*v)))
			}
			a[j] = v
		}
		r := syscall6(uintptr(*(*uint64)(step)), a[0], a[1], a[2], a[3], a[4], a[5])
		*(*uint64)(unsafe.Add(results, 8*i)) = uint64(r)
	}
}
