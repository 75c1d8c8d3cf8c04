// Package parallels maps images of Parallels Desktop.
//
// Specification: docs/interop/parallels.rst of qemu. Where it is silent, what qemu 7.2 does decides.
package parallels

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// Driver is the parallels format.
var Driver = format.Driver{ID: format.Parallels, Name: "parallels", Probe: probe, Open: open}

func probe(b *[format.HeadLen]byte, _ uint64, _ bool) int {
	h := header(b[:headerSize])
	return format.Score((h.magic() == magic || h.magic() == magicExt) && h.version() == version, format.Certain)
}

// bufferLen is the memory for what is read at once, bytes.
const bufferLen = 1 << 20

type image struct {
	dev        block.Device
	buf        []byte
	qemu       bool   // the release to imitate fails where qemu does
	sectors    uint64 // of the virtual disk
	cluster    uint64 // bytes
	multiplier uint64 // sectors that a BAT entry counts
	batEntries uint64
}

// open makes the checks of qemu's parallels_open, in its order.
func open(p *format.Params) (format.Image, *fault.Fault) {
	m := &image{dev: p.Dev, buf: p.Dev.Buffer(bufferLen), qemu: p.Qemu != 0}
	if m.buf == nil {
		return nil, fault.New(fault.NoMemory, 0, bufferLen)
	}
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
	}
	m.cluster, m.batEntries = h.tracks()*sectorSize, h.batEntries()
	if h.extOff() != 0 {
		if f := m.checkExtension(h.extOff()); f != nil {
			return nil, f
		}
	}
	if m.sectors > maxVirtualSize/sectorSize {
		return nil, fault.New(fault.ParallelsVirtualSize, offSectors)
	}
	return m, nil
}

// Size is the virtual disk's size in bytes.
func (m *image) Size() uint64 { return m.sectors * sectorSize }

// References is empty: no image of this format names a file.
func (m *image) References() []format.Reference { return nil }

// Walk emits the extents of [start, end). See format.Image.
func (m *image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	if start >= end {
		return nil
	}
	stop, bad := end, (*fault.Fault)(nil)
	if m.qemu {
		stop, bad = abort(start, end)
	}
	if f := m.walkBAT(start, stop, sink); f != nil {
		return f
	}
	if bad != nil {
		sink.Bad(end-stop, bad)
	}
	return nil
}

// abort is where an assertion of qemu fails, which keeps the sectors that are left to map in a signed 32-bit number. Where that is
// too small it looks no further than the number says, until that is 0.
func abort(start, end uint64) (uint64, *fault.Fault) {
	first := start / sectorSize
	left := (end+sectorSize-1)/sectorSize - first
	if left < 1<<31 {
		return end, nil
	}
	stop := start
	if low := left & (1<<32 - 1); low != 0 && low < 1<<31 {
		stop = (first + low) * sectorSize
	}
	return stop, fault.New(fault.ParallelsLength, 0)
}

// walkBAT emits what the BAT says of [start, end).
func (m *image) walkBAT(start, end uint64, sink format.Sink) *fault.Fault {
	for pos := start; pos < end; {
		first := pos / m.cluster
		if first >= m.batEntries {
			sink.Emit(end-pos, 0, 0, 0)
			return nil
		}
		n := min((end-1)/m.cluster+1-first, m.batEntries-first, bufferLen/entryLen)
		entries := m.buf[:n*entryLen]
		if f := block.ReadOne(m.dev, entries, headerSize+first*entryLen); f != nil {
			return f
		}
		for i := range n {
			entry := uint64(binary.LittleEndian.Uint32(entries[i*entryLen:]))
			inside := pos - (first+i)*m.cluster
			length := min(m.cluster-inside, end-pos)
			if entry == 0 {
				sink.Emit(length, 0, 0, 0)
			} else {
				sink.Emit(length, extent.Present|extent.Data|extent.Offset, entry*m.multiplier*sectorSize+inside, 0)
			}
			pos += length
		}
	}
	return nil
}
