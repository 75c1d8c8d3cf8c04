package process

import (
	"unsafe"

	"instarfs/guest/abi"
)

// startMemory is all the memory of the program until it is executed for the second time.
type startMemory struct {
	out struct {
		header  [3]uint32 // an encoded abi.Header, on machines that are little-endian
		results [maxStartSteps]uint64
	}
	in      [3]uint32
	payload [32 << 10]byte
}

var start startMemory

// maxStartSteps is how many steps a message may have.
const maxStartSteps = 256

// entry is the first code of the program (the linker's option -E). A program that was started with
// an argument is there to be confined, and to be executed again: it calls confine. Any other one
// starts as all Go programs do. It is written in assembly.
func entry()

// The one is for the linker alone, the other for entry alone.
var _, _ = entry, confine

// confine carries out the host's messages: steps, the last of which executes the program again,
// and forks. To start the Go runtime for that would take a millisecond, and a process that forks
// could not have one, for it has one thread afterwards. So no function that runs here may need it:
// all are nosplit, since there is no stack to check, and none allocates.
//
//go:nosplit
func confine() {
	m := &start
	for {
		transfer(sysRead, unsafe.Pointer(&m.in), abi.HeaderLen)
		kind, n, length := m.in[0], m.in[1], m.in[2]
		switch {
		case kind == abi.MsgFork && length == 0:
			fork(m, uintptr(n))
		case kind == abi.MsgSteps && n <= maxStartSteps &&
			uintptr(length) <= unsafe.Sizeof(m.payload):
			transfer(sysRead, unsafe.Pointer(&m.payload), uintptr(length))
			carryOut(uintptr(n), unsafe.Pointer(&m.payload), unsafe.Pointer(&m.out.results))
			m.out.header = [3]uint32{abi.MsgStepsDone, n, 8 * n}
			transfer(sysWrite, unsafe.Pointer(&m.out.header), abi.HeaderLen)
			transfer(sysWrite, unsafe.Pointer(&m.out.results), 8*uintptr(n))
		default:
			leave(1)
		}
	}
}

// fork continues as a new process. This one tells the host which it is, and ends.
//
//go:nosplit
func fork(m *startMemory, flags uintptr) {
	pid := syscall6(sysClone, flags, 0, 0, 0, 0, 0)
	if pid == 0 {
		return
	}
	m.out.header = [3]uint32{abi.MsgForked, uint32(pid), 0}
	transfer(sysWrite, unsafe.Pointer(&m.out.header), abi.HeaderLen)
	if int32(pid) > 0 {
		leave(0)
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
			leave(1)
		default:
			b = unsafe.Add(b, done)
			n -= done
		}
	}
}

// leave ends the process.
//
//go:nosplit
func leave(status uintptr) { syscall6(sysExitGroup, status, 0, 0, 0, 0, 0) }
