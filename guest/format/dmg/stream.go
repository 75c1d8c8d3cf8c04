package dmg

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// stream reads a range of the device once, from its start to its end.
type stream struct {
	dev    block.Device
	buf    []byte
	bytes  format.Table // the device as a table of bytes, up to the end of the range
	pos    uint64       // device offset of what take returns next
	failed *fault.Fault // a read that failed
}

// rewind starts a range of n bytes at off.
func (s *stream) rewind(off, n uint64) {
	s.bytes = format.Table{Dev: s.dev, Buf: s.buf, EntryLen: 1, Limit: off + n}
	s.pos = off
}

// take returns the next bytes, at most n. It returns none at the end of the range, and after a
// read that failed.
func (s *stream) take(n uint64) []byte {
	if s.failed != nil || s.pos == s.bytes.Limit {
		return nil
	}
	b, f := s.bytes.From(s.pos, 1)
	if f != nil {
		s.failed = f
		return nil
	}
	b = b[:min(n, uint64(len(b)))]
	s.pos += uint64(len(b))
	return b
}

// u32 takes a number. Bytes past the end of the range are zero.
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
