package dmg

import (
	"sort"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

type image struct {
	size uint64 // bytes of the virtual disk
	runs []run  // in the order of the disk; the rest of the disk is unallocated
}

// Size returns the size of the virtual disk in bytes.
func (m *image) Size() uint64 { return m.size }

// References returns nil: images that name other files are refused.
func (m *image) References() []img.Reference { return nil }

// flags are the flags of each kind.
var flags = [...]extent.Flags{
	zero:       extent.Present | extent.Zero,
	raw:        extent.Present | extent.Data | extent.Offset,
	compressed: extent.Present | extent.Data | extent.Compressed,
	strange:    extent.Present | extent.Data,
}

// Walk emits the extents of [start, end). See format.Image.
func (m *image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	i := sort.Search(len(m.runs), func(i int) bool { return m.runs[i].end()*sectorSize > start })
	for pos := start; pos < end; {
		if i == len(m.runs) || m.runs[i].start*sectorSize >= end {
			sink.Emit(end-pos, 0, 0, 0)
			break
		}
		r := &m.runs[i]
		i++
		if from := r.start * sectorSize; from > pos {
			sink.Emit(from-pos, 0, 0, 0)
			pos = from
		}
		n := min(r.end()*sectorSize, end) - pos
		switch r.kind {
		case bad:
			sink.Bad(n, fault.New(fault.DmgRaw, r.at, r.length, r.offset, r.sectors))
		case raw:
			sink.Emit(n, flags[raw], r.offset+pos-r.start*sectorSize, 0)
		default:
			sink.Emit(n, flags[r.kind], 0, 0)
		}
		pos += n
	}
	return nil
}
