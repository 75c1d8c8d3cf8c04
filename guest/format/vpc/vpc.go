// Package vpc maps virtual hard disks (VHD) of Virtual PC and its heirs: fixed ones, which are
// the disk's bytes and a footer, and dynamic and differencing ones, which have a table of
// blocks, each of them behind a bitmap of its sectors. The bytes are in layout.go, the checks
// of open in open.go, the walk in walk.go and, where the bitmaps count, in differencing.go.
//
// qemu ignores bitmaps and parents; so does a qemu profile. Our own honours both in
// differencing images. In dynamic ones the bitmaps mean little: writers leave bits out that
// they should set, and a sector whose bit is clear is no less what was written.
//
// Specification: Virtual Hard Disk Image Format Specification, Microsoft 2006. What qemu does
// decides what is an image, and how large its disk is.
package vpc

import (
	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the vpc format. A fixed image has its only signature at its end, where no probe looks.
var Driver = format.Driver{Format: img.Vpc, Probe: probe, Open: open}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	return format.Score(string(h[:len(cookie)]) == cookie, format.Certain)
}

// image is an opened image.
type image struct {
	dev     block.Device
	release img.Release
	f       footer
	h       header // of an image that is not fixed
	size    uint64 // bytes of the virtual disk
	refs    []img.Reference

	fixed  bool
	bitmap uint64       // bytes in front of each block
	table  format.Table // the block allocation table
	bits   []byte       // memory for bitmaps of a differencing image
}

// Size is the virtual disk's size in bytes.
func (m *image) Size() uint64 { return m.size }

// References are the parent of a differencing image, except in a qemu profile.
func (m *image) References() []img.Reference { return m.refs }

var _ format.Image = (*image)(nil)

// dataFlags is what a block in the file is.
const dataFlags = extent.Present | extent.Data | extent.Offset
