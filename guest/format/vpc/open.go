// Package vpc maps virtual hard disks (VHD) of Virtual PC and its successors: fixed ones, which
// are the bytes of the disk and a footer, and dynamic and differencing ones, which have a table
// of blocks, each after a bitmap of its sectors.
//
// qemu ignores bitmaps and parents; so does a qemu profile. Our own profile uses both in
// differencing images. In dynamic images the bitmaps do not matter: programs do not set all
// bits that they should, and a sector whose bit is clear still has the data that was written.
//
// Specification: Virtual Hard Disk Image Format Specification, Microsoft 2006. qemu decides
// which images are valid, and the size of the disk.
package vpc

import (
	"strconv"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the vpc format. A fixed image has its only signature at its end, which no probe
// sees.
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

// open makes every check that qemu makes when it opens an image, in its order.
func open(p *format.Params) (format.Image, *fault.Fault) {
	buf, f := block.Take(p.Dev, tablePiece)
	if f != nil {
		return nil, f
	}
	m := &image{dev: p.Dev, release: p.Release,
		table: format.Table{Dev: p.Dev, Buf: buf, EntryLen: entrySize}}
	atEnd, f := m.findFooter()
	if f != nil {
		return nil, f
	}
	if f := m.checkSize(); f != nil {
		return nil, f
	}
	// An image with a footer at its start must have a table, whatever its type. But if the type
	// is fixed, the bytes of the disk are those of the file.
	m.fixed = m.f.diskType() == typeFixed
	if atEnd {
		return m, nil
	}
	if f := m.checkHeader(); f != nil {
		return nil, f
	}
	if f := m.checkTable(); f != nil {
		return nil, f
	}
	if !m.release.IsQemu() && m.f.diskType() == typeDifferencing {
		if f := m.openParent(); f != nil {
			return nil, f
		}
	}
	return m, nil
}

// findFooter reads the footer. A fixed image has it only in the last sector.
func (m *image) findFooter() (atEnd bool, f *fault.Fault) {
	buf := m.table.Buf[:footerSize]
	if f := block.ReadOne(m.dev, buf, 0); f != nil {
		return false, f
	}
	m.f = footer(buf)
	at := uint64(0)
	if !m.f.hasCookie() {
		if block.Length(m.dev) < footerSize {
			return false, fault.New(fault.VpcTooShort, 0)
		}
		at = block.Length(m.dev) - footerSize
		if f := block.ReadOne(m.dev, buf, at); f != nil {
			return false, f
		}
		m.f = footer(buf)
		if !m.f.hasCookie() || m.f.diskType() != typeFixed {
			return false, fault.New(fault.VpcCookie, at)
		}
		atEnd = true
	}
	if m.f.sum() != m.f.checksum() {
		return false, fault.New(fault.VpcChecksum, at+offChecksum)
	}
	return atEnd, nil
}

// checkSize finds the size of the disk, which the footer has twice. Virtual PC uses the
// geometry, Hyper-V the number of bytes; the creator of the image decides which one counts.
func (m *image) checkSize() *fault.Fault {
	sectors := m.f.geometry()
	if !m.byGeometry() || sectors == maxGeometry {
		sectors = m.f.currentSize() / sectorSize
	}
	if sectors > maxSectors {
		return fault.New(fault.VpcTooLarge, offCurrentSize)
	}
	m.size = sectors * sectorSize
	return nil
}

// byGeometry reports whether the creator of the image is one whose disks are as large as their
// geometry.
func (m *image) byGeometry() bool {
	creator := m.f.creator()
	if !m.release.IsQemu() || m.release.Since(10, 0) {
		return creator == "vpc " || creator == "qemu"
	}
	switch creator {
	case "win ", "qem2", "d2v ", "CTXS", "tap\x00":
		return false
	}
	return true
}

// checkHeader reads and checks the dynamic disk header.
func (m *image) checkHeader() *fault.Fault {
	at := m.f.dataOffset()
	if at > block.MaxOffset-headerSize {
		return fault.New(fault.VpcHeaderRead, offDataOffset)
	}
	buf := m.table.Buf[:headerSize]
	if f := block.ReadOne(m.dev, buf, at); f != nil {
		return f
	}
	m.h = header(buf)
	if !m.h.hasCookie() {
		return fault.New(fault.VpcHeaderCookie, at)
	}
	size := m.h.blockSize()
	if size < minBlockSize || size&(size-1) != 0 {
		return fault.New(fault.VpcBlockSize, at+offBlockSize, uint64(size))
	}
	const sectorsPerByte = 8
	m.bitmap = (uint64(size)/(sectorsPerByte*sectorSize) + sectorSize - 1) &^ (sectorSize - 1)
	entries := m.h.maxTableEntries()
	if uint64(entries)*uint64(size) < m.size {
		return fault.New(fault.VpcTableTooSmall, at+offMaxEntries)
	}
	if entries > maxEntries {
		return fault.Quoting(fault.VpcTableTooLarge, at+offMaxEntries,
			strconv.Itoa(int(int32(entries))))
	}
	return nil
}

// checkTable checks that the table and all blocks are within the file.
func (m *image) checkTable() *fault.Fault {
	t := &m.table
	t.Off, t.Limit = m.h.tableOffset(), uint64(m.h.maxTableEntries())
	if n := t.Limit * entrySize; n > block.MaxRead || t.Off > block.MaxOffset-n {
		return fault.New(fault.VpcTableRead, offTableOffset)
	}
	if t.Off+t.Limit*entrySize > block.Length(m.dev) {
		return fault.New(fault.VpcTruncated, t.Off)
	}
	behind := m.bitmap + uint64(m.h.blockSize())
	for i := uint64(0); i < t.Limit; {
		b, f := t.From(i, 1)
		if f != nil {
			return f
		}
		if far, at := highest(b); far != unallocated &&
			far*sectorSize+behind > block.Length(m.dev) {
			return fault.New(fault.VpcTruncated, t.Off+(i+at)*entrySize)
		}
		i += uint64(len(b)) / entrySize
	}
	return nil
}

// Size returns the size of the virtual disk in bytes.
func (m *image) Size() uint64 { return m.size }

// References returns the parent of a differencing image, except in a qemu profile.
func (m *image) References() []img.Reference { return m.refs }

var _ format.Image = (*image)(nil)
