package qcow2

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// The walk reads the L1 table in pieces and the L2 tables in batches: it gathers the tables that the next L1 entries point
// to, reads them in one go, and then scans them in order. Memory is taken once and does not depend on the image's size.
const (
	l1Piece    = 64 << 10 // bytes of the L1 table in memory
	batchBytes = 1 << 20  // L2 tables read at once, unless one table alone is larger
	batchReqs  = 256      // reads in a batch
	batchParts = 512      // parts in a batch
)

// tables is the memory of a walk.
type tables struct {
	l1Buf, l2Buf []byte
	reqs         []block.Request
	parts        []part
}

// part is a range of the virtual disk that is scanned in one step.
type part struct {
	start, end uint64       // virtual bytes; start is where entry first's cluster starts when there is a table
	table      uint64       // device offset of the L2 table, 0 if there is none
	first      uint64       // index of entries' first entry in the table
	entries    []byte       // of the L2 table
	bad        *fault.Fault // the range is corrupt
}

// walker is one walk.
type walker struct {
	*image
	sink     format.Sink
	pos, end uint64 // virtual bytes: what is to be emitted next, and the window's end

	l1First, l1End uint64 // the L1 entries that l1Buf holds
	filled         int    // bytes of l2Buf in use
}

// Walk emits the extents of [start, end). See format.Image.
func (m *image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	if start >= end {
		return nil
	}
	if f := m.takeMemory(); f != nil {
		return f
	}
	if f := m.checkPreallocation(sink); f != nil {
		return f
	}
	w := &walker{image: m, sink: sink, pos: start, end: end}
	for w.pos < w.end {
		if f := w.gather(); f != nil {
			return f
		}
		if len(m.reqs) > 0 {
			if f := m.dev.Read(m.reqs); f != nil {
				return f
			}
		}
		for i := range m.parts {
			w.scan(&m.parts[i])
		}
	}
	return nil
}

// takeMemory takes the buffers when the first walk starts, and forgets what an earlier one left behind.
func (m *image) takeMemory() *fault.Fault {
	if m.l2Buf != nil {
		m.flags[normal] &^= extent.Holes
		m.reqs = m.reqs[:0]
		return nil
	}
	n := max(batchBytes, 1<<m.clusterBits)
	m.l1Buf, m.l2Buf = m.dev.Buffer(l1Piece), m.dev.Buffer(n)
	if m.l1Buf == nil || m.l2Buf == nil {
		m.l2Buf = nil
		return noMemory(n + l1Piece)
	}
	m.reqs, m.parts = make([]block.Request, 0, batchReqs), make([]part, 0, batchParts)
	return nil
}

// gather makes the next batch: parts from pos on, and the reads that fill their entries.
func (w *walker) gather() *fault.Fault {
	w.reqs, w.parts, w.filled = w.reqs[:0], w.parts[:0], 0
	reach := w.l1Reach()
	last := (w.end - 1) >> reach
	from := w.pos
	for i := from >> reach; i <= last; i++ {
		entry, f := w.l1Entry(i, last)
		if f != nil {
			return f
		}
		to := min((i+1)<<reach, w.end)
		table := entry & l1OffsetMask
		switch {
		case w.offsetInCluster(table) != 0:
			bad := fault.New(fault.Qcow2L2Unaligned, w.h.l1TableOffset()+i*l1EntrySize, table, i)
			if !w.add(part{start: from, end: to, bad: bad}) {
				return nil
			}
		case table == 0 || table >= w.dev.Size():
			if !w.addEmpty(from, to) {
				return nil
			}
		default:
			if !w.addTable(table, i<<reach, from, to) {
				return nil
			}
		}
		from = to
	}
	return nil
}

// l1Entry returns entry i of the L1 table, and reads the table's next piece, up to entry last, when it needs to.
func (w *walker) l1Entry(i, last uint64) (uint64, *fault.Fault) {
	if i >= w.l1End {
		n := min(last+1-i, l1Piece/l1EntrySize)
		if f := block.ReadOne(w.dev, w.l1Buf[:n*l1EntrySize], w.h.l1TableOffset()+i*l1EntrySize); f != nil {
			return 0, f
		}
		w.l1First, w.l1End = i, i+n
	}
	return binary.BigEndian.Uint64(w.l1Buf[(i-w.l1First)*l1EntrySize:]), nil
}

// add appends a part, or reports that the batch is full.
func (w *walker) add(p part) bool {
	if len(w.parts) == cap(w.parts) {
		return false
	}
	w.parts = append(w.parts, p)
	return true
}

// addEmpty adds a range without L2 table. Ranges that follow each other are one part, however long.
func (w *walker) addEmpty(from, to uint64) bool {
	if n := len(w.parts); n > 0 && w.parts[n-1].table == 0 && w.parts[n-1].bad == nil {
		w.parts[n-1].end = to
		return true
	}
	return w.add(part{start: from, end: to})
}

// addTable adds what [from, to) needs of the L2 table of the range that starts at base. Tables that follow each other on the
// device are read together.
func (w *walker) addTable(table, base, from, to uint64) bool {
	first := (from - base) >> w.clusterBits
	n := int((to-base+w.clusterSize-1)>>w.clusterBits-first) << w.entryBits
	off := table + first<<w.entryBits
	full := w.filled > 0 && (w.filled+n > batchBytes || len(w.reqs) == cap(w.reqs))
	if full || !w.add(part{start: base + first<<w.clusterBits, end: to, table: table, first: first}) {
		return false
	}
	entries := w.l2Buf[w.filled : w.filled+n]
	w.parts[len(w.parts)-1].entries = entries
	if k := len(w.reqs) - 1; k >= 0 && w.reqs[k].Off+uint64(len(w.reqs[k].Buf)) == off {
		w.reqs[k].Buf = w.l2Buf[w.filled-len(w.reqs[k].Buf) : w.filled+n]
	} else {
		w.reqs = append(w.reqs, block.Request{Off: off, Buf: entries})
	}
	w.filled += n
	return true
}

// scan emits a part.
func (w *walker) scan(p *part) {
	switch {
	case p.bad != nil:
		w.bad(p.end, p.bad)
	case p.table == 0:
		w.emit(p.end, unallocPlain, 0)
	case w.entryBits == 4:
		w.scanExtended(p)
	default:
		w.scanStandard(p)
	}
}

// emit emits what lies between pos and to, cut at the window's end. host is the host offset of pos, if k has one.
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

// bad emits what lies between pos and to as corrupt.
func (w *walker) bad(to uint64, f *fault.Fault) {
	to = min(to, w.end)
	w.sink.Bad(to-w.pos, f)
	w.pos = to
}
