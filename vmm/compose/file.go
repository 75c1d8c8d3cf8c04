package compose

import (
	"context"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/vmm/image"
	"instarfs/vmm/session"
)

// Holes says where a file has data: an *image.File, or what a test puts in its place.
type Holes interface {
	// Spans returns the data and the holes of the file from byte off on, in order: at least the
	// first span, and as many more as can be found in little time, until one reaches limit. It
	// returns the cause of ctx as soon as ctx ends, whatever the file system does.
	Spans(ctx context.Context, off, limit uint64) ([]image.Span, error)
}

// File is one file of a chain.
type File struct {
	Name  string         // as it is shown
	Holes Holes          // where it has data
	Layer *session.Layer // what the run over it found; nil for a file without a map of its own
	// Files are the files that Layer.References name, by number. They are nil for the backing file.
	Files []*File

	parts []part // what the disk is put together from, nil if Layer says what it holds
}

// part is one piece of a disk that is put together.
type part struct {
	extent.Extent       // of the layer, moved to where it is on the disk
	file          *File // whose layer says what is there; nil if the extent itself does
}

// Warnings returns the warnings of all layers that are known, in order, except those that stop
// qemu-img.
func Warnings(layers []*File) (list []*fault.Fault) {
	for _, f := range layers {
		if f.Layer == nil {
			continue
		}
		for _, w := range faults(f.Layer, abi.RoleWarn) {
			if !w.Stops() {
				list = append(list, w)
			}
		}
	}
	return list
}

// faults returns the faults of a layer that have a role.
func faults(l *session.Layer, role abi.Role) (list []*fault.Fault) {
	for _, f := range l.Faults {
		if f.Role == role {
			list = append(list, f.Fault)
		}
	}
	return list
}

// stop returns the byte of the disk, end at most, up to which qemu-img maps an image with this
// layer on top, and why no further. Below other layers qemu-img asks for less at a time, and may
// get there.
func stop(l *session.Layer, end uint64) (uint64, *fault.Fault) {
	for _, w := range faults(l, abi.RoleWarn) {
		if w.Stops() {
			return min(end, w.Args[0]), w
		}
	}
	return end, nil
}

// answer is what a layer, or the chain from a layer down, says of a range of the disk. The range
// may start before the byte that was asked for.
type answer struct {
	extent.Extent
	from  *File        // holds the bytes that Offset points to
	depth int          // of the layer that decides
	bad   *fault.Fault // what is wrong with the range
	// ahead and badAhead: a question that goes past byte ahead of the disk fails with badAhead, if
	// there is one, wherever it begins. See extent.BadAhead.
	ahead    uint64
	badAhead *fault.Fault
	// own is where another part of the disk begins, over which this range hangs: a question that
	// begins there has another answer. 0 is nowhere. See partAt.
	own uint64
}

// holder returns the file that holds what a state of the file's layer describes.
func (f *File) holder(s extent.State) *File {
	if s.File == 0 || s.Flags&extent.Offset == 0 {
		return f
	}
	return f.Files[s.File-1]
}

// ownAt returns what the file's own layer says of byte pos. near is the extent that answered last.
func (f *File) ownAt(pos uint64, near *int) answer {
	m := f.Layer.Map
	i := *near
	for range 2 {
		if i < m.Len() && m.At(i).End() <= pos {
			i++
		}
	}
	if i >= m.Len() || pos < m.At(i).Start || pos >= m.At(i).End() {
		i = m.Find(pos)
	}
	*near = i
	e := m.At(i)
	a := answer{Extent: e, from: f.holder(e.State), ahead: e.End()}
	switch {
	case a.Flags&extent.Bad != 0:
		a.bad = f.Layer.Faults[a.Offset].Fault
	case a.Flags&extent.BadAhead != 0 && i+1 < m.Len() && m.At(i+1).Flags&extent.Bad != 0:
		a.badAhead = f.Layer.Faults[m.At(i+1).Offset].Fault
	}
	return a
}
