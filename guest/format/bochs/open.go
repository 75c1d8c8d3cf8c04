// Package bochs maps growing images of Bochs.
//
// Specification: the hard disk image format of the Bochs user manual. Where it is silent, this
// package does what qemu 7.2 does.
package bochs

import (
	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the bochs format.
var Driver = format.Driver{Format: img.Bochs, Probe: probe, Open: open}

func probe(b *[format.HeadLen]byte, _ uint64, _ bool) int {
	h := header(b[:headerSize])
	return format.Score(h.valid(), format.Certain)
}

type image struct {
	dev        block.Device
	size       uint64 // bytes of the virtual disk
	catalog    uint64 // device offset
	extents    uint64 // device offset of the first extent
	extentSize uint64 // bytes, without the bitmap
	bitmapSize uint64 // bytes that each extent has in front of its sectors
}

// open makes the checks of qemu's bochs_open, in its order.
func open(p *format.Params) (format.Image, *fault.Fault) {
	buf, f := block.Take(p.Dev, headerSize)
	if f != nil {
		return nil, f
	}
	if f := block.ReadOne(p.Dev, buf, 0); f != nil {
		return nil, f
	}
	h := header(buf)
	extentSize, size := uint64(h.extent()), h.disk()&^(sectorSize-1)
	switch {
	case !h.valid():
		return nil, fault.New(fault.BochsMagic, 0)
	case h.catalog() > maxCatalog:
		return nil, fault.New(fault.BochsCatalogLarge, offCatalog)
	case extentSize < sectorSize:
		return nil, fault.New(fault.BochsExtentSmall, offExtent)
	case extentSize&(extentSize-1) != 0:
		return nil, fault.New(fault.BochsExtentPower, offExtent, extentSize)
	case extentSize > maxExtentSize:
		return nil, fault.New(fault.BochsExtentLarge, offExtent, extentSize)
	case size > uint64(h.catalog())*extentSize:
		return nil, fault.New(fault.BochsCatalogSmall, offCatalog)
	case p.Release.IsQemu():
		return format.Unmapped(size), nil
	case uint64(h.bitmap()) < (extentSize/sectorSize+7)/8:
		return nil, fault.New(fault.BochsBitmap, offBitmap, uint64(h.bitmap()),
			extentSize/sectorSize)
	}
	return &image{
		dev: p.Dev, size: size, extentSize: extentSize,
		catalog: uint64(h.header()),
		extents: uint64(h.header() + h.catalog()*entryLen), // 32 bits, as in qemu
		// As in Bochs: whole sectors.
		bitmapSize: (uint64(h.bitmap()) + sectorSize - 1) &^ (sectorSize - 1),
	}, nil
}

// Size returns the size of the virtual disk in bytes.
func (m *image) Size() uint64 { return m.size }

// References returns nil: images of this format name no files.
func (m *image) References() []img.Reference { return nil }
