package luks

import (
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

type image struct {
	segments []segment // in the order of the disk
	size     uint64
}

// Size returns the size of the virtual disk in bytes.
func (m *image) Size() uint64 { return m.size }

// References returns nil: containers name no files.
func (m *image) References() []img.Reference { return nil }

// Walk emits the extents of [start, end). See format.Image.
func (m *image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	at := uint64(0) // virtual byte at which the segment starts
	for i := range m.segments {
		s := &m.segments[i]
		from, to := max(start, at), min(end, at+s.length)
		switch {
		case from >= to:
		case s.kind == "crypt":
			sink.Emit(to-from, encrypted, 0, 0)
		default:
			sink.Emit(to-from, extent.Present|extent.Data|extent.Offset, s.from+from-at, 0)
		}
		at += s.length
	}
	return nil
}
