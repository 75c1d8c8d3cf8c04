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

// walker is one walk.
type walker struct {
	*image
	sink     format.Sink
	done     uint64 // virtual bytes: what is to be emitted next,
	pos, end uint64 // what is to be gathered next, and the window's end
}

// walk goes through the BAT, chunk by chunk, for each of which a differencing image has one bitmap.
func (m *image) walk(start, end uint64, sink format.Sink) *fault.Fault {
	w := &walker{image: m, sink: sink, done: start, pos: start, end: end}
	m.bits.forget()
	last := (end - 1) / m.blockSize
	table := m.table(m.index(last) + 1)
	if m.differencing() {
		table.Limit = (last/m.chunkRatio + 1) * (m.chunkRatio + 1)
	}
	for w.pos < w.end {
		first := w.pos / m.blockSize
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
		for ; first < behind && len(b) > 0; first, b = first+1, b[batEntrySize:] {
			if f := w.block(first, binary.LittleEndian.Uint64(b), bitmap); f != nil {
				return f
			}
		}
	}
	return w.flush()
}

// index is the number of the entry of a payload block.
func (m *image) index(payload uint64) uint64 { return payload + payload/m.chunkRatio }

func (m *image) differencing() bool { return len(m.refs) > 0 }

// block emits what of the window lies in a payload block, given its entry and that of its
// chunk's bitmap.
func (w *walker) block(payload, entry, bitmap uint64) *fault.Fault {
	base := payload * w.blockSize
	off := entry & offsetMask
	p := part{to: min(base+w.blockSize, w.end), flags: dataFlags, host: off + w.pos - base}
	switch state := entry & stateMask; {
	case state == notPresent, (state == unmapped || state == unmappedBefore1) && w.differencing():
		p.flags, p.host = 0, 0
	case state == undefined, state == zeroes, state == unmapped, state == unmappedBefore1:
		p.flags, p.host = zeroFlags, 0
	case state != fullyPresent && (state != partiallyPresent || !w.differencing()):
		p.bad = fault.New(fault.VhdxBlockState, w.bat.off+w.index(payload)*batEntrySize, state)
	default:
		if p.bad = w.place(payload, off); p.bad != nil {
			break
		}
		if state == partiallyPresent {
			return w.addBits(p, payload, bitmap)
		}
		if w.fixed {
			p.flags |= extent.Holes
		}
	}
	return w.add(p, 0, 0)
}

// place finds what is wrong with where a block is.
func (w *walker) place(payload, off uint64) *fault.Fault {
	i := w.index(payload)
	if f := w.misplaced(i, off, min(w.blockSize, w.size-payload*w.blockSize)); f != nil {
		return f
	}
	return w.overlapping(i, off)
}
