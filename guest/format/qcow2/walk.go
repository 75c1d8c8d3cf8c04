package qcow2

import (
	"encoding/binary"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// kind is how a cluster is stored, or a subcluster with extended L2 entries.
type kind uint8

const (
	unallocPlain kind = iota
	unallocAlloc      // has a host offset that does not decide the content
	zeroPlain
	zeroAlloc
	normal
	compressed
	kinds
)

// hasOffset reports whether runs of k need contiguous host offsets.
func (k kind) hasOffset() bool { return k == unallocAlloc || k == zeroAlloc || k == normal }

// setFlags sets the flags of each kind. Encrypted images show no offsets.
func (m *image) setFlags() {
	m.flags = [kinds]extent.Flags{
		unallocAlloc: extent.Offset,
		zeroPlain:    extent.Present | extent.Zero,
		zeroAlloc:    extent.Present | extent.Zero | extent.Offset,
		normal:       extent.Present | extent.Data | extent.Offset,
		compressed:   extent.Present | extent.Data | extent.Compressed,
	}
	if m.crypt != cryptNone {
		m.flags[unallocAlloc] = 0
		m.flags[zeroAlloc] = extent.Present | extent.Zero
		m.flags[normal] = extent.Present | extent.Data | extent.Encrypted
	}
	if m.hasDataFile {
		m.file = 1
	}
}

// walker is one walk.
type walker struct {
	*image
	sink     format.Sink
	pos, end uint64 // virtual bytes: what is emitted next, and the end of the window
}

// Walk emits the extents of [start, end). See format.Image.
func (m *image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	if start >= end {
		return nil
	}
	if f := m.tables.TakeMemory(); f != nil {
		return f
	}
	m.flags[normal] &^= extent.Holes
	if f := m.checkPreallocation(sink); f != nil {
		return f
	}
	w := &walker{image: m, sink: sink, pos: start, end: end}
	return m.tables.Walk(start, end, w.scan)
}

// l2Table returns the offset of the L2 table that L1 entry i points to.
func (m *image) l2Table(i uint64, entry []byte) (uint64, *fault.Fault) {
	switch table := binary.BigEndian.Uint64(entry) & l1OffsetMask; {
	case m.offsetInCluster(table) != 0:
		return 0, fault.New(fault.Qcow2L2Unaligned, m.h.l1TableOffset()+i*l1EntrySize, table, i)
	case table == 0 || table >= m.dev.Size():
		return format.NoTable, nil
	default:
		return table, nil
	}
}

// scan emits a part.
func (w *walker) scan(p *format.Part) {
	switch {
	case p.Bad != nil:
		w.bad(p.End, p.Bad)
	case p.Table == format.NoTable:
		w.emit(p.End, unallocPlain, 0)
	case w.entryBits == 4:
		w.scanExtended(p)
	default:
		w.scanStandard(p)
	}
}

// emit emits [pos, to), up to the end of the window. host is the host offset of pos, if k has
// one.
func (w *walker) emit(to uint64, k kind, host uint64) {
	w.emitFlags(to, w.flags[k], host)
}

func (w *walker) emitFlags(to uint64, flags extent.Flags, host uint64) {
	to = min(to, w.end)
	if to <= w.pos {
		return
	}
	var file uint16
	if flags&extent.Offset != 0 {
		file = w.file
	} else {
		host = 0
	}
	w.sink.Emit(to-w.pos, flags, host, file)
	w.pos = to
}

// bad emits [pos, to) as corrupt.
func (w *walker) bad(to uint64, f *fault.Fault) {
	to = min(to, w.end)
	w.sink.Bad(to-w.pos, f)
	w.pos = to
}
