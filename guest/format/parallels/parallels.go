// Package parallels maps images of Parallels Desktop.
//
// Specification: docs/interop/parallels.rst of qemu. Where it is silent, what qemu does decides, in
// our own profile qemu 11.1.
package parallels

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the parallels format.
var Driver = format.Driver{Format: img.Parallels, Probe: probe, Open: open}

func probe(b *[format.HeadLen]byte, _ uint64, _ bool) int {
	h := header(b[:headerSize])
	return format.Score((h.magic() == magic || h.magic() == magicExt) && h.version() == version, format.Certain)
}

// bufferLen is the memory for what is read at once, bytes.
const bufferLen = 1 << 20

type image struct {
	dev        block.Device
	buf        []byte
	release    img.Release
	sectors    uint64 // of the virtual disk
	cluster    uint64 // bytes
	multiplier uint64 // sectors that a BAT entry counts
	batEntries uint64
	// Clusters lie between these sectors of the file. What a BAT entry places elsewhere is not
	// allocated.
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

// setData sets where clusters may lie: after the header and the BAT, and not past the end of the
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

// Size is the virtual disk's size in bytes.
func (m *image) Size() uint64 { return m.sectors * sectorSize }

// References is empty: no image of this format names a file.
func (m *image) References() []img.Reference { return nil }

// Walk emits the extents of [start, end). See format.Image.
func (m *image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	if start >= end {
		return nil
	}
	if m.release.IsQemu() {
		m.warnOfAbort(start, end, sink)
	}
	return m.walkBAT(start, end, sink)
}

// warnOfAbort warns of the byte at which an assertion of qemu fails, which keeps the sectors that
// are left to map in a signed 32-bit number. Where that is too small it looks no further than the
// number says, until that is 0. Of an image under another it is never asked for as many sectors.
func (m *image) warnOfAbort(start, end uint64, sink format.Sink) {
	first := start / sectorSize
	left := (end+sectorSize-1)/sectorSize - first
	if left < 1<<31 {
		return
	}
	stop := start
	if low := left & (1<<32 - 1); low != 0 && low < 1<<31 {
		stop = (first + low) * sectorSize
	}
	sink.Warn(fault.NoProgress(fault.ParallelsLength, m.release, stop))
}

// stored is what a cluster shows that is in the file.
const stored = extent.Present | extent.Data | extent.Offset

// walkBAT emits what the BAT says of [start, end).
func (m *image) walkBAT(start, end uint64, sink format.Sink) *fault.Fault {
	bat := format.Table{Dev: m.dev, Buf: m.buf, Off: headerSize, EntryLen: entryLen,
		Limit: min((end-1)/m.cluster+1, m.batEntries)}
	for pos := start; pos < end; {
		first := pos / m.cluster
		if first >= m.batEntries {
			sink.Emit(end-pos, 0, 0, 0)
			return nil
		}
		entries, f := bat.From(first, 1)
		if f != nil {
			return f
		}
		for i := range uint64(len(entries)) / entryLen {
			entry := uint64(binary.LittleEndian.Uint32(entries[i*entryLen:]))
			inside := pos - (first+i)*m.cluster
			length := min(m.cluster-inside, end-pos)
			if sector := entry * m.multiplier; m.allocated(sector) {
				sink.Emit(length, stored, sector*sectorSize+inside, 0)
			} else {
				sink.Emit(length, 0, 0, 0)
			}
			pos += length
		}
	}
	return nil
}

// allocated reports whether a cluster lies at a sector of the file.
func (m *image) allocated(sector uint64) bool {
	return sector != 0 && sector >= m.dataStart && sector+m.cluster/sectorSize <= m.dataEnd
}
