package vmm

import (
	"fmt"

	"instarfs/guest/abi"
	"instarfs/vmm/space"
)

// MachineAddresses is the address space that each machine of a pool takes, bytes.
const MachineAddresses = abi.RAMLen + 1<<20

// machineCost is the memory of a usual machine, bytes: 5 MiB that the booted guest and its run have
// touched, buffers for records, and what the kernel needs.
const machineCost = 8 << 20

// measure accounts for what the guest has touched, which may be all of its memory.
func (m *machine) measure() error {
	n, err := space.Resident(m.mem.Bytes)
	if err != nil {
		return fmt.Errorf("mincore of guest memory: %w", err)
	}
	if more := n + machineCost/2 - int(m.lease.Bytes()); more > 0 {
		return m.lease.Grow(more)
	}
	return nil
}
