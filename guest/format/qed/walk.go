package qed

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// kind is how a cluster is stored.
type kind uint8

const (
	unallocated kind = iota
	zero
	found
)

// flags are the flags of each kind.
var flags = [...]extent.Flags{
	unallocated: 0,
	zero:        extent.Present | extent.Zero,
	found:       extent.Present | extent.Data | extent.Offset,
}

// walker is one walk. Like qemu, it divides an L2 table into runs of clusters of one kind with
// contiguous offsets. qemu checks only the first entry of a run.
type walker struct {
	*image
	sink format.Sink
	pos  uint64 // virtual bytes: what is emitted next
	end  uint64 // of the window

	open     bool // there is a run
	kind     kind
	bad      *fault.Fault // the run's first entry is wrong
	start    uint64       // virtual: where the run's first cluster starts
	host     uint64       // of start, if it is found
	to       uint64       // virtual: where its last cluster ends
	boundary uint64       // virtual: where the run's L2 table ends
}

// Walk emits the extents of [start, end). See format.Image.
func (m *image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	if start >= end {
		return nil
	}
	w := &walker{image: m, sink: sink, pos: start, end: end}
	if f := m.tables.Walk(start, end, w.scan); f != nil {
		return f
	}
	w.flush()
	return nil
}

// l2Table returns the offset of the L2 table that L1 entry i points to.
func (m *image) l2Table(i uint64, entry []byte) (uint64, *fault.Fault) {
	switch table := binary.LittleEndian.Uint64(entry); {
	case table == entryUnallocated:
		return format.NoTable, nil
	case !m.validTable(table):
		return 0, fault.New(fault.QedL2Offset, m.tables.L1Offset+i*entryLen, table)
	default:
		return table, nil
	}
}

// scan takes a part. A part that begins in the middle of an L2 table may continue the run
// before it.
func (w *walker) scan(p *format.Part) {
	switch {
	case p.Bad != nil:
		w.flush()
		w.sink.Bad(p.End-w.pos, p.Bad)
		w.pos = p.End
	case p.Table == format.NoTable:
		w.flush()
		w.sink.Emit(p.End-w.pos, 0, 0, 0)
		w.pos = p.End
	default:
		boundary := (p.Start/w.tables.Reach() + 1) * w.tables.Reach()
		if w.boundary != boundary {
			w.flush()
		}
		w.boundary = boundary
		at := p.Start
		for i := 0; i+entryLen <= len(p.Entries); i += entryLen {
			if at+w.h.clusterSize() > w.pos { // otherwise flush has emitted it
				w.cluster(at, p.Table+p.First*entryLen+uint64(i),
					binary.LittleEndian.Uint64(p.Entries[i:]))
			}
			at += w.h.clusterSize()
		}
	}
}

// cluster takes the entry of the cluster that starts at virtual byte at. place is the device
// offset of the entry. A run may continue past the end of the file, but not past the largest
// offset of any file: only its start is compared with the end of the file.
func (w *walker) cluster(at, place, entry uint64) {
	k := found
	switch entry {
	case entryUnallocated:
		k = unallocated
	case entryZero:
		k = zero
	}
	if w.open && w.kind == k && (k != found ||
		w.host+(at-w.start) == entry && entry <= block.MaxOffset) {
		w.to = at + w.h.clusterSize()
		return
	}
	w.flush()
	if at+w.h.clusterSize() <= w.pos {
		return // flush has emitted it
	}
	w.open, w.kind, w.start, w.host, w.to, w.bad = true, k, at, entry, at+w.h.clusterSize(), nil
	if k == found && !w.validCluster(entry) {
		w.bad = fault.New(fault.QedClusterOffset, place, entry)
	}
}

// flush emits the run. qemu computes the length of a run in 32 bits. So it cuts a run of 4 GiB
// or more short, and then an assertion fails, because the rest has no length. There is one
// exception: if the length is a multiple of 4 GiB, and the window begins inside the first
// cluster, qemu takes the rest of the L2 table for the run.
func (w *walker) flush() {
	if !w.open {
		return
	}
	w.open = false
	to := min(w.to, w.end)
	if w.bad != nil {
		w.sink.Bad(to-w.pos, w.bad)
		w.pos = to
		return
	}
	if total := w.to - w.start; w.release.IsQemu() && total>>32 != 0 {
		cut := total & (1<<32 - 1)
		if inside := (w.pos - w.start) &^ (sectorSize - 1); cut == 0 && inside != 0 {
			w.emit(min(w.boundary, w.end))
			return
		}
		w.emit(max(w.start+cut, w.pos))
		w.sink.Bad(to-w.pos, fault.NoProgress(fault.QedRunLength, w.release, w.start+cut))
		w.pos = to
		return
	}
	w.emit(to)
}

// emit emits [pos, to) as a part of the run.
func (w *walker) emit(to uint64) {
	if to == w.pos {
		return
	}
	var host uint64
	if w.kind == found {
		host = w.host + w.pos - w.start
	}
	w.sink.Emit(to-w.pos, flags[w.kind], host, 0)
	w.pos = to
}
