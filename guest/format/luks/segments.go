package luks

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// segment is a part of the disk, in version 2.
type segment struct {
	id     uint64
	at     uint64 // device offset of its object
	kind   string // "crypt" or "linear"
	offset string // decimal, bytes
	size   string // decimal, or "dynamic": up to the end of the file
	backup bool   // not in use: a copy that exists while the container is being re-encrypted

	from, length uint64 // offset and size in bytes
}

// openV2 reads the segments in the JSON area of the first header; the second header is a copy.
// size is the size of the file in bytes, rounded up to sectors.
func openV2(dev block.Device, buf []byte, size uint64) (format.Image, *fault.Fault) {
	headerSize := binary.BigEndian.Uint64(buf[offHeaderSize:])
	if headerSize < minHeaderSize || headerSize > maxHeaderSize {
		return nil, fault.New(fault.LuksHeaderSize, offHeaderSize, headerSize)
	}
	p := &parser{at: jsonOffset,
		bytes: format.Table{Dev: dev, Buf: buf, EntryLen: 1, Limit: headerSize}}
	var segments []segment
	p.object(func(name string) {
		if name != "segments" {
			p.skip()
			return
		}
		p.object(func(name string) {
			at := p.at
			s := p.segment(name)
			s.at = at
			if len(segments) == maxSegments && p.failed == nil {
				p.failed = fault.New(fault.LuksSegments, at, maxSegments)
			}
			if !s.backup && p.failed == nil {
				segments = append(segments, s)
			}
		})
	})
	if p.failed != nil {
		return nil, p.failed
	}
	return arrange(segments, size)
}

// segment reads the object of a segment.
func (p *parser) segment(name string) segment {
	s := segment{}
	id, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		p.fail()
	}
	s.id = id
	p.object(func(name string) {
		switch {
		case name == "type" && p.token() == '"':
			s.kind = p.str()
		case name == "offset" && p.token() == '"':
			s.offset = p.str()
		case name == "size" && p.token() == '"':
			s.size = p.str()
		case name == "flags" && p.token() == '[':
			p.members('[', ']', func(string) {
				if p.token() != '"' {
					p.skip()
				} else if strings.HasPrefix(p.str(), "backup-") {
					s.backup = true
				}
			})
		default:
			p.skip()
		}
	})
	return s
}

// arrange sorts the segments by number, which is their order on the disk, and checks where they
// are.
func arrange(segments []segment, size uint64) (format.Image, *fault.Fault) {
	m := &image{segments: segments}
	if len(segments) == 0 {
		return nil, fault.New(fault.LuksNoSegments, jsonOffset)
	}
	slices.SortFunc(segments, func(a, b segment) int { return int(int64(a.id) - int64(b.id)) })
	for i := range segments {
		s := &segments[i]
		if s.kind != "crypt" && s.kind != "linear" {
			return nil, fault.New(fault.LuksSegmentType, s.at, s.id)
		}
		last := i == len(segments)-1
		var err, err2 error
		s.from, err = strconv.ParseUint(s.offset, 10, 64)
		switch {
		case s.size != "dynamic":
			s.length, err2 = strconv.ParseUint(s.size, 10, 64)
		case err == nil && (s.from == 0 || s.from > size):
			return nil, fault.New(fault.LuksDetached, s.at, s.from, size)
		default:
			s.length = size - s.from
		}
		if err != nil || err2 != nil || (s.from|s.length)%sectorSize != 0 ||
			s.from > block.MaxOffset || s.length > block.MaxOffset-s.from ||
			s.size == "dynamic" && !last || !last && s.id == segments[i+1].id {
			return nil, fault.New(fault.LuksSegment, s.at, s.id)
		}
		if s.length > block.MaxOffset-m.size {
			return nil, fault.New(fault.LuksSize, s.at)
		}
		m.size += s.length
	}
	return m, nil
}
