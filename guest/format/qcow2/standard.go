package qcow2

import (
	"encoding/binary"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// entryState are the bits of a standard entry that decide how its cluster is stored.
const entryState = l2Compressed | l2Zero | l2OffsetMask

// scanStandard emits the clusters of a table of 8-byte entries, in runs of one kind with
// contiguous offsets, if they have any. A large map takes most of its time in this loop: its
// state is in local variables, and it first compares the next entry in place.
func (w *walker) scanStandard(p *format.Part) {
	b := p.Entries
	unalloc := uint64(entryState)
	if w.hasDataFile {
		unalloc |= l2Copied // makes 0 a valid offset
	}
	var (
		sink = w.sink
		size = w.clusterSize
		// strict: entries can be wrong in other ways than by their alignment.
		strict = w.hasDataFile || w.h.version() < 3
		at     = p.Start
		skip   = w.pos - at // bytes of the first cluster before the window
		end    = w.end
		file   = w.file
		shown  = w.flags
	)
	for len(b) >= l2EntrySize {
		state := binary.BigEndian.Uint64(b) & unalloc
		b = b[l2EntrySize:]
		to := at + size
		if state == 0 {
			for len(b) >= l2EntrySize && binary.BigEndian.Uint64(b)&unalloc == 0 {
				b = b[l2EntrySize:]
				to += size
			}
			sink.Emit(min(to, end)-at-skip, 0, 0, 0)
			at, skip = to, 0
			continue
		}
		state &= entryState
		k, host := classify(state)
		if strict || host&(size-1) != 0 {
			entries := uint64(len(p.Entries)-len(b))/l2EntrySize - 1
			if f := w.check(p, k, host, at, entries); f != nil {
				sink.Bad(min(to, end)-at-skip, f)
				at, skip = to, 0
				continue
			}
		}
		switch k {
		case compressed:
			for len(b) >= l2EntrySize && binary.BigEndian.Uint64(b)&l2Compressed != 0 {
				b = b[l2EntrySize:]
				to += size
			}
		case zeroPlain:
			for len(b) >= l2EntrySize && binary.BigEndian.Uint64(b)&entryState == l2Zero {
				b = b[l2EntrySize:]
				to += size
			}
		default:
			state += size
			for len(b) >= l2EntrySize && binary.BigEndian.Uint64(b)&entryState == state {
				b = b[l2EntrySize:]
				state += size
				to += size
			}
		}
		if flags := shown[k]; flags&extent.Offset != 0 {
			sink.Emit(min(to, end)-at-skip, flags, host+skip, file)
		} else {
			sink.Emit(min(to, end)-at-skip, flags, 0, 0)
		}
		at, skip = to, 0
	}
	w.pos = min(at, end)
}

// classify returns the kind and the host offset of an allocated cluster, given its entry state.
func classify(state uint64) (kind, uint64) {
	host := state & l2OffsetMask
	switch {
	case state&(l2Compressed|l2Zero) == 0:
		return normal, host
	case state&l2Compressed != 0:
		return compressed, 0
	case host == 0:
		return zeroPlain, 0
	}
	return zeroAlloc, host
}

// check returns the fault of a cluster at which a call of qemu starts, or nil. i is the index
// of its entry in p, at the virtual byte where the cluster starts.
func (w *walker) check(p *format.Part, k kind, host, at, i uint64) *fault.Fault {
	entry := p.Table + (p.First+i)<<w.entryBits
	index := (p.First + i) & w.sliceMask
	switch {
	case (k == zeroPlain || k == zeroAlloc) && w.h.version() < 3:
		return fault.New(fault.Qcow2ZeroInV2, entry, p.Table, index)
	case k == compressed && w.hasDataFile:
		return fault.New(fault.Qcow2CompressedWithDataFile, entry, p.Table, index)
	case k.hasOffset() && w.offsetInCluster(host) != 0:
		return fault.New(fault.Qcow2ClusterUnaligned, entry, host, p.Table, index)
	case k.hasOffset() && w.hasDataFile && host != at:
		return fault.New(fault.Qcow2DataFileOffset, entry, host, at, index)
	}
	return nil
}
