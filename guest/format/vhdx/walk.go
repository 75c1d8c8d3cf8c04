package vhdx

import (
	"encoding/binary"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

const (
	dataFlags = extent.Present | extent.Data | extent.Offset
	zeroFlags = extent.Present | extent.Zero
)

// bitmapBytes is the memory for the sector bitmaps of a differencing image, bytes: 8 times the
// bits of the largest block.
const bitmapBytes = 512 * kib

// walker is one walk. In a differencing image the bits of a partially present block say which
// sectors are in it (1) or in the parent (0).
type walker struct {
	*image
	out *format.Bitmaps
	end uint64 // of the window, virtual bytes
}

// Walk emits the extents of [start, end). See format.Image.
func (m *image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	switch {
	case start >= end:
		return nil
	case m.release.IsQemu():
		sink.Emit(end-start, extent.Present|extent.Data, 0, 0)
		return nil
	}
	return m.walk(start, end, sink)
}

// walk reads the BAT chunk by chunk: in a differencing image each has one bitmap.
func (m *image) walk(start, end uint64, sink format.Sink) *fault.Fault {
	out := &format.Bitmaps{Dev: m.dev, Buf: m.bits, SectorSize: m.sectorSize, Sink: sink,
		Pos: start}
	w := &walker{m, out, end}
	last := (end - 1) / m.blockSize
	table := m.table(m.index(last) + 1)
	if m.differencing() {
		table.Limit = (last/m.chunkRatio + 1) * (m.chunkRatio + 1)
	}
	for out.Pos < w.end {
		first := out.Pos / m.blockSize
		chunk := first / m.chunkRatio
		behind := min((chunk+1)*m.chunkRatio, last+1)
		bitmap := uint64(notPresent)
		need := uint64(1)
		if m.differencing() {
			// The bitmap's entry is the last one of the chunk.
			need = (chunk+1)*(m.chunkRatio+1) - m.index(first)
		}
		b, f := table.From(m.index(first), need)
		if f != nil {
			return f
		}
		if m.differencing() {
			bitmap = binary.LittleEndian.Uint64(b[(need-1)*batEntrySize:])
		}
		b = b[:min(uint64(len(b)), (behind-first)*batEntrySize)]
		for len(b) > 0 {
			n := 1
			entry := binary.LittleEndian.Uint64(b)
			if absent(entry) {
				n = format.Repeats(b, batEntrySize)
			}
			if f := w.blocks(first, uint64(n), entry, bitmap); f != nil {
				return f
			}
			first, b = first+uint64(n), b[n*batEntrySize:]
		}
	}
	return out.Flush()
}

// index returns the index of the entry of a payload block.
func (m *image) index(payload uint64) uint64 { return payload + payload/m.chunkRatio }

func (m *image) differencing() bool { return len(m.refs) > 0 }

// absent reports whether an entry says that nothing of a block is in the file.
func absent(entry uint64) bool {
	switch entry & stateMask {
	case notPresent, undefined, zeroes, unmapped, unmappedBefore1:
		return true
	}
	return false
}

// blocks emits the part of the window in n payload blocks, given the entry that all of them have
// and the entry of the bitmap of their chunk. n is 1 unless they are absent.
func (w *walker) blocks(payload, n, entry, bitmap uint64) *fault.Fault {
	base := payload * w.blockSize
	off := entry & offsetMask
	r := format.Range{End: min(base+n*w.blockSize, w.end), Flags: dataFlags,
		Host: off + w.out.Pos - base}
	switch state := entry & stateMask; {
	case state == notPresent, (state == unmapped || state == unmappedBefore1) && w.differencing():
		r.Flags, r.Host = 0, 0
	case absent(entry):
		r.Flags, r.Host = zeroFlags, 0
	case state != fullyPresent && (state != partiallyPresent || !w.differencing()):
		r.Bad = fault.New(fault.VhdxBlockState, w.bat.off+w.index(payload)*batEntrySize, state)
	default:
		if r.Bad = w.place(payload, off); r.Bad != nil {
			break
		}
		if state == partiallyPresent {
			return w.addBits(r, payload, bitmap)
		}
		if w.fixed {
			r.Flags |= extent.Holes
		}
	}
	return w.out.Add(r)
}

// addBits emits a range in a payload block by the bitmap of its chunk, given the entry of that.
func (w *walker) addBits(r format.Range, payload, bitmap uint64) *fault.Fault {
	off := bitmap & offsetMask
	if bitmap&stateMask != fullyPresent || off >= w.length {
		r.Bad = fault.New(fault.VhdxNoBitmap, w.bat.off+w.index(payload)*batEntrySize)
		return w.out.Add(r)
	}
	ofBlock := w.blockSize / w.sectorSize / 8 // bytes
	return w.out.AddBits(r, payload*w.blockSize, off+payload%w.chunkRatio*ofBlock)
}

// place returns the fault of the offset of a block, or nil.
func (w *walker) place(payload, off uint64) *fault.Fault {
	i := w.index(payload)
	if f := w.misplaced(i, off, min(w.blockSize, w.size-payload*w.blockSize)); f != nil {
		return f
	}
	return w.overlapping(i, off)
}
