package format

import (
	"math"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/img"
)

// UnknownSize is the Size of an image whose size is unknown: larger than any disk, and a
// multiple of 512.
const UnknownSize = math.MaxInt64 &^ 511

// Sizeless is an image of which only the files that it names are known.
type Sizeless struct {
	Refs []img.Reference
	Why  *fault.Fault // why the size is unknown
}

// Size returns UnknownSize.
func (s *Sizeless) Size() uint64 { return UnknownSize }

// References returns the files that the image names.
func (s *Sizeless) References() []img.Reference { return s.Refs }

// Walk emits only Bad: qemu-img fails when a layer above leaves a part of the disk to an image
// without a size.
func (s *Sizeless) Walk(start, end uint64, sink Sink) *fault.Fault {
	if start < end {
		sink.Bad(end-start, s.Why)
	}
	return nil
}

// CheckSectors checks the number of sectors of a disk, which is in the field at device offset
// off. The fault for too many has the reason tooMany. qemu multiplies the number by 512 in 64
// bits. If the product wraps around to a valid size, qemu opens the image, but cannot map it:
// in a profile of qemu, CheckSectors then returns such an image.
func CheckSectors(p *Params, sectors, off uint64, tooMany fault.Reason) (*Sizeless, *fault.Fault) {
	const sectorSize = 512
	switch {
	case sectors <= block.MaxOffset/sectorSize:
		return nil, nil
	case !p.Release.IsQemu(), sectors*sectorSize > block.MaxOffset:
		return nil, fault.New(tooMany, off)
	}
	p.Warn(fault.New(fault.NoSize, off))
	return &Sizeless{Why: fault.New(fault.SizeWraps, off)}, nil
}
