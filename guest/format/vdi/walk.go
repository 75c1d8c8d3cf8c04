package vdi

import (
	"encoding/binary"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// mapPiece is how much of the block map is in memory, bytes: the map of a disk of 64 GiB.
const mapPiece = 256 << 10

// Walk emits the blocks of [start, end), in runs of equal or contiguous ones. See format.Image.
func (m *image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	if start >= end {
		return nil
	}
	table := format.Table{Dev: m.dev, Buf: m.buf, Off: uint64(m.h.offBlocks()), EntryLen: entrySize,
		Limit: (end-1)>>blockBits + 1}
	for pos := start; pos < end; {
		first := pos >> blockBits
		b, f := table.From(first, 1)
		if f != nil {
			return f
		}
		for len(b) > 0 {
			entry := binary.LittleEndian.Uint32(b)
			run := same(b, entry)
			b = b[run*entrySize:]
			to := min((first+run)<<blockBits, end)
			m.emit(sink, pos, to, entry)
			pos, first = to, first+run
		}
	}
	return nil
}

// same returns how many entries at the start of b, of which entry is the first, make one run.
func same(b []byte, entry uint32) uint64 {
	n := uint64(0)
	for want := entry; len(b) >= entrySize && binary.LittleEndian.Uint32(b) == want; n++ {
		b = b[entrySize:]
		if entry < lowestUnused {
			// The highest number of a block has been reached: the next value is not a block.
			if want++; want == lowestUnused {
				return n + 1
			}
		}
	}
	return n
}

// emit emits [pos, to), which starts in the block of entry.
func (m *image) emit(sink format.Sink, pos, to uint64, entry uint32) {
	if entry >= lowestUnused {
		// The block was never written, or was discarded. No parent can have it.
		sink.Emit(to-pos, extent.Present|extent.Zero, 0, 0)
		return
	}
	sink.Emit(to-pos, m.data, uint64(m.h.offData())+uint64(entry)<<blockBits+pos&(blockSize-1), 0)
}
