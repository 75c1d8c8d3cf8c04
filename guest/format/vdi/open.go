// Package vdi maps images of VirtualBox, dynamic and static: a header, and a map with an entry
// for each block of 1 MiB. The bytes are in layout.go. Differencing images name their parent
// only by UUID, which no file name can be found by. They are refused, as by qemu.
//
// Specification: VDICore.h of VirtualBox has the fields. An image is valid if qemu opens it.
package vdi

import (
	"encoding/binary"
	"strconv"
	"strings"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the vdi format.
var Driver = format.Driver{Format: img.Vdi, Probe: probe, Open: open}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	return format.Score(binary.LittleEndian.Uint32(h[offSignature:]) == signature, format.Certain)
}

// image is an opened image.
type image struct {
	dev  block.Device
	buf  []byte // a piece of the block map
	h    header
	size uint64       // bytes of the virtual disk
	data extent.Flags // flags of a block in the file
}

// open makes every check that qemu makes when it opens an image, in its order.
func open(p *format.Params) (format.Image, *fault.Fault) {
	buf, f := block.Take(p.Dev, mapPiece)
	if f != nil {
		return nil, f
	}
	if f := block.ReadOne(p.Dev, buf[:headerSize], 0); f != nil {
		return nil, f
	}
	m := &image{dev: p.Dev, buf: buf, h: header(buf[:headerSize])}
	if f := m.check(); f != nil {
		return nil, f
	}
	m.data = extent.Present | extent.Data | extent.Offset
	if m.h.imageType() == typeStatic {
		m.data |= extent.Holes
	}
	return m, nil
}

func (m *image) check() *fault.Fault {
	h := &m.h
	if h.cbDisk() > maxSize {
		return fault.New(fault.VdiSize, offDiskSize, h.cbDisk(), maxSize)
	}
	// VirtualBox has made images of odd sizes.
	m.size = (h.cbDisk() + sectorSize - 1) &^ (sectorSize - 1)
	room := uint64(h.cBlocks()) << blockBits
	switch {
	case h.signature() != signature:
		hex := strconv.FormatUint(uint64(h.signature()), 16)
		return fault.Quoting(fault.VdiSignature, offSignature, strings.Repeat("0", 8-len(hex))+hex)
	case h.version() != version11:
		return fault.New(fault.VdiVersion, offVersion, uint64(h.version()>>16),
			uint64(h.version()&0xffff))
	case h.offBlocks()%sectorSize != 0:
		return fault.New(fault.VdiMapOffset, offOffBlocks, uint64(h.offBlocks()))
	case h.offData()%sectorSize != 0:
		return fault.New(fault.VdiDataOffset, offOffData, uint64(h.offData()))
	case h.cbSector() != sectorSize:
		return fault.New(fault.VdiSectorSize, offSectorSize, uint64(h.cbSector()))
	case h.cbBlock() != blockSize:
		return fault.New(fault.VdiBlockSize, offBlockSize, uint64(h.cbBlock()))
	case m.size > room:
		return fault.New(fault.VdiMapTooSmall, offBlocks, m.size, room)
	case !h.isNil(offLinkage):
		return fault.New(fault.VdiLink, offLinkage)
	case !h.isNil(offParent):
		return fault.New(fault.VdiParent, offParent)
	case h.cBlocks() > maxBlocks:
		return fault.New(fault.VdiBlocks, offBlocks, uint64(h.cBlocks()), maxBlocks)
	}
	return nil
}

// Size returns the size of the virtual disk in bytes, rounded up to 512 bytes.
func (m *image) Size() uint64 { return m.size }

// References returns nil.
func (m *image) References() []img.Reference { return nil }

var _ format.Image = (*image)(nil)
