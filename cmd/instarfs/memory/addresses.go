package memory

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// spareAddresses is what a mount needs in addition to its maps and machines: buffers, threads.
	spareAddresses = 128 << 20
	// leastSpare is what it cannot do without if it has one machine only: the heap grows by as
	// much.
	leastSpare = 64 << 20
)

// freeAddresses returns how much address space may still be used, math.MaxUint64 without a limit.
func freeAddresses() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &l) != nil || l.Cur == unix.RLIM_INFINITY {
		return math.MaxUint64
	}
	statm, err := os.ReadFile("/proc/self/statm") // its first number is the size in pages
	if err != nil {
		return math.MaxUint64
	}
	used, _, _ := strings.Cut(string(statm), " ")
	pages, err := strconv.ParseUint(used, 10, 64)
	if err != nil {
		return math.MaxUint64
	}
	return l.Cur - min(l.Cur, pages*uint64(os.Getpagesize()))
}

// addressesForMaps returns how much of the address space maps may take: half, because the other
// half is for machines; math.MaxInt64 without a limit.
func addressesForMaps() int64 {
	free := freeAddresses()
	if free == math.MaxUint64 {
		return math.MaxInt64
	}
	return int64(free-min(free, spareAddresses)) / 2
}

// MachinesThatFit returns how many machines, each of so many bytes, a mount can have in the address
// space in addition to its maps; 0 stands for any number. An error says that there is no room for
// one.
func MachinesThatFit(machine, maps uint64) (int, error) {
	free := freeAddresses()
	if free == math.MaxUint64 {
		return 0, nil
	}
	need := spareAddresses + maps
	fit := (free - min(free, need)) / machine
	// The runtime may have taken a part of the spare addresses before: one time in forty.
	if need = leastSpare + maps; fit == 0 && free >= need+machine {
		fit = 1
	}
	if fit == 0 {
		return 0, fmt.Errorf("%d MiB of address space are left, and a mount needs %d: "+
			"raise the limit (ulimit -v, prlimit --as, LimitAS=)", free>>20, (need+machine)>>20)
	}
	return int(min(fit, math.MaxInt32)), nil
}
