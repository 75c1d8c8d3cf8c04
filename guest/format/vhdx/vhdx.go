// Package vhdx maps virtual hard disks of Hyper-V, version 2. The bytes are in layout.go;
// open.go tells the order of what is checked, and the files that it names do it.
//
// qemu says nothing of what is in such an image: in a qemu profile the disk is one extent of
// data without a place, and what matters are the checks at open, which are qemu's. Our own
// profile shows the blocks, has a log replayed that was not written back (replay.go), and knows
// parents and sector bitmaps of differencing images.
//
// Specification: [MS-VHDX] of Microsoft.
package vhdx

import (
	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the vhdx format.
var Driver = format.Driver{Format: img.Vhdx, Probe: probe, Open: open}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	return format.Score(string(h[:len(signature)]) == signature, format.Certain)
}

// image is an opened image.
type image struct {
	dev     block.Device // after the log: as it is once that is replayed
	release img.Release
	buf     []byte // tables while the image is opened, then a piece of the BAT
	h       header
	length  uint64 // of the file, as far as blocks may reach

	regions  []region
	bat      region // where it is
	metadata uint64 // where that region is

	size       uint64 // bytes of the virtual disk
	rawSize    uint64 // VirtualDiskSize as it is
	blockSize  uint64 // a power of two
	sectorSize uint64 // logical
	chunkRatio uint64 // payload blocks in a chunk
	fixed      bool
	refs       []img.Reference

	bits []byte // memory for bitmaps of a differencing image
}

// bufSize is the memory for tables, in bytes. At least a chunk's entries of the BAT fit: at
// most 2^15 and one of the bitmap.
const bufSize = 512 * kib

// Size is the virtual disk's size, rounded down to 512 bytes.
func (m *image) Size() uint64 { return m.size }

// References are the parent of a differencing image.
func (m *image) References() []img.Reference { return m.refs }

// Walk emits the extents of [start, end). See format.Image.
func (m *image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	switch {
	case start >= end:
		return nil
	case m.release.IsQemu():
		sink.Emit(end-start, extent.Present|extent.Data, 0, 0)
		return nil
	}
	return m.walk(start, end, sink)
}

var _ format.Image = (*image)(nil)
