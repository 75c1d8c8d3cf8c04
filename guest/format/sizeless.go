package format

import (
	"math"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/img"
)

// UnknownSize is the Size of an image whose size cannot be told: larger than that of any disk, and
// a multiple of 512.
const UnknownSize = math.MaxInt64 &^ 511

// Sizeless is an image of which no more is known than the files that it names.
type Sizeless struct {
	Refs []img.Reference
	Why  *fault.Fault // why the size cannot be told
}

// Size is UnknownSize.
func (s *Sizeless) Size() uint64 { return UnknownSize }

// References are the files that the image names.
func (s *Sizeless) References() []img.Reference { return s.Refs }

// Walk emits nothing but Bad. qemu-img fails when a layer above leaves a part of the disk to an
// image without a size.
func (s *Sizeless) Walk(start, end uint64, sink Sink) *fault.Fault {
	if start < end {
		sink.Bad(end-start, s.Why)
	}
	return nil
}

// CheckSectors checks the number of sectors that the field at a device offset gives a disk. The
// fault for too many has the reason tooMany. qemu multiplies the number by 512 in 64 bits, and
// opens an image whose size then looks small enough, but cannot map it: in a profile of qemu, that
// image is returned.
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
