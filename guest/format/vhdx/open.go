// Package vhdx maps virtual hard disks of Hyper-V, version 2. The bytes are in layout.go;
// open.go has the order of the checks.
//
// qemu does not map such an image: in a qemu profile the disk is one extent of data without an
// offset, and the checks of open are those of qemu. Our own profile shows the blocks, replays a
// log that was not written back (replay.go), and supports parents and sector bitmaps of
// differencing images.
//
// Specification: [MS-VHDX] of Microsoft.
package vhdx

import (
	"encoding/binary"

	"instarfs/guest/block"
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
	dev     block.Device // from readLog on: as it is once the log is replayed
	release img.Release
	buf     []byte // tables while the image is opened, then a piece of the BAT
	h       header
	length  uint64 // of the file: blocks end here at the latest

	regions  []region
	bat      region
	metadata uint64 // offset of that region

	size       uint64 // bytes of the virtual disk
	rawSize    uint64 // VirtualDiskSize, not rounded
	blockSize  uint64 // a power of two
	sectorSize uint64 // logical
	chunkRatio uint64 // payload blocks in a chunk
	fixed      bool
	refs       []img.Reference

	bits []byte // memory for bitmaps of a differencing image
}

// bufSize is the memory for tables, bytes. It holds the BAT entries of a chunk: at most 2^15,
// and one for the bitmap.
const bufSize = 512 * kib

// open makes every check that qemu makes when it opens an image, in its order. Our own profile
// checks more because it reads more, and accepts images that qemu refuses because it does not
// support them.
func open(p *format.Params) (format.Image, *fault.Fault) {
	buf, f := block.Take(p.Dev, bufSize)
	if f != nil {
		return nil, f
	}
	m := &image{dev: p.Dev, release: p.Release, buf: buf}
	m.length = block.Length(p.Dev)
	for _, check := range [...]func() *fault.Fault{
		m.readHeaders, m.readLog, m.readRegions, m.readMetadata, m.checkTable, m.checkSize,
	} {
		if f := check(); f != nil {
			return nil, f
		}
	}
	return m, nil
}

// readHeaders finds the newer one of the two headers.
func (m *image) readHeaders() *fault.Fault {
	id, b1, b2 := m.buf[:len(signature)], m.buf[headerSize:2*headerSize],
		m.buf[2*headerSize:3*headerSize]
	f := m.dev.Read([]block.Request{
		{Off: 0, Buf: id}, {Off: offHeader1, Buf: b1}, {Off: offHeader2, Buf: b2},
	})
	if f != nil {
		return f
	}
	if string(id) != signature {
		return fault.New(fault.VhdxSignature, 0)
	}
	h1, ok1 := readHeader(b1)
	h2, ok2 := readHeader(b2)
	switch {
	case ok1 && (!ok2 || h1.sequenceNumber() > h2.sequenceNumber()):
		m.h = h1
	case ok2 && (!ok1 || h2.sequenceNumber() > h1.sequenceNumber()):
		m.h = h2
	case ok1 && h1 == h2:
		// Disk2vhd writes the same header twice.
		m.h = h1
	default:
		return fault.New(fault.VhdxNoHeader, offHeader1)
	}
	if !m.release.IsQemu() {
		m.addRegion(region{0, headerSection})
	}
	m.addRegion(region{m.h.logOffset(), uint64(m.h.logLength())})
	return nil
}

func readHeader(b []byte) (h header, ok bool) {
	h = header(b)
	return h, sound(b) && string(h[:len(headerSignature)]) == headerSignature &&
		h.version() == headerVersion
}

// readRegions reads the region table, and in our own profile its copy if it is damaged.
func (m *image) readRegions() *fault.Fault {
	b := m.buf[:tableSize]
	f := m.readRegionTable(b, offRegionTable1)
	if f != nil && f.Reason != fault.DeviceRead && !m.release.IsQemu() {
		if m.readRegionTable(b, offRegionTable2) == nil {
			f = nil
		}
	}
	if f != nil {
		return f
	}
	return m.takeRegions(b)
}

// readRegionTable reads the region table at off and checks its header.
func (m *image) readRegionTable(b []byte, off uint64) *fault.Fault {
	if f := block.ReadOne(m.dev, b, off); f != nil {
		return f
	}
	n := binary.LittleEndian.Uint32(b[8:])
	switch {
	case !sound(b):
		return fault.New(fault.VhdxRegionChecksum, off)
	case string(b[:len(regionSignature)]) != regionSignature:
		return fault.New(fault.VhdxRegionSignature, off)
	case n > maxEntries:
		return fault.New(fault.VhdxRegionCount, off+8, uint64(n))
	}
	return nil
}

// takeRegions takes the entries of the region table in b.
func (m *image) takeRegions(b []byte) *fault.Fault {
	var bat, metadata *entry
	for i := range int(binary.LittleEndian.Uint32(b[8:])) {
		at := uint64(offRegionTable1) + 16 + uint64(i)*entrySize
		e := (*entry)(b[16+i*entrySize:])
		r := region{e.fileOffset(), uint64(e.regionLength())}
		if text, overlaps := m.overlap(r); overlaps {
			return fault.Quoting(fault.VhdxRegionOverlap, at, text)
		}
		m.addRegion(r)
		known := &bat
		switch e.guid() {
		case batRegion:
		case metadataRegion:
			known = &metadata
		default:
			if e.regionRequired() {
				return fault.New(fault.VhdxRegionUnknown, at)
			}
			continue
		}
		if *known != nil {
			return fault.New(fault.VhdxRegionTwice, at)
		}
		*known = e
	}
	if bat == nil || metadata == nil {
		return fault.New(fault.VhdxRegionMissing, offRegionTable1)
	}
	m.bat = region{bat.fileOffset(), uint64(bat.regionLength())}
	m.metadata = metadata.fileOffset()
	return nil
}

// checkSize refuses a disk that is too large for qemu. It comes last because qemu checks it
// last.
func (m *image) checkSize() *fault.Fault {
	if m.size > block.MaxOffset {
		return fault.New(fault.VhdxDiskSize, m.metadata)
	}
	return nil
}

// Size returns the size of the virtual disk in bytes, rounded down to 512 bytes.
func (m *image) Size() uint64 { return m.size }

// References returns the parent of a differencing image.
func (m *image) References() []img.Reference { return m.refs }

var _ format.Image = (*image)(nil)
