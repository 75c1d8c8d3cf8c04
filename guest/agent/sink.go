package main

import (
	"encoding/binary"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
)

// maxWarnings keeps room in the result for the faults that extents point to.
const maxWarnings = 8

// sink merges what a walk emits and streams it to the host through the ring.
type sink struct {
	ring     []byte
	control  []byte
	produced uint64 // records in this run
	next     uint64 // first byte that nothing was emitted for
	pending  extent.Extent
	faults   []abi.RoleFault
	warnings int
}

func newSink(shared []byte) *sink {
	return &sink{ring: shared[abi.RingOffset:][:abi.RingLen], control: shared[abi.RingControl:][:8]}
}

// Emit implements format.Sink.
func (s *sink) Emit(length uint64, flags extent.Flags, offset uint64, file uint16) {
	if length == 0 {
		return
	}
	p := &s.pending
	if p.Length != 0 {
		want := p.Offset
		if flags&extent.Offset != 0 {
			want += p.Length
		}
		if p.Flags == flags && p.File == file && want == offset {
			p.Length += length
			s.next += length
			return
		}
		s.put()
	}
	*p = extent.Extent{Start: s.next, Length: length, Offset: offset, State: extent.State{Flags: flags, File: file}}
	s.next += length
}

// Bad implements format.Sink. When the table of faults is full, what follows counts as the last one.
func (s *sink) Bad(length uint64, f *fault.Fault) {
	if len(s.faults) < abi.MaxFaults {
		s.faults = append(s.faults, abi.RoleFault{Role: abi.RoleBad, Fault: f})
	}
	s.Emit(length, extent.Bad, uint64(len(s.faults)-1), 0)
}

// Warn implements format.Sink.
func (s *sink) Warn(f *fault.Fault) {
	if s.warnings < maxWarnings && len(s.faults) < maxWarnings {
		s.warnings++
		s.faults = append(s.faults, abi.RoleFault{Role: abi.RoleWarn, Fault: f})
	}
}

// put writes the pending extent to the ring, and has the host empty it when it is full.
func (s *sink) put() {
	i := s.produced % abi.RingRecords * abi.RecordLen
	abi.PutRecord(s.ring[i:i+abi.RecordLen], s.pending)
	s.produced++
	if s.produced%abi.RingRecords == 0 {
		s.publish()
		bell(abi.BellRing)
	}
}

// flush hands over what is left, without a doorbell: Done tells the host to look. It returns the number of records.
func (s *sink) flush() uint64 {
	if s.pending.Length != 0 {
		s.put()
		s.pending.Length = 0
	}
	s.publish()
	return s.produced
}

func (s *sink) publish() { binary.LittleEndian.PutUint64(s.control, s.produced) }
