package main

import (
	"math"
	"runtime"

	"golang.org/x/sys/unix"
)

// heapRoom bounds how much of the heap is to lie in huge pages, bytes: 58 million extents.
const heapRoom = 1 << 30

// askForHugePages has the kernel back the first n bytes of the heap with huge pages, where it leaves that to programs, as
// many distributions set it. The map of a million extents is five thousand small pages, each a fault when it is touched first:
// on virtual processors for which the hypervisor keeps page tables these take longer than all else. It is a matter of speed
// only, so nothing is done about failure. It takes some milliseconds, which nobody has to wait for.
func askForHugePages(n uint64) {
	if freeAddresses() < math.MaxUint64 {
		return // under a limit, other things need them more
	}
	n = min(n, heapRoom)
	// The runtime would end the program if there is no such room.
	trial, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil || unix.Munmap(trial) != nil {
		return
	}
	// Nothing of this is touched. It is free again at once, and the runtime fills the heap from its lowest address up.
	_ = unix.Madvise(make([]byte, n), unix.MADV_HUGEPAGE)
	runtime.GC()
}
