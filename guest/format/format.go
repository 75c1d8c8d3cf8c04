// Package format is what every image format implements. The packages below it, one a format,
// are the only code that interprets bytes of an image. They run in the guest; tests and fuzzers
// run them on the host as they are.
package format

import (
	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
)

// HeadLen is how many bytes of a device a probe sees, zero padded (qemu: BLOCK_PROBE_BUF_SIZE).
const HeadLen = 512

// Params is what a format may know beside the bytes of the device.
type Params struct {
	Dev block.Device
	// Allocated is st_blocks*512 of the image file, in bytes.
	Allocated uint64
	// Release is whose behaviour is asked for.
	Release img.Release

	// What Open finds in addition to its results. Warnings are printed, see fault.Fault. Refuse is
	// why an image is refused, found when others open it only after they have opened the files that
	// hold its data: what is wrong with those comes first then.
	Warnings []*fault.Fault
	Refuse   *fault.Fault
}

// RefuseLate is what Open returns for an image that is refused with f when the files that it names
// are open. Without such files, and outside the profiles of qemu, that is now.
func (p *Params) RefuseLate(f *fault.Fault, refs []img.Reference) (Image, *fault.Fault) {
	if !p.Release.IsQemu() || len(refs) == 0 {
		return nil, f
	}
	p.Refuse = f
	return &Sizeless{Refs: refs, Why: f}, nil
}

// Warn adds a warning to p, once for each reason.
func (p *Params) Warn(f *fault.Fault) { p.Warnings = Once(p.Warnings, f) }

// Once returns a list with f, unless it has a fault with that reason. So a list stays short,
// whatever an image is made of.
func Once(list []*fault.Fault, f *fault.Fault) []*fault.Fault {
	for _, w := range list {
		if w.Reason == f.Reason {
			return list
		}
	}
	return append(list, f)
}

// What a probe scores.
const (
	Certain = 100 // a signature
	Weak    = 2   // more than raw's 1
)

// Score is n if yes, else no claim.
func Score(yes bool, n int) int {
	if yes {
		return n
	}
	return 0
}

// Driver is one format.
type Driver struct {
	Format img.Format
	// Probe scores the first HeadLen bytes of a device: 0 is no, 100 certain. size is the
	// device's in bytes; dmg says whether the file's name ends in .dmg, the one thing of a name
	// that qemu's probing looks at.
	Probe func(head *[HeadLen]byte, size uint64, dmg bool) int
	// Open checks the header.
	Open func(*Params) (Image, *fault.Fault)
}

// Image is an opened image.
type Image interface {
	// Size is the virtual disk's size in bytes, a multiple of 512.
	Size() uint64
	// References are the other files that the image names, in a fixed order: extent.State.File
	// n+1 is References()[n].
	References() []img.Reference
	// Walk emits the extents of [start, end), which lies within Size, in order and without a
	// gap. Metadata that is corrupt is emitted with Sink.Bad and the walk goes on behind it; a
	// fault that is returned ends the run: nothing of the layer is known then (a read that
	// failed, a limit).
	Walk(start, end uint64, sink Sink) *fault.Fault
}

// Overhanging is an Image of which the last bytes are not its own; see abi.Result.
type Overhanging interface {
	Image
	// Overhang is how many bytes of Size that are.
	Overhang() uint64
}

// Sink takes what a walk finds. Neighbours that belong together are merged by whoever
// implements it.
type Sink interface {
	// Emit takes length bytes of the virtual disk, behind those emitted before. offset is 0
	// without extent.Offset.
	Emit(length uint64, flags extent.Flags, offset uint64, file uint16)
	// Bad takes length bytes whose state cannot be told.
	Bad(length uint64, f *fault.Fault)
	// Warn tells of corruption that does not change the map, once for all of it.
	Warn(f *fault.Fault)
}
