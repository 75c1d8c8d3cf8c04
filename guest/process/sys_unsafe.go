package process

import (
	"encoding/binary"
	"runtime"
	"unsafe"

	"instarfs/guest/abi"
)

const eINTR = ^uintptr(4 - 1) // -EINTR

// read fills some of b, which is not empty, from a descriptor. It returns 0 at the end of the stream
// and for every error.
func read(fd uintptr, b []byte) int {
	for {
		n := syscall6(sysRead, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
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
	le := binary.LittleEndian
	steps, refs, memory := abi.DecodeSteps(n, payload)
	base := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(memory))))
	for ; len(refs) > 0; refs = refs[abi.RefLen:] {
		le.PutUint64(memory[le.Uint32(refs):], base+uint64(le.Uint32(refs[4:])))
	}
	results := make([]byte, 0, 8*n)
	for ; len(steps) > 0; steps = steps[abi.StepLen:] {
		var a [6]uintptr
		for i := range a {
			v := le.Uint64(steps[8+8*i:])
			switch steps[56+i] {
			case abi.ArgMemory:
				v += base
			case abi.ArgResult:
				v = le.Uint64(results[8*v:])
			}
			a[i] = uintptr(v)
		}
		r := syscall6(uintptr(le.Uint64(steps)), a[0], a[1], a[2], a[3], a[4], a[5])
		results = le.AppendUint64(results, uint64(r))
	}
	runtime.KeepAlive(payload)
	return results
}
