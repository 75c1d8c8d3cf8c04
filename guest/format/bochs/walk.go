package bochs

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// Memory of a walk, bytes.
const (
	catalogPiece = 64 << 10  // of the catalog
	bitmapBytes  = 512 << 10 // of bitmaps: 256 of the largest
)

// Walk emits the extents of [start, end). See format.Image.
func (m *image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	if start >= end {
		return nil
	}
	buf, f := block.Take(m.dev, catalogPiece+bitmapBytes)
	if f != nil {
		return f
	}
	last := (end - 1) / m.extentSize
	catalog := format.Table{Dev: m.dev, Buf: buf[:catalogPiece], Off: m.catalog, EntryLen: entryLen,
		Limit: last + 1}
	bitmaps := &format.Bitmaps{Dev: m.dev, Buf: buf[catalogPiece:], SectorSize: sectorSize,
		Sink: sink, Pos: start}
	for i := start / m.extentSize; i <= last; {
		entries, f := catalog.From(i, 1)
		if f != nil {
			return f
		}
		for ; len(entries) > 0; i, entries = i+1, entries[entryLen:] {
			f := m.add(bitmaps, i, binary.LittleEndian.Uint32(entries),
				min((i+1)*m.extentSize, end))
			if f != nil {
				return f
			}
		}
	}
	return bitmaps.Flush()
}

// add emits the part of the disk up to byte to, which is in the extent of entry i of the
// catalog.
func (m *image) add(bitmaps *format.Bitmaps, i uint64, entry uint32, to uint64) *fault.Fault {
	r := format.Range{End: to}
	if entry == unallocated {
		return bitmaps.Add(r)
	}
	// A bitmap has at most 2^23 sectors, so this is less than 2^56.
	sectors := uint64(entry) * ((m.bitmapSize + m.extentSize) / sectorSize)
	if sectors > (block.MaxOffset-m.extents)/sectorSize-(m.bitmapSize+m.extentSize)/sectorSize {
		r.Bad = fault.New(fault.BochsExtentOffset, m.catalog+i*entryLen, uint64(entry))
		return bitmaps.Add(r)
	}
	at := m.extents + sectors*sectorSize
	if at >= m.dev.Size() {
		return bitmaps.Add(r) // the bitmap reads as zeroes
	}
	start := i * m.extentSize
	r.Flags = extent.Present | extent.Data | extent.Offset
	r.Host = at + m.bitmapSize + bitmaps.Pos - start
	return bitmaps.AddBits(r, start, at)
}
