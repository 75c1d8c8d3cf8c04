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

// stream takes extents out of the ring, always while the guest stands still.
type stream struct {
	decoder
	mem    *memory
	taken  uint64  // records taken in this run
	behind *behind // decodes what was taken earlier; nil as long as that was nothing
}

// decoder makes extents of records.
type decoder struct {
	out     *extent.Builder
	decoded uint64 // records
	maxFile int    // the highest file that an extent named
	bads    int    // one more than the highest fault that a Bad extent named
}

// drain takes all records that the guest produced since the last time, and returns when they are decoded.
func (s *stream) drain() error {
	if err := s.stop(); err != nil {
		return err
	}
	first, second, err := s.take()
	if err != nil {
		return err
	}
	if err := s.decode(first); err != nil {
		return err
	}
	return s.decode(second)
}

// drainBehind takes all records that the guest produced since the last time, to be decoded while the guest goes on. The error
// may be that of records which were taken earlier.
func (s *stream) drainBehind() error {
	first, second, err := s.take()
	if err != nil {
		if earlier := s.stop(); earlier != nil {
			return earlier
		}
		return err
	}
	if s.behind == nil {
		s.behind = newBehind(&s.decoder)
	}
	if !s.behind.decode(first, second) {
		return s.stop()
	}
	return nil
}

// stop waits until everything that was taken is decoded. It must be called before a stream is left behind.
func (s *stream) stop() error {
	if s.behind == nil {
		return nil
	}
	b := s.behind
	s.behind = nil
	return b.wait()
}

// take returns the records that the guest produced since the last time, where they are: the ring may wrap.
func (s *stream) take() (first, second []byte, err error) {
	control, err := s.mem.Readable(abi.SharedGPA+abi.RingControl, 8)
	if err != nil {
		return nil, nil, err
	}
	ring, err := s.mem.Readable(abi.SharedGPA+abi.RingOffset, abi.RingLen)
	if err != nil {
		return nil, nil, err
	}
	n := le.Uint64(control) - s.taken
	if n > abi.RingRecords {
		return nil, nil, errRingIndex
	}
	from := s.taken % abi.RingRecords
	whole := min(n, abi.RingRecords-from)
	s.taken += n
	return ring[from*abi.RecordLen:][:whole*abi.RecordLen], ring[:(n-whole)*abi.RecordLen], nil
}

// decode adds records to the map, each copied out before it is looked at.
func (d *decoder) decode(records []byte) error {
	for ; len(records) > 0; records = records[abi.RecordLen:] {
		e, ok := abi.Record(records)
		switch {
		case !ok:
			return errRecord
		case e.Flags&extent.Bad != 0:
			if e.Offset >= abi.MaxFaults {
				return errRecord
			}
			d.bads = max(d.bads, int(e.Offset)+1)
		case e.Flags&extent.Present == 0 && e.Flags&extent.Zero != 0:
			return errComposed
		}
		d.maxFile = max(d.maxFile, int(e.File))
		if err := d.out.Add(e); err != nil {
			return err
		}
		d.decoded++
	}
	return nil
}
