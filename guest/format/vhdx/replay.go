package vhdx

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
)

const (
	// maxLog is the longest log that is replayed, bytes. Hyper-V makes logs of 1 MiB.
	maxLog = 64 * mib
	// maxChanges is the most changes of a log. A log of 1 MiB has room for 255 of data, and
	// programs zero only a few ranges.
	maxChanges = 8192
)

// sequence is a sequence of entries of the log, written one after the other.
type sequence struct {
	starts []uint64 // where entries start in the log
	head   logEntry // the last one
	end    uint64   // where the last one ends in the log
}

// from returns the index of the entry with which a replay begins, which the last entry calls
// the tail. A sequence without it is incomplete.
func (s *sequence) from() (int, bool) {
	for i, at := range s.starts {
		if at == uint64(s.head.tail) {
			return i, true
		}
	}
	return 0, false
}

// replay finds the active sequence of the log and puts its changes over the device. [MS-VHDX]
// 2.3.3. A log without one is empty: QEMU writes the GUID of the log before the first entry,
// and changes that were not logged were not made.
func (m *image) replay(l *log) *fault.Fault {
	active, f := l.active()
	if f != nil || active == nil {
		return f
	}
	if head := &active.head; m.dev.Size() < head.flushed {
		return fault.New(fault.VhdxLogTruncated, l.off+head.at+48, m.dev.Size(), head.flushed)
	}
	// The bytes from the end of the file up to here read as zeroes.
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

// active returns the newest complete sequence, nil if there is none.
func (l *log) active() (best *sequence, f *fault.Fault) {
	for tail, wrapped := uint64(0), false; !wrapped; {
		s, f := l.sequenceAt(tail)
		if f != nil {
			return nil, f
		}
		to := l.next(tail, logSector)
		if len(s.starts) > 0 {
			if _, whole := s.from(); whole &&
				(best == nil || s.head.sequence > best.head.sequence) {
				best = s
			}
			// No entry begins inside another, and an incomplete sequence stays incomplete
			// without its first entries.
			to = s.end
		}
		wrapped = to <= tail
		tail = to
	}
	return best, nil
}

// sequenceAt returns the longest sequence that begins at a byte of the log.
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

// valid reads an entry and checks all of it.
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
		if string(b[:4]) != dataSector ||
			uint64(le.Uint32(b[4:]))<<32|uint64(le.Uint32(b[dataTo:])) != e.sequence {
			return e, false, nil
		}
	}
	ok, f = l.sound(&e)
	return e, ok, f
}
