package dmg

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
)

// readFork reads the block tables in the resource fork, which is length bytes at off. It
// ignores the resource map, which gives the type of each resource: other resources do not look
// like block tables.
func readFork(s *stream, c *chunks, off, length uint64) *fault.Fault {
	header := s.buf[:rsrcHeaderLen]
	if f := block.ReadOne(s.dev, header, off); f != nil {
		return f
	}
	dataOffset, left := binary.BigEndian.Uint32(header),
		uint64(binary.BigEndian.Uint32(header[rsrcLength:]))
	switch {
	case uint64(dataOffset) > length:
		return fault.New(fault.DmgResourceData, off)
	case left == 0 || uint64(dataOffset+uint32(left)) > length: // the sum has 32 bits, as in qemu
		return fault.New(fault.DmgResourceLength, off+rsrcLength)
	case left > maxTables:
		return fault.New(fault.DmgTables, off+rsrcLength, left, maxTables)
	}
	// The length of a resource does not include itself, so the last one may end 4 bytes after
	// the resource data.
	s.rewind(off+uint64(dataOffset), left+4)
	for left > 0 {
		at := s.pos
		n := uint64(s.u32())
		if s.failed != nil {
			return s.failed
		}
		if n == 0 || n > left {
			return fault.New(fault.DmgResource, at)
		}
		left -= min(4+n, left)
		c.begin()
		for n > 0 {
			b := s.take(n)
			if s.failed != nil {
				return s.failed
			}
			if len(b) == 0 { // cannot happen
				return fault.New(fault.DmgResource, at)
			}
			at, n = s.pos-uint64(len(b)), n-uint64(len(b))
			for i, x := range b {
				c.add(x, at+uint64(i))
			}
		}
		if f := c.end(); f != nil {
			return f
		}
	}
	return nil
}
