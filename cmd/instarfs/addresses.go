package main

import "golang.org/x/sys/unix"

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
)

// loweredFrom is the limit that entry lowered, bytes, or 0.
var loweredFrom uint64

// tooFewAddresses is what entry prints before it ends the program with status 1.
var tooFewAddresses = "instarfs: the address space is limited to less than 896 MiB, of which the " +
	"Go runtime reserves 690: raise the limit to 1 GiB or more (ulimit -v, prlimit --as, " +
	"LimitAS=)\n"

// restoreAddresses undoes what entry did to the limit.
func restoreAddresses() {
	var l unix.Rlimit
	if loweredFrom == 0 || unix.Getrlimit(unix.RLIMIT_AS, &l) != nil {
		return
	}
	l.Cur = loweredFrom
	_ = unix.Setrlimit(unix.RLIMIT_AS, &l) // not more than it was
}
