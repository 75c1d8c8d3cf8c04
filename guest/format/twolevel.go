package format

import (
	"instarfs/guest/block"
	"instarfs/guest/fault"
)

// Memory of a TwoLevel, which does not depend on the size of the image.
const (
	l1Piece    = 64 << 10 // bytes of the first level
	batchBytes = 1 << 20  // second-level tables read at once, unless one table alone is larger
	maxBatch   = 2 << 20  // the most read of one table
	batchReqs  = 256      // reads in a batch
	batchParts = 512      // parts in a batch
)

// TwoLevel reads a map of two levels: a table of pointers to tables of pointers. It gathers the
// second-level tables that the next entries of the first level point to, reads them at once,
// and scans them in order. L1 and L2 are the names of the levels in qcow2; other formats have
// other names.
type TwoLevel struct {
	Dev         block.Device
	L1Offset    uint64 // device offset of the first level, bytes
	L1EntryLen  uint64 // bytes
	EntryLen    uint64 // of an entry of the second level, bytes
	Entries     uint64 // of an L2 table
	ClusterSize uint64 // bytes of the virtual disk that an L2 entry stands for
	// Table returns the device offset of the L2 table that entry i of the first level points
	// to, NoTable, or the fault of the entry. It is not called for entries past the end of the
	// device, which are zeroes: they point to no table.
	Table func(i uint64, entry []byte) (off uint64, bad *fault.Fault)
	// L1Entries is the number of entries of the first level, and Beyond the fault of the disk
	// past them. Beyond is nil if the format makes sure that there are enough.
	L1Entries uint64
	Beyond    *fault.Fault

	L2Buf []byte // memory that TakeMemory took
	Reqs  []block.Request
	parts []Part

	l1       Table  // the first level
	pos, end uint64 // virtual bytes: what is gathered next, and the end of the window
	filled   int    // bytes of L2Buf in use
}

// NoTable is the offset of a table that does not exist: the L1 entry's part of the disk has no
// L2 entries.
const NoTable = ^uint64(0)

// Part is a range of the virtual disk that is scanned in one step. With a table, that is the
// part of one L1 entry, or a piece of it if the table is larger than 2 MiB.
type Part struct {
	// Start and End are virtual bytes. With a table, the cluster of entry First starts at Start.
	Start, End uint64
	Table      uint64       // device offset of the L2 table, or NoTable
	First      uint64       // index in the table of the first of Entries
	Entries    []byte       // of the L2 table, from entry First on
	Bad        *fault.Fault // the range is corrupt
}

// TakeMemory takes the memory, unless it was taken.
func (t *TwoLevel) TakeMemory() *fault.Fault {
	if t.L2Buf != nil {
		t.Reqs = t.Reqs[:0]
		return nil
	}
	n := min(max(batchBytes, t.Entries*t.EntryLen), maxBatch)
	buf, f := block.Take(t.Dev, int(n+l1Piece))
	if f != nil {
		return f
	}
	t.l1.Buf, t.L2Buf = buf[:l1Piece], buf[l1Piece:]
	t.Reqs, t.parts = make([]block.Request, 0, batchReqs), make([]Part, 0, batchParts)
	return nil
}

// Reach returns how many bytes of the virtual disk one L1 entry stands for.
func (t *TwoLevel) Reach() uint64 { return t.Entries * t.ClusterSize }

// Walk calls scan for the parts of [start, end), in order and without gaps.
func (t *TwoLevel) Walk(start, end uint64, scan func(*Part)) *fault.Fault {
	if f := t.TakeMemory(); f != nil {
		return f
	}
	t.l1 = Table{Dev: t.Dev, Buf: t.l1.Buf, Off: t.L1Offset, EntryLen: t.L1EntryLen,
		Limit: (end-1)/t.Reach() + 1}
	for t.pos, t.end = start, end; t.pos < t.end; {
		if f := t.gather(); f != nil {
			return f
		}
		if len(t.Reqs) > 0 {
			if f := t.Dev.Read(t.Reqs); f != nil {
				return f
			}
		}
		for i := range t.parts {
			scan(&t.parts[i])
		}
		t.pos = t.parts[len(t.parts)-1].End
	}
	return nil
}

// gather makes the next batch: the parts from pos on, and the reads of their entries.
func (t *TwoLevel) gather() *fault.Fault {
	t.Reqs, t.parts, t.filled = t.Reqs[:0], t.parts[:0], 0
	reach := t.Reach()
	last := (t.end - 1) / reach
	for from := t.pos; from < t.end; {
		i := from / reach
		to := t.end
		if i < last {
			to = (i + 1) * reach
		}
		added := false
		switch {
		case t.Beyond != nil && i >= t.L1Entries:
			to = t.end
			added = t.add(Part{Start: from, End: to, Table: NoTable, Bad: t.Beyond})
		case t.L1Offset+i*t.L1EntryLen >= t.Dev.Size():
			if to = t.end; t.Beyond != nil && last >= t.L1Entries {
				to = t.L1Entries * reach
			}
			added = t.addEmpty(from, to)
		default:
			entries, f := t.l1.From(i, 1)
			if f != nil {
				return f
			}
			switch table, bad := t.Table(i, entries[:t.L1EntryLen]); {
			case bad != nil:
				added = t.add(Part{Start: from, End: to, Table: NoTable, Bad: bad})
			case table == NoTable:
				added = t.addEmpty(from, to)
			default:
				// A table that is larger than the buffer is read in pieces.
				inside := from - i*reach
				piece := uint64(len(t.L2Buf)) / t.EntryLen * t.ClusterSize
				to = min(to, i*reach+(inside/piece+1)*piece)
				added = t.addTable(table, i*reach, from, to)
			}
		}
		if !added {
			return nil
		}
		from = to
	}
	return nil
}

// add appends a part, and reports whether the batch had room for it.
func (t *TwoLevel) add(p Part) bool {
	if len(t.parts) == cap(t.parts) {
		return false
	}
	t.parts = append(t.parts, p)
	return true
}

// addEmpty adds a range without an L2 table. Adjacent ranges become one part.
func (t *TwoLevel) addEmpty(from, to uint64) bool {
	if n := len(t.parts); n > 0 && t.parts[n-1].Table == NoTable && t.parts[n-1].Bad == nil {
		t.parts[n-1].End = to
		return true
	}
	return t.add(Part{Start: from, End: to, Table: NoTable})
}

// addTable adds [from, to) with its entries of the L2 table of the range that starts at base.
// Tables that are adjacent on the device are read together.
func (t *TwoLevel) addTable(table, base, from, to uint64) bool {
	first := (from - base) / t.ClusterSize
	n := int(((to-base+t.ClusterSize-1)/t.ClusterSize - first) * t.EntryLen)
	off := table + first*t.EntryLen
	full := t.filled > 0 && (t.filled+n > batchBytes || len(t.Reqs) == cap(t.Reqs))
	if full || !t.add(Part{Start: base + first*t.ClusterSize, End: to, Table: table,
		First: first}) {
		return false
	}
	entries := t.L2Buf[t.filled : t.filled+n]
	t.parts[len(t.parts)-1].Entries = entries
	if k := len(t.Reqs) - 1; k >= 0 && t.Reqs[k].Off+uint64(len(t.Reqs[k].Buf)) == off {
		t.Reqs[k].Buf = t.L2Buf[t.filled-len(t.Reqs[k].Buf) : t.filled+n]
	} else {
		t.Reqs = append(t.Reqs, block.Request{Off: off, Buf: entries})
	}
	t.filled += n
	return true
}
