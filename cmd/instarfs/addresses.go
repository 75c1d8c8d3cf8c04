package main

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"instarfs/vmm"
)

// Under a limit of the address space (ulimit -v; OpenStack and KubeVirt give qemu-img 1 GiB) the Go
// runtime decides at its start how much it reserves. It wants 1.2 GiB, of which it can do without
// the last 512 MiB. When it gets these and then nothing more, or not the first part, it ends the
// program and prints what only its makers understand. So entry comes first.
const (
	// leastAddresses is the limit below which even a small map is not made, bytes.
	leastAddresses = 896 << 20
	// fewAddresses is a limit under which the runtime does not get its last part, and works.
	fewAddresses = 1 << 30
	// manyAddresses is enough for all that the runtime reserves and for a map. Between the two
	// entry lowers the limit to fewAddresses, until the runtime has started.
	manyAddresses = 3 << 29
	// spareAddresses is what a mount needs beside its maps and machines, bytes: buffers, threads.
	spareAddresses = 128 << 20
	// leastSpare is what it cannot do without next to its only machine, bytes: the heap grows by as
	// much.
	leastSpare = 64 << 20
)

// loweredFrom is the limit that entry lowered, bytes, or 0.
var loweredFrom uint64

// tooFewAddresses is what entry prints before it ends the program with status 1.
var tooFewAddresses = "instarfs: the address space is limited to less than 896 MiB, of which the " +
	"Go runtime reserves 690: raise the limit to 1 GiB or more (ulimit -v, prlimit --as, LimitAS=)\n"

// restoreAddresses undoes what entry did to the limit.
func restoreAddresses() {
	var l unix.Rlimit
	if loweredFrom == 0 || unix.Getrlimit(unix.RLIMIT_AS, &l) != nil {
		return
	}
	l.Cur = loweredFrom
	_ = unix.Setrlimit(unix.RLIMIT_AS, &l) // not more than it was
}

// freeAddresses is how much address space may still be used, bytes; math.MaxUint64 without a limit.
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

// addressesForMaps is how much of the address space maps may take, bytes: half, for the other half
// is for machines; math.MaxInt64 without a limit.
func addressesForMaps() int64 {
	free := freeAddresses()
	if free == math.MaxUint64 {
		return math.MaxInt64
	}
	return int64(free-min(free, spareAddresses)) / 2
}

// machinesThatFit is how many machines a mount can have in the address space beside so many bytes
// for maps, 0 for any number.
func machinesThatFit(maps uint64) (int, error) {
	free := freeAddresses()
	if free == math.MaxUint64 {
		return 0, nil
	}
	need := spareAddresses + maps
	fit := (free - min(free, need)) / vmm.MachineAddresses
	// The runtime may have taken a part of what is to be spared before anybody asks: one time in
	// forty.
	if need = leastSpare + maps; fit == 0 && free >= need+vmm.MachineAddresses {
		fit = 1
	}
	if fit == 0 {
		return 0, fmt.Errorf("%d MiB of address space are left, and a mount needs %d: "+
			"raise the limit (ulimit -v, prlimit --as, LimitAS=)",
			free>>20, (need+vmm.MachineAddresses)>>20)
	}
	return int(min(fit, math.MaxInt32)), nil
}
