package parallels

import (
	"encoding/binary"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

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

// warnOfAbort warns of the byte at which an assertion of qemu fails. qemu keeps the number of
// sectors left to map in a signed 32-bit integer. If that is too small it maps as many sectors
// as the integer says, until it is 0. For a backing file it never has to map that many.
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

// stored are the flags of a cluster in the file.
const stored = extent.Present | extent.Data | extent.Offset

// walkBAT emits the extents of [start, end) by the BAT.
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

// allocated reports whether a cluster may be at a sector of the file.
func (m *image) allocated(sector uint64) bool {
	return sector != 0 && sector >= m.dataStart && sector+m.cluster/sectorSize <= m.dataEnd
}
