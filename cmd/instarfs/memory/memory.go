// Package memory says how much memory and address space this process may use, and gives back to the
// system what it does not need. It decides nothing about what the memory is for. All numbers are in
// bytes.
package memory

import (
	"math"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

const (
	// Least is the least that maps may be allowed to take: the program, and a machine or two with
	// small maps.
	Least = 64 << 20
	// leastShare is the default where nothing limits the process, if a share of the computer's
	// memory is less.
	leastShare = 256 << 20
	// machineRoom is memory that the heap must leave to machines.
	machineRoom = 24 << 20
)

// Default returns how much maps may take if the user does not say: a share of what there is for
// this process, and at least Least.
func Default() int64 {
	n := int64(math.MaxInt64)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		n = max(int64(info.Totalram)*int64(info.Unit)/4, leastShare)
	}
	if limit, ok := cgroupMemory(os.DirFS("/")); ok {
		n = min(n, limit-limit/4)
	}
	n = min(n, addressesForMaps())
	return max(min(n, debug.SetMemoryLimit(-1)), Least)
}

// LimitHeap keeps the heap, with what is not collected yet, to n bytes less the room for machines,
// or to GOMEMLIMIT if that is less. What is reachable is bounded elsewhere, so the heap never has
// to be collected again and again.
func LimitHeap(n int64) { debug.SetMemoryLimit(min(debug.SetMemoryLimit(-1), n-machineRoom)) }
