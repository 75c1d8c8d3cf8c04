package memory

import (
	"math"
	"runtime"

	"golang.org/x/sys/unix"
)

// heapRoom is how much of the heap may lie in huge pages: 58 million extents.
const heapRoom = 1 << 30

// AskForHugePages asks the kernel to back the first n bytes of the heap with huge pages, which it
// does if the system leaves that to programs, as many distributions set it. The map of a million
// extents is five thousand small pages, each a fault when it is touched first: on virtual
// processors for which the hypervisor keeps page tables these take longer than all else. Only speed
// depends on it, so failure is no error. It takes some milliseconds.
func AskForHugePages(n uint64) {
	if freeAddresses() < math.MaxUint64 {
		return // under a limit, other things need them more
	}
	n = min(n, heapRoom)
	// The runtime would end the program if there is no such room.
	trial, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil || unix.Munmap(trial) != nil {
		return
	}
	// This memory is not touched. It is free again at once, and the runtime fills the heap from its
	// lowest address up.
	_ = unix.Madvise(make([]byte, n), unix.MADV_HUGEPAGE)
	runtime.GC()
}
