package vmdk

import (
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// walker is one walk.
type walker struct {
	*grains
	sink format.Sink
	pos  uint64 // bytes of the disk: what is emitted next
}

// Walk emits the extents of [start, end). See format.Image.
func (g *grains) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	if start >= end {
		return nil
	}
	if g.walked.Dev == nil {
		g.walked = format.TwoLevel{
			Dev: g.dev, L1Offset: g.directory, L1EntryLen: uint64(g.entrySize),
			EntryLen: uint64(g.entrySize), Entries: g.tableEntries,
			ClusterSize: g.grain, Table: g.grainTable,
			L1Entries: g.directoryEntries,
			Beyond:    fault.New(fault.VmdkNoEntry, g.directory, g.directoryEntries),
		}
	}
	w := &walker{grains: g, sink: sink, pos: start}
	return g.walked.Walk(start, end, w.scan)
}

// grainTable returns the offset of the grain table that entry i of the directory points to.
func (g *grains) grainTable(i uint64, b []byte) (uint64, *fault.Fault) {
	entry := g.entry(b, 0)
	switch table, ok := g.table(entry); {
	case !ok:
		return 0, fault.New(fault.VmdkDirectoryEntry, g.directory+i*uint64(g.entrySize), entry)
	case table == 0 || table >= g.dev.Size():
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
		w.emit(p.End, unallocated, 0)
	default:
		w.scanTable(p)
	}
}

// scanTable emits runs of grains of one kind, plain ones while they are adjacent on the device.
func (w *walker) scanTable(p *format.Part) {
	size := uint64(w.entrySize)
	for at, i := p.Start, uint64(0); i < uint64(len(p.Entries))/size; {
		entry := w.entry(p.Entries, i)
		k, host := w.classify(entry)
		n := w.alike(p.Entries[i*size:], entry, k, host)
		host += w.pos - at // bytes of the first grain before the window
		at += n * w.grain
		if k == wrong {
			w.bad(min(at, p.End), fault.New(fault.VmdkTableEntry, p.Table+(p.First+i)*size, entry))
		} else {
			w.emit(min(at, p.End), k, host)
		}
		i += n
	}
}

// alike returns how many entries from the first on make one run.
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

// emit emits [pos, to). host is the device offset of pos, if k has one.
func (w *walker) emit(to uint64, k kind, host uint64) {
	if k != plain {
		host = 0
	}
	w.sink.Emit(to-w.pos, flags[k], host, 0)
	w.pos = to
}

// bad emits [pos, to) as corrupt.
func (w *walker) bad(to uint64, f *fault.Fault) {
	w.sink.Bad(to-w.pos, f)
	w.pos = to
}
