package qcow2

import (
	"encoding/binary"

	"instarfs/guest/fault"
)

// entryState are the bits of a standard entry that decide how its cluster is stored.
const entryState = l2Compressed | l2Zero | l2OffsetMask

// scanStandard emits the clusters of a table of 8-byte entries, a run of clusters of one kind, with contiguous offsets where
// they have them, at a time.
func (w *walker) scanStandard(p *part) {
	b := p.entries
	n := len(b) / l2EntrySize
	unallocState := uint64(entryState)
	if w.hasDataFile {
		unallocState |= l2Copied // says that offset 0 is one
	}
	at := p.start
	for i := 0; i < n; {
		state := binary.BigEndian.Uint64(b[i*l2EntrySize:])
		host := state & l2OffsetMask
		var k kind
		switch {
		case state&unallocState == 0:
			k = unallocPlain
		case state&l2Compressed != 0:
			k = compressed
		case state&l2Zero != 0 && host == 0:
			k = zeroPlain
		case state&l2Zero != 0:
			k = zeroAlloc
		default:
			k = normal
		}
		if w.suspect(k, host) {
			if f := w.check(p, k, host, at, uint64(i)); f != nil {
				at += w.clusterSize
				w.bad(at, f)
				i++
				continue
			}
		}
		j := i + 1
		switch k {
		case unallocPlain:
			j = same(b, j, unallocState, 0)
		case compressed:
			j = same(b, j, l2Compressed, l2Compressed)
		case zeroPlain:
			j = same(b, j, entryState, l2Zero)
		default:
			j = contiguous(b, j, state&entryState, w.clusterSize)
		}
		to := at + uint64(j-i)<<w.clusterBits
		w.emit(to, k, host+w.pos-at)
		at, i = to, j
	}
}

// same returns the index of the first entry from j on whose bits under mask are not want.
func same(b []byte, j int, mask, want uint64) int {
	for b = b[j*l2EntrySize:]; len(b) >= l2EntrySize && binary.BigEndian.Uint64(b)&mask == want; b = b[l2EntrySize:] {
		j++
	}
	return j
}

// contiguous returns the index of the first entry from j on that does not go on where the one before it, whose state is
// given, ends on the host.
func contiguous(b []byte, j int, state, clusterSize uint64) int {
	b = b[j*l2EntrySize:]
	for state += clusterSize; len(b) >= l2EntrySize && binary.BigEndian.Uint64(b)&entryState == state; state += clusterSize {
		b = b[l2EntrySize:]
		j++
	}
	return j
}

// suspect reports whether a cluster of kind k can be corrupt at all, which is quick to tell.
func (w *walker) suspect(k kind, host uint64) bool {
	return host&(w.clusterSize-1) != 0 || w.hasDataFile || k == zeroPlain || k == zeroAlloc
}

// check finds what is wrong with a cluster where a call of qemu starts: i is the index of its entry in p, at its place on
// the virtual disk.
func (w *walker) check(p *part, k kind, host, at, i uint64) *fault.Fault {
	entry := p.table + (p.first+i)<<w.entryBits
	index := (p.first + i) & w.sliceMask
	switch {
	case (k == zeroPlain || k == zeroAlloc) && w.h.version() < 3:
		return fault.New(fault.Qcow2ZeroInV2, entry, p.table, index)
	case k == compressed && w.hasDataFile:
		return fault.New(fault.Qcow2CompressedWithDataFile, entry, p.table, index)
	case k.hasOffset() && w.offsetInCluster(host) != 0:
		return fault.New(fault.Qcow2ClusterUnaligned, entry, host, p.table, index)
	case k.hasOffset() && w.hasDataFile && host != at:
		return fault.New(fault.Qcow2DataFileOffset, entry, host, at, index)
	}
	return nil
}
