package process

import (
	"unsafe"

	"instarfs/guest/abi"
)

// forkMemory is all the memory of a new process until it executes the program.
type forkMemory struct {
	out struct {
		header  [3]uint32 // an encoded abi.Header, on machines that are little-endian
		results [maxForkSteps]uint64
	}
	in      [3]uint32
	payload [32 << 10]byte
}

// maxForkSteps is how many steps a message to a new process may have.
const maxForkSteps = 256

// fork is clone(2) without a stack of its own. The new process does not return: it carries out
// steps for the host, until one of them executes a program.
//
// The new process has this thread alone, and the Go runtime in it believes that it has more: if it
// ever handed the processor to another one, it would wait for ever. It does that in the prologue of
// a function, when it is told to be preempted, so no function that runs there has one: all are
// nosplit, and none allocates.
//
//go:nosplit
func fork(flags uintptr, m *forkMemory) (pid uintptr) {
	pid = syscall6(sysClone, flags, 0, 0, 0, 0, 0)
	if pid != 0 {
		return pid
	}
	for {
		transfer(sysRead, unsafe.Pointer(&m.in), abi.HeaderLen)
		kind, n, length := m.in[0], m.in[1], m.in[2]
		if kind != abi.MsgSteps || n > maxForkSteps || uintptr(length) > unsafe.Sizeof(m.payload) {
			leave()
		}
		transfer(sysRead, unsafe.Pointer(&m.payload), uintptr(length))
		carryOut(uintptr(n), unsafe.Pointer(&m.payload), unsafe.Pointer(&m.out.results))
		m.out.header = [3]uint32{abi.MsgStepsDone, n, 8 * n}
		transfer(sysWrite, unsafe.Pointer(&m.out.header), abi.HeaderLen)
		transfer(sysWrite, unsafe.Pointer(&m.out.results), 8*uintptr(n))
	}
}

// transfer reads or writes n bytes of the stream.
//
//go:nosplit
func transfer(nr uintptr, b unsafe.Pointer, n uintptr) {
	for n > 0 {
		done := syscall6(nr, channelFD, uintptr(b), n, 0, 0, 0)
		switch {
		case done == eINTR:
		case done == 0 || done > n:
			leave()
		default:
			b = unsafe.Add(b, done)
			n -= done
		}
	}
}

// leave ends the process.
//
//go:nosplit
func leave() { syscall6(sysExitGroup, 1, 0, 0, 0, 0, 0) }
