package vmm

import (
	"errors"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
)

var (
	errRingIndex = errors.New("the ring's index claims more records than the ring holds")
	errRecord    = errors.New("unknown flags or file")
	errComposed  = errors.New("flags or depth that only a composed map has")
)

// stream takes extents out of the ring. The guest stands still while it does, and every record is copied out before it is
// looked at.
type stream struct {
	mem     *memory
	out     *extent.Builder
	taken   uint64 // records taken in this run
	maxFile int    // the highest file that an extent named
	bads    int    // one more than the highest fault that a Bad extent named
}

// drain takes all records that the guest produced since the last time.
func (s *stream) drain() error {
	control, err := s.mem.Readable(abi.SharedGPA+abi.RingControl, 8)
	if err != nil {
		return err
	}
	ring, err := s.mem.Readable(abi.SharedGPA+abi.RingOffset, abi.RingLen)
	if err != nil {
		return err
	}
	produced := le.Uint64(control)
	if produced-s.taken > abi.RingRecords {
		return errRingIndex
	}
	for ; s.taken != produced; s.taken++ {
		e, ok := abi.Record(ring[s.taken%abi.RingRecords*abi.RecordLen:])
		switch {
		case !ok:
			return errRecord
		case e.Flags&extent.Bad != 0:
			if e.Offset >= abi.MaxFaults {
				return errRecord
			}
			s.bads = max(s.bads, int(e.Offset)+1)
		case e.Flags&extent.Present == 0 && e.Flags&extent.Zero != 0:
			return errComposed
		}
		s.maxFile = max(s.maxFile, int(e.File))
		if err := s.out.Add(e); err != nil {
			return err
		}
	}
	return nil
}
