// Package format is what every image format implements, and what they share. The packages below
// it, one for each format, are the only code that interprets bytes of an image. They run in the
// guest; tests and fuzzers run the same code on the host.
package format

import (
	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
)

// HeadLen is how many bytes of a device a probe gets, padded with zeroes (qemu:
// BLOCK_PROBE_BUF_SIZE).
const HeadLen = 512

// Params is what a format gets in addition to the bytes of the device.
type Params struct {
	Dev block.Device
	// Allocated is st_blocks*512 of the image file, bytes.
	Allocated uint64
	// Release is the release of qemu to imitate, if any.
	Release img.Release

	// Results of Open in addition to those that it returns. Warnings are printed, see
	// fault.Fault. Refuse is the fault of an image that qemu refuses only after it has opened
	// the files that hold its data: faults of those come first.
	Warnings []*fault.Fault
	Refuse   *fault.Fault
}

// RefuseLate makes the results of Open for an image that is refused with f once the files that
// it names are open. Without such files, and outside the profiles of qemu, f is returned at
// once.
func (p *Params) RefuseLate(f *fault.Fault, refs []img.Reference) (Image, *fault.Fault) {
	if !p.Release.IsQemu() || len(refs) == 0 {
		return nil, f
	}
	p.Refuse = f
	return &Sizeless{Refs: refs, Why: f}, nil
}

// Warn adds a warning to p, unless it has one of that reason.
func (p *Params) Warn(f *fault.Fault) { p.Warnings = Once(p.Warnings, f) }

// Once appends f to a list, unless the list has a fault of that reason. So a list stays short,
// whatever the image.
func Once(list []*fault.Fault, f *fault.Fault) []*fault.Fault {
	for _, w := range list {
		if w.Reason == f.Reason {
			return list
		}
	}
	return append(list, f)
}

// Scores of a probe.
const (
	Certain = 100 // a signature
	Weak    = 2   // more than the 1 of raw
)

// Score returns n if yes, otherwise 0.
func Score(yes bool, n int) int {
	if yes {
		return n
	}
	return 0
}

// Driver is one format.
type Driver struct {
	Format img.Format
	// Probe scores the first HeadLen bytes of a device: 0 is no, 100 certain. size is the size
	// of the device in bytes; dmg reports whether the name of the file ends in .dmg, the only
	// part of a name that probes of qemu look at.
	Probe func(head *[HeadLen]byte, size uint64, dmg bool) int
	// Open checks the header. It returns an image or a fault.
	Open func(*Params) (Image, *fault.Fault)
}

// Image is an opened image.
type Image interface {
	// Size returns the size of the virtual disk in bytes, a multiple of 512.
	Size() uint64
	// References returns the other files that the image names, in a fixed order:
	// extent.State.File n+1 is References()[n].
	References() []img.Reference
	// Walk emits the extents of [start, end), which must be within Size, in order and without
	// gaps. It emits corrupt metadata with Sink.Bad, and continues after it. A fault that it
	// returns ends the run, and leaves nothing known of the layer: a read that failed, or a
	// limit.
	Walk(start, end uint64, sink Sink) *fault.Fault
}

// Overhanging is an Image whose last bytes are not its own; see abi.Result.
type Overhanging interface {
	Image
	// Overhang returns how many bytes of Size these are.
	Overhang() uint64
}

// Sink receives what a walk finds. Implementations merge extents that continue each other.
type Sink interface {
	// Emit adds length bytes of the virtual disk after those emitted before. offset is 0
	// without extent.Offset.
	Emit(length uint64, flags extent.Flags, offset uint64, file uint16)
	// Bad adds length bytes whose state is unknown because of f.
	Bad(length uint64, f *fault.Fault)
	// Warn reports corruption that does not change the map, once for all of it.
	Warn(f *fault.Fault)
}
