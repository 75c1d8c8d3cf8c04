package vpc

import (
	"encoding/binary"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// dataFlags are the flags of a block in the file.
const dataFlags = extent.Present | extent.Data | extent.Offset

// tablePiece is how much of the table is in memory at once, bytes: with the usual blocks of 2
// MiB, the table of a disk of 512 GiB. The table of a larger disk is read twice, to check it
// and to walk it.
const tablePiece = 1 << 20

// bitmapBytes is the memory for the bitmaps of a differencing image, bytes: twice the largest,
// that of a block of 2 GiB.
const bitmapBytes = 1 << 20

// highest returns the highest entry in b that has a block, and its index; unallocated if none
// has.
func highest(b []byte) (entry, number uint64) {
	entry = unallocated
	for i := uint64(0); len(b) >= entrySize; i++ {
		if e := uint64(binary.BigEndian.Uint32(b)); e != unallocated &&
			(e > entry || entry == unallocated) {
			entry, number = e, i
		}
		b = b[entrySize:]
	}
	return entry, number
}

// Walk emits the extents of [start, end). See format.Image.
func (m *image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	switch {
	case start >= end:
		return nil
	case m.fixed:
		sink.Emit(end-start, dataFlags|extent.Holes, start, 0)
		return nil
	case len(m.refs) > 0:
		return m.walkDifferencing(start, end, sink)
	}
	return m.eachBlock(start, end, func(pos, to, host uint64) *fault.Fault {
		sink.Emit(to-pos, dataFlags, host+m.bitmap+pos&(m.blockSize()-1), 0)
		return nil
	}, func(pos, to uint64) *fault.Fault {
		sink.Emit(to-pos, extent.Present|extent.Zero, 0, 0)
		return nil
	})
}

// walkDifferencing emits the extents of a differencing image. The bits of a block say which
// sectors are in it (1) or in the parent (0).
func (m *image) walkDifferencing(start, end uint64, sink format.Sink) *fault.Fault {
	bitmaps := &format.Bitmaps{Dev: m.dev, Buf: m.bits, SectorSize: sectorSize, HighFirst: true,
		Sink: sink, Pos: start}
	f := m.eachBlock(start, end, func(pos, to, host uint64) *fault.Fault {
		within := pos & (m.blockSize() - 1)
		r := format.Range{End: to, Flags: dataFlags, Host: host + m.bitmap + within}
		return bitmaps.AddBits(r, pos-within, host)
	}, func(_, to uint64) *fault.Fault {
		return bitmaps.Add(format.Range{End: to})
	})
	if f != nil {
		return f
	}
	return bitmaps.Flush()
}

// blockSize returns the size of a block in bytes, a power of two.
func (m *image) blockSize() uint64 { return uint64(m.h.blockSize()) }

// eachBlock reads the table for [start, end). It calls there for each part of the disk in a
// block of the file, with the file offset of the bitmap of that block, and free for each part
// in no block, adjacent ones together.
func (m *image) eachBlock(start, end uint64, there func(pos, to, host uint64) *fault.Fault,
	free func(pos, to uint64) *fault.Fault) *fault.Fault {
	size := m.blockSize()
	for pos := start; pos < end; {
		b, f := m.table.From(pos/size, 1)
		if f != nil {
			return f
		}
		for len(b) > 0 && pos < end {
			entry := binary.BigEndian.Uint32(b)
			to := pos&^(size-1) + size
			b = b[entrySize:]
			if entry != unallocated {
				f = there(pos, min(to, end), uint64(entry)*sectorSize)
			} else {
				for len(b) > 0 && to < end && binary.BigEndian.Uint32(b) == unallocated {
					b = b[entrySize:]
					to += size
				}
				f = free(pos, min(to, end))
			}
			if f != nil {
				return f
			}
			pos = min(to, end)
		}
	}
	return nil
}
