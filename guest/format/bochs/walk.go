package bochs

import (
	"encoding/binary"
	"math/bits"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

const (
	catalogPiece = 64 << 10 // bytes of the catalog in memory
	batch        = 256      // bitmaps that are read at once
)

// walk is one walk: pieces of the catalog, and of each the bitmaps of the extents that it names
// in batches.
type walk struct {
	*image
	sink     format.Sink
	pos, end uint64 // virtual bytes: what is to be emitted next, and the window's end
	bitmaps  []byte
	reqs     []block.Request
	gathered []piece
}

// piece is what one catalog entry stands for.
type piece struct {
	at     uint64 // device offset of the extent's first sector
	bitmap []byte // nil if there is no extent
	bad    *fault.Fault
}

// Walk emits the extents of [start, end). See format.Image.
func (m *image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	if start >= end {
		return nil
	}
	buf, f := block.Take(m.dev, catalogPiece+batch*maxBitmap)
	if f != nil {
		return f
	}
	w := &walk{image: m, sink: sink, pos: start, end: end, bitmaps: buf[catalogPiece:],
		reqs: make([]block.Request, 0, batch), gathered: make([]piece, 0, batch)}
	last := (end - 1) / m.extentSize
	catalog := format.Table{Dev: m.dev, Buf: buf[:catalogPiece], Off: m.catalog, EntryLen: entryLen,
		Limit: last + 1}
	for first := start / m.extentSize; first <= last; {
		entries, f := catalog.From(first, 1)
		if f != nil {
			return f
		}
		entries = entries[:min(len(entries), batch*entryLen)]
		if f := w.batch(first, entries); f != nil {
			return f
		}
		first += uint64(len(entries) / entryLen)
	}
	return nil
}

// batch emits what some entries of the catalog stand for, of which the first has index first.
func (w *walk) batch(first uint64, entries []byte) *fault.Fault {
	w.reqs, w.gathered = w.reqs[:0], w.gathered[:0]
	for i := 0; i < len(entries); i += entryLen {
		w.gathered = append(w.gathered, w.piece(first+uint64(i/entryLen), binary.LittleEndian.Uint32(entries[i:])))
	}
	if len(w.reqs) > 0 {
		if f := w.dev.Read(w.reqs); f != nil {
			return f
		}
	}
	for i := range w.gathered {
		w.emit(&w.gathered[i], first+uint64(i))
	}
	return nil
}

// piece looks at entry i of the catalog and asks for the bitmap that is needed.
func (w *walk) piece(i uint64, entry uint32) piece {
	if entry == unallocated {
		return piece{}
	}
	sectors := uint64(entry) * ((w.bitmapSize + w.extentSize) / sectorSize) // less than 2^56: a bitmap has 2^23 sectors at most
	if sectors > (block.MaxOffset-w.extents)/sectorSize-(w.bitmapSize+w.extentSize)/sectorSize {
		return piece{bad: fault.New(fault.BochsExtentOffset, w.catalog+i*entryLen, uint64(entry))}
	}
	at := w.extents + sectors*sectorSize
	if at >= w.dev.Size() {
		return piece{} // the bitmap reads as zeroes
	}
	n := len(w.reqs) * maxBitmap
	bitmap := w.bitmaps[n : n+int((w.extentSize/sectorSize+7)/8)]
	w.reqs = append(w.reqs, block.Request{Off: at, Buf: bitmap})
	return piece{at: at + w.bitmapSize, bitmap: bitmap}
}

// emit emits the piece of catalog entry i, run by run of sectors.
func (w *walk) emit(p *piece, i uint64) {
	start := i * w.extentSize
	end := min(start+w.extentSize, w.end)
	switch {
	case p.bad != nil:
		w.sink.Bad(end-w.pos, p.bad)
		w.pos = end
	case p.bitmap == nil:
		w.sink.Emit(end-w.pos, 0, 0, 0)
		w.pos = end
	}
	for w.pos < end {
		sector := (w.pos - start) / sectorSize
		set := p.bitmap[sector/8]>>(sector%8)&1 != 0
		to := min(start+runEnd(p.bitmap, sector, w.extentSize/sectorSize, set)*sectorSize, end)
		if set {
			w.sink.Emit(to-w.pos, extent.Present|extent.Data|extent.Offset, p.at+w.pos-start, 0)
		} else {
			w.sink.Emit(to-w.pos, 0, 0, 0)
		}
		w.pos = to
	}
}

// runEnd is the first bit behind i, below n, that is not as set says, or n.
func runEnd(bitmap []byte, i, n uint64, set bool) uint64 {
	flip := byte(0)
	if set {
		flip = 0xff
	}
	for i < n {
		if rest := (bitmap[i/8] ^ flip) >> (i % 8); rest != 0 {
			return min(i+uint64(bits.TrailingZeros8(rest)), n)
		}
		i = i&^7 + 8
	}
	return n
}
