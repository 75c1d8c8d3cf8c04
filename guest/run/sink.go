package run

import (
	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
)

// maxWarnings keeps room in the result for the faults that extents point to.
const maxWarnings = 8

// sink merges what a walk emits and streams it to the host through the ring. The last record in the
// ring grows as long as what comes goes on with it. It implements format.Sink.
type sink struct {
	port     Port
	ring     []byte
	produced uint64 // records in this run
	next     uint64 // first byte that nothing was emitted for
	last     []byte // the last record, if it may still grow
	flags    extent.Flags
	file     uint16
	goesOn   uint64 // the offset with which the next one goes on with the last
	faults   []abi.RoleFault
	warnings int
}

func newSink(p Port) *sink { return &sink{port: p, ring: p.Ring()} }

// Emit implements format.Sink.
func (s *sink) Emit(length uint64, flags extent.Flags, offset uint64, file uint16) {
	if length == 0 {
		return
	}
	start := s.next
	s.next += length
	goesOn := offset
	if flags&extent.Offset != 0 {
		goesOn += length
	}
	if s.last != nil && s.flags == flags && s.file == file && s.goesOn == offset {
		abi.Lengthen(s.last, length)
		s.goesOn = goesOn
		return
	}
	i := s.produced % abi.RingRecords
	if i == 0 && s.last != nil {
		s.port.Full(s.produced)
	}
	s.last = s.ring[i*abi.RecordLen:][:abi.RecordLen]
	abi.PutFields(s.last, start, length, offset, flags, file)
	s.flags, s.file, s.goesOn = flags, file, goesOn
	s.produced++
}

// Bad implements format.Sink. When the table of faults is full, what follows counts as the last
// one.
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
