package vmdk

import (
	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// The walk reads the grain directory in pieces and the grain tables in batches: it gathers the tables that the next entries point
// to, reads them in one go, and then scans them in order. Memory is taken once and does not depend on the image's size.
const (
	directoryPiece = 64 << 10 // bytes of the directory in memory
	batchBytes     = 1 << 20  // tables read at once
	batchReqs      = 256      // reads in a batch
	batchParts     = 1024     // parts in a batch
)

// walkMemory is the memory of a walk.
type walkMemory struct {
	directoryBuf, tableBuf []byte
	reqs                   []block.Request
	parts                  []part
}

// part is a range of the disk that is scanned in one step.
type part struct {
	start, end uint64 // bytes of the disk; start is where the first entry's grain starts when there are entries
	table      uint64 // device offset of the grain table
	first      uint64 // index of entries' first entry in the table
	entries    []byte // of the table; none if it has nothing allocated
	bad        *fault.Fault
}

// walker is one walk.
type walker struct {
	*grains
	sink     format.Sink
	pos, end uint64 // bytes of the disk: what is to be emitted next, and the window's end

	dirFirst, dirEnd uint64 // the entries that directoryBuf holds
	filled           int    // bytes of tableBuf in use
}

// Walk emits the extents of [start, end). See format.Image.
func (g *grains) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	if start >= end {
		return nil
	}
	if g.tableBuf == nil {
		g.directoryBuf, g.tableBuf = g.dev.Buffer(directoryPiece), g.dev.Buffer(batchBytes)
		if g.directoryBuf == nil || g.tableBuf == nil {
			g.tableBuf = nil
			return noMemory(directoryPiece + batchBytes)
		}
		g.reqs, g.parts = make([]block.Request, 0, batchReqs), make([]part, 0, batchParts)
	}
	w := &walker{grains: g, sink: sink, pos: start, end: end}
	for w.pos < w.end {
		if f := w.gather(); f != nil {
			return f
		}
		if len(g.reqs) > 0 {
			if f := g.dev.Read(g.reqs); f != nil {
				return f
			}
		}
		for i := range g.parts {
			w.scan(&g.parts[i])
		}
	}
	return nil
}

// gather makes the next batch: parts from pos on, and the reads that fill their entries.
func (w *walker) gather() *fault.Fault {
	w.reqs, w.parts, w.filled = w.reqs[:0], w.parts[:0], 0
	reach, from := w.reach(), w.pos
	for from < w.end {
		i := from / reach
		to := min((i+1)*reach, w.end)
		var added bool
		switch entry, where, f := w.directoryEntry(i); {
		case f != nil:
			return f
		case where == behindDirectory:
			to = w.end
			bad := fault.New(fault.VmdkNoEntry, w.directory, w.directoryEntries)
			added = w.add(part{start: from, end: to, bad: bad})
		case where == behindDevice:
			if to = w.end; (to-1)/reach >= w.directoryEntries {
				to = w.directoryEntries * reach
			}
			added = w.addEmpty(from, to)
		default:
			table, ok := w.table(entry)
			switch {
			case !ok:
				bad := fault.New(fault.VmdkDirectoryEntry, w.directory+i*uint64(w.entrySize), entry)
				added = w.add(part{start: from, end: to, bad: bad})
			case table == 0 || table >= w.dev.Size():
				added = w.addEmpty(from, to)
			default:
				added = w.addTable(table, i*reach, from, to)
			}
		}
		if !added {
			return nil
		}
		from = to
	}
	return nil
}

// where an entry of the directory is.
type where uint8

const (
	inDirectory where = iota
	behindDirectory
	behindDevice // as all that follow: they read as zero
)

