package dmg

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
)

// stream reads a range of the device once, from its start to its end.
type stream struct {
	dev      block.Device
	buf      []byte
	have     []byte       // read and not yet taken
	pos, end uint64       // device offsets: behind have, and of the range's end
	failed   *fault.Fault // a read that failed
}

// rewind makes the range one of n bytes from off on.
func (s *stream) rewind(off, n uint64) { s.have, s.pos, s.end = nil, off, off+n }

// at is the device offset of what take returns next.
func (s *stream) at() uint64 { return s.pos - uint64(len(s.have)) }

// take returns the next bytes, at most n. There are none at the range's end, and behind a read that failed.
func (s *stream) take(n uint64) []byte {
	if len(s.have) == 0 && s.failed == nil {
		s.have = s.buf[:min(s.end-s.pos, uint64(len(s.buf)))]
		s.pos += uint64(len(s.have))
		if len(s.have) > 0 {
			s.failed = block.ReadOne(s.dev, s.have, s.pos-uint64(len(s.have)))
		}
	}
	if s.failed != nil {
		return nil
	}
	b := s.have[:min(n, uint64(len(s.have)))]
	s.have = s.have[len(b):]
	return b
}

// u32 takes a number; what lies behind the range's end is zero.
func (s *stream) u32() uint32 {
	var b [4]byte
	for n := 0; n < len(b); {
		got := copy(b[n:], s.take(uint64(len(b)-n)))
		if got == 0 {
			break
		}
		n += got
	}
	return binary.BigEndian.Uint32(b[:])
}
