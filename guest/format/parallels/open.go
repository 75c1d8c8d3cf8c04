// Package parallels maps images of Parallels Desktop.
//
// Specification: docs/interop/parallels.rst of qemu. Where it is silent, this package does what
// qemu does, in our own profile qemu 11.1.
package parallels

import (
	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the parallels format.
var Driver = format.Driver{Format: img.Parallels, Probe: probe, Open: open}

func probe(b *[format.HeadLen]byte, _ uint64, _ bool) int {
	h := header(b[:headerSize])
	return format.Score((h.magic() == magic || h.magic() == magicExt) && h.version() == version,
		format.Certain)
}

// bufferLen is the memory for one read, bytes.
const bufferLen = 1 << 20

type image struct {
	dev        block.Device
	buf        []byte
	release    img.Release
	sectors    uint64 // of the virtual disk
	cluster    uint64 // bytes
	multiplier uint64 // sectors that a BAT entry counts in
	batEntries uint64
	// Clusters are between these sectors of the file. A BAT entry that points elsewhere is
	// unallocated.
	dataStart, dataEnd uint64
}

// open makes the checks of qemu's parallels_open, in its order.
func open(p *format.Params) (format.Image, *fault.Fault) {
	buf, f := block.Take(p.Dev, bufferLen)
	if f != nil {
		return nil, f
	}
	m := &image{dev: p.Dev, buf: buf, release: p.Release}
	if f := block.ReadOne(m.dev, m.buf[:headerSize], 0); f != nil {
		return nil, f
	}
	h := header(m.buf)
	m.sectors, m.multiplier = h.nbSectors(), h.tracks()
	switch {
	case h.version() != version:
		return nil, fault.New(fault.ParallelsMagic, offVersion)
	case h.magic() == magic:
		m.sectors, m.multiplier = m.sectors&0xffffffff, 1
	case h.magic() != magicExt:
		return nil, fault.New(fault.ParallelsMagic, 0)
	}
	switch {
	case h.tracks() == 0:
		return nil, fault.New(fault.ParallelsNoTracks, offTracks)
	case h.tracks() > maxTracks:
		return nil, fault.New(fault.ParallelsTracks, offTracks)
	case h.batEntries() > maxBATEntries:
		return nil, fault.New(fault.ParallelsCatalog, offBATEntries)
	case p.Release.Since(10, 0) && h.extOff() > maxExtOff:
		return nil, fault.New(fault.ParallelsExtensionOffset, offExtension)
	case p.Release.Since(11, 1) && h.batEntries()*h.tracks() < m.sectors:
		return nil, fault.New(fault.ParallelsCatalogSmall, offBATEntries)
	}
	m.cluster, m.batEntries = h.tracks()*sectorSize, h.batEntries()
	m.dataEnd = ^uint64(0)
	if p.Release.Since(11, 1) || !p.Release.IsQemu() {
		m.setData(&h)
	}
	if h.extOff() != 0 {
		if f := m.checkExtension(h.extOff()); f != nil {
			return nil, f
		}
	}
	sizeless, f := format.CheckSectors(p, m.sectors, offSectors, fault.ParallelsVirtualSize)
	switch {
	case f != nil:
		return nil, f
	case sizeless != nil:
		return sizeless, nil
	}
	return m, nil
}

// setData sets where clusters may be: after the header and the BAT, and not past the end of the
// file.
func (m *image) setData(h *header) {
	m.dataStart = (headerSize + m.batEntries*entryLen + sectorSize - 1) / sectorSize
	m.dataEnd = block.Length(m.dev) / sectorSize
	if h.magic() == magicExt {
		m.dataStart = (m.dataStart + h.tracks() - 1) / h.tracks() * h.tracks()
	}
	if off := h.dataOff(); off >= m.dataStart && off <= m.dataEnd {
		m.dataStart = off
	}
}

// Size returns the size of the virtual disk in bytes.
func (m *image) Size() uint64 { return m.sectors * sectorSize }

// References returns nil: images of this format name no files.
func (m *image) References() []img.Reference { return nil }
