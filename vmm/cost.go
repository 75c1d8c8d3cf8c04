package vmm

import "fmt"

const (
	// machineCost is the memory of a usual machine, bytes: 5 MiB that the booted guest and its run
	// have touched, buffers for records, and what the kernel needs.
	machineCost = 8 << 20
	// layerCost is what a layer has beside its extents, bytes: headers, and where it is kept.
	layerCost = 4 << 10
)

// measure accounts for what the guest has touched, which may be all of its memory.
func (m *machine) measure() error {
	n, err := resident(m.mem.b)
	if err != nil {
		return fmt.Errorf("mincore of guest memory: %w", err)
	}
	if more := n + machineCost/2 - int(m.lease.Bytes()); more > 0 {
		return m.lease.Grow(more)
	}
	return nil
}

// beside is the memory of a layer that is not its map's, bytes.
func (l *Layer) beside() int {
	const fault, reference = 256, 128
	n := fault*len(l.Faults) + reference*len(l.References)
	for i := range l.References {
		n += len(l.References[i].Name) + len(l.References[i].Format)
	}
	for _, f := range l.Faults {
		n += len(f.Text)
	}
	return n
}

// Bytes is the memory that l holds, bytes.
func (l *Layer) Bytes() int { return layerCost + l.Map.Bytes() + l.beside() }