// directoryEntry returns entry i of the directory, and reads its next piece when it needs to.
func (w *walker) directoryEntry(i uint64) (uint64, where, *fault.Fault) {
	size := uint64(w.entrySize)
	off := w.directory + i*size
	switch {
	case i >= w.directoryEntries:
		return 0, behindDirectory, nil
	case off >= w.dev.Size():
		return 0, behindDevice, nil
	}
	if i >= w.dirEnd {
		last := min((w.end-1)/w.reach(), w.directoryEntries-1)
		n := min(last+1-i, directoryPiece/size)
		if f := block.ReadOne(w.dev, w.directoryBuf[:n*size], off); f != nil {
			return 0, inDirectory, f
		}
		w.dirFirst, w.dirEnd = i, i+n
	}
	return w.entry(w.directoryBuf, i-w.dirFirst), inDirectory, nil
}

// add appends a part, or reports that the batch is full.
func (w *walker) add(p part) bool {
	if len(w.parts) == cap(w.parts) {
		return false
	}
	w.parts = append(w.parts, p)
	return true
}

// addEmpty adds a range without a table. Ranges that follow each other are one part, however long.
func (w *walker) addEmpty(from, to uint64) bool {
	if n := len(w.parts); n > 0 && w.parts[n-1].entries == nil && w.parts[n-1].bad == nil {
		w.parts[n-1].end = to
		return true
	}
	return w.add(part{start: from, end: to})
}

// addTable adds what [from, to) needs of the table of the range that starts at base. Tables that follow each other on the
// device are read together.
func (w *walker) addTable(table, base, from, to uint64) bool {
	first := (from - base) / w.grain
	n := int((to-base+w.grain-1)/w.grain-first) * w.entrySize
	off := table + first*uint64(w.entrySize)
	k := len(w.reqs) - 1
	together := k >= 0 && w.reqs[k].Off+uint64(len(w.reqs[k].Buf)) == off
	full := w.filled+n > batchBytes || !together && len(w.reqs) == cap(w.reqs)
	if full || !w.add(part{start: base + first*w.grain, end: to, table: table, first: first}) {
		return false
	}
	entries := w.tableBuf[w.filled : w.filled+n]
	w.parts[len(w.parts)-1].entries = entries
	if together {
		w.reqs[k].Buf = w.tableBuf[w.filled-len(w.reqs[k].Buf) : w.filled+n]
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
	case p.entries == nil:
		w.emit(p.end, unallocated, 0)
	default:
		w.scanTable(p)
	}
}

// scanTable emits runs of grains of one kind, plain ones as far as they follow each other on the device.
func (w *walker) scanTable(p *part) {
	size := uint64(w.entrySize)
	for at, i := p.start, uint64(0); i < uint64(len(p.entries))/size; {
		entry := w.entry(p.entries, i)
		k, host := w.classify(entry)
		n := w.alike(p.entries[i*size:], entry, k, host)
		host += w.pos - at // what the window leaves out of the first grain
		at += n * w.grain
		if k == wrong {
			w.bad(min(at, p.end), fault.New(fault.VmdkTableEntry, p.table+(p.first+i)*size, entry))
		} else {
			w.emit(min(at, p.end), k, host)
		}
		i += n
	}
}

// alike is how many entries from the first on go on with it, itself included.
func (w *walker) alike(entries []byte, first uint64, k kind, host uint64) uint64 {
	n := uint64(len(entries) / w.entrySize)
	if k == wrong {
		return 1
	}
	for i := uint64(1); i < n; i++ {
		entry := w.entry(entries, i)
		if entry == first && k != plain {
			continue
		}
		k2, next := w.classify(entry)
		if k2 != k || k == plain && next != host+i*w.grain {
			return i
		}
	}
	return n
}

var flags = [...]extent.Flags{
	zeroPlain: extent.Present | extent.Zero,
	packed:    extent.Present | extent.Data | extent.Compressed,
	plain:     extent.Present | extent.Data | extent.Offset,
}

// emit emits what lies between pos and to. host is the device offset of pos, if k has one.
func (w *walker) emit(to uint64, k kind, host uint64) {
	if k != plain {
		host = 0
	}
	w.sink.Emit(to-w.pos, flags[k], host, 0)
	w.pos = to
}

// bad emits what lies between pos and to as corrupt.
func (w *walker) bad(to uint64, f *fault.Fault) {
	w.sink.Bad(to-w.pos, f)
	w.pos = to
}
