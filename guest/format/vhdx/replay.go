package vhdx

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
)

const (
	// maxLog is the longest log that is replayed, in bytes. Hyper-V makes logs of 1 MiB.
	maxLog = 64 * mib
	// maxChanges is how many changes of a log are remembered. A log of 1 MiB has room for 255
	// of data, and nobody zeroes more than a few ranges.
	maxChanges = 8192
)

// sequence is entries of the log that were written one after the other.
type sequence struct {
	starts []uint64 // of the entries, in the log
	head   logEntry // the last one
	end    uint64   // behind the last one, in the log
}

// from is the number of the entry with which a replay begins: that which the head calls the
// tail. A sequence without it is not whole.
func (s *sequence) from() (int, bool) {
	for i, at := range s.starts {
		if at == uint64(s.head.tail) {
			return i, true
		}
	}
	return 0, false
}

// replay finds the active sequence of the log and puts its changes over the device. [MS-VHDX]
// 2.3.3. A log without one is empty: QEMU writes the log's GUID before the first entry, and
// what it had no time to log has not happened.
func (m *image) replay(l *log) *fault.Fault {
	active, f := l.active()
	if f != nil || active == nil {
		return f
	}
	if head := &active.head; m.dev.Size() < head.flushed {
		return fault.New(fault.VhdxLogTruncated, l.off+head.at+48, m.dev.Size(), head.flushed)
	}
	// What is between the end of the file and here reads as zeroes.
	if last := active.head.last; last <= block.MaxOffset {
		m.length = max(m.length, last)
	}
	replayed := &overlay{Device: m.dev, stage: l.buf}
	first, _ := active.from()
	for _, at := range active.starts[first:] {
		if f := replayed.add(l, at); f != nil {
			return f
		}
	}
	m.dev = replayed
	return nil
}

// active finds the newest sequence that is whole, nil if there is none.
func (l *log) active() (best *sequence, f *fault.Fault) {
	for tail, wrapped := uint64(0), false; !wrapped; {
		s, f := l.sequenceAt(tail)
		if f != nil {
			return nil, f
		}
		to := l.next(tail, logSector)
		if len(s.starts) > 0 {
			if _, whole := s.from(); whole && (best == nil || s.head.sequence > best.head.sequence) {
				best = s
			}
			// No entry begins within another, and a sequence that is not whole is not so
			// without its first entries either.
			to = s.end
		}
		wrapped = to <= tail
		tail = to
	}
	return best, nil
}

// sequenceAt is the longest sequence that begins at a byte of the log.
func (l *log) sequenceAt(at uint64) (*sequence, *fault.Fault) {
	s := &sequence{end: at}
	for used := uint64(0); ; {
		e, ok, f := l.valid(s.end)
		if f != nil {
			return nil, f
		}
		if !ok || used+e.size() > l.length || len(s.starts) > 0 && e.sequence != s.head.sequence+1 {
			return s, nil
		}
		used += e.size()
		s.starts = append(s.starts, s.end)
		s.head, s.end = e, l.next(s.end, e.size())
	}
}

// valid reads an entry and checks everything of it.
func (l *log) valid(at uint64) (e logEntry, ok bool, f *fault.Fault) {
	if e, ok, f = l.entry(at); f != nil || !ok {
		return e, false, f
	}
	data := uint64(0)
	ok, f = l.eachDescriptor(&e, func(_ uint64, d []byte) bool {
		if string(d[:4]) == dataDesc {
			data++
		}
		return validDescriptor(&e, d)
	})
	if f != nil || !ok || e.headSectors+data != e.sectors {
		return e, false, f
	}
	for i := e.headSectors; i < e.sectors; i++ {
		b, f := l.sector(l.next(at, i*logSector))
		if f != nil {
			return e, false, f
		}
		le := binary.LittleEndian
		if string(b[:4]) != dataSector || uint64(le.Uint32(b[4:]))<<32|uint64(le.Uint32(b[dataTo:])) != e.sequence {
			return e, false, nil
		}
	}
	ok, f = l.sound(&e)
	return e, ok, f
}
