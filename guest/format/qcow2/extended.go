package qcow2

import (
	"encoding/binary"
	"math/bits"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// run is subclusters of one kind in one L2 slice, with contiguous offsets if they have any:
// what qemu scans in one call.
type run struct {
	kind  kind
	start uint64 // virtual bytes
	host  uint64 // host offset of start, if kind has one
}

// continues reports whether subclusters of kind k that start at virtual byte at continue r.
func (r *run) continues(k kind, at, host uint64) bool {
	return r.kind == k && (!k.hasOffset() || r.host+(at-r.start) == host)
}

// scanExtended emits the subclusters of a table of 16-byte entries.
func (w *walker) scanExtended(p *format.Part) {
	subBits := w.clusterBits - 5
	var r run
	open := false // there is a run, which ends at the current subcluster
	flush := func(at uint64) {
		if open {
			w.emit(at, r.kind, r.host+w.pos-r.start)
		}
		open = false
	}
	at := p.Start
	for i := range uint64(len(p.Entries) / l2ExtendedLen) {
		b := p.Entries[i*l2ExtendedLen:]
		entry, bitmap := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
		if (p.First+i)&w.sliceMask == 0 {
			flush(at)
		}
		host := entry & l2OffsetMask
		present := host != 0 || w.hasDataFile && entry&l2Copied != 0
		k := normal // only for the check
		if entry&l2Compressed != 0 {
			k, host, present = compressed, 0, false
		}
		if k != compressed && invalid(bitmap, present) {
			if open {
				w.emitAhead(at, &r)
				open = false
			}
			w.bad(at+w.clusterSize, fault.New(fault.Qcow2InvalidSubcluster,
				p.Table+(p.First+i)*l2ExtendedLen, p.Table, (p.First+i)&w.sliceMask))
		} else if f := w.checkExtended(p, k, present, host, at, i); f != nil {
			flush(at)
			w.bad(at+w.clusterSize, f)
		} else {
			for sub := uint(0); sub < subclusters; {
				if k != compressed {
					k = subKind(bitmap, sub, present)
				}
				from, fromHost := at+uint64(sub)<<subBits, host+uint64(sub)<<subBits
				if !open || !r.continues(k, from, fromHost) {
					flush(from)
					r, open = run{k, from, fromHost}, true
				}
				sub += subRun(bitmap, sub, k)
			}
		}
		at += w.clusterSize
	}
	flush(at)
}

// checkExtended returns the fault of a cluster whose bitmap is valid, or nil.
func (w *walker) checkExtended(p *format.Part, k kind, present bool,
	host, at, i uint64) *fault.Fault {
	if k != compressed && !present {
		return nil
	}
	return w.check(p, k, host, at, i)
}

// invalid reports whether a bitmap contradicts itself: a subcluster that is allocated and zero,
// or allocated where there is no cluster.
func invalid(bitmap uint64, present bool) bool {
	if present {
		return uint32(bitmap>>subclusters)&uint32(bitmap) != 0
	}
	return uint32(bitmap) != 0
}

// subKind returns the kind of subcluster sub of a cluster that is not compressed. present
// reports whether the cluster has a host offset.
func subKind(bitmap uint64, sub uint, present bool) kind {
	switch zero := bitmap>>(subclusters+sub)&1 != 0; {
	case zero && present:
		return zeroAlloc
	case zero:
		return zeroPlain
	case !present:
		return unallocPlain
	case bitmap>>sub&1 != 0:
		return normal
	}
	return unallocAlloc
}

// subRun returns how many subclusters from sub on are of kind k, the kind of sub.
func subRun(bitmap uint64, sub uint, k kind) uint {
	zeroes, allocs := uint32(bitmap>>subclusters), uint32(bitmap)
	var differ uint32
	switch k {
	case compressed:
		return subclusters - sub
	case zeroPlain, zeroAlloc:
		differ = ^zeroes
	case normal:
		differ = ^allocs
	default:
		differ = zeroes | allocs
	}
	return min(uint(bits.TrailingZeros32(differ>>sub)), subclusters-sub)
}

// emitAhead emits the run before an invalid cluster, which starts at at. The scan of qemu meets
// that cluster at the end of the run, so the call for the run fails; if the run is longer than
// a call, the last call for it fails. Compressed clusters are scanned one by one.
func (w *walker) emitAhead(at uint64, r *run) {
	host := r.host - r.start // wraps around, and back when an offset is added
	if r.kind == compressed {
		w.emit(at, r.kind, 0)
		return
	}
	start := max(r.start, w.pos)
	cut := start + (at-start)/maxCall*maxCall
	w.emit(cut, r.kind, host+w.pos)
	w.emitFlags(at, w.flags[r.kind]|extent.BadAhead, host+w.pos)
}
