package compose

import (
	"sort"

	"instarfs/guest/abi"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/vmm/session"
)

// A disk may be put together from files that have maps of their own: the extents of a VMDK. The run
// over the descriptor says of such a file only that its extent comes next; the file itself says how
// long it is.

// InParts reports whether other files say what a layer holds.
func InParts(l *session.Layer) bool {
	for i := range l.References {
		if l.References[i].Kind == img.ExtentFile {
			return true
		}
	}
	return false
}

const (
	// maxDisk is the largest virtual disk that qemu opens, bytes (BDRV_MAX_LENGTH).
	maxDisk = 1<<63 - 1<<30
	// MaxParts is how many parts a disk may have: no text of 1 MiB describes as many.
	MaxParts = 1 << 17
)

// Assemble puts the parts of a layer one after the other. Files must be set, with their layers.
// The error is why the layer is refused: a *fault.Fault, or a *session.GuestError, because a guest
// may be wrong about files whose maps it has not seen.
func (f *File) Assemble() error {
	for _, refusal := range faults(f.Layer, abi.RoleRefuse) {
		return refusal
	}
	if !InParts(f.Layer) || f.Layer.VirtualSize > maxDisk {
		return nil
	}
	m := f.Layer.Map
	if m.Len() > MaxParts {
		return session.Errorf(session.KindProtocol, "a disk of %d parts", m.Len())
	}
	f.parts = []part{}
	var pos uint64
	for i := range m.Len() {
		p := part{Extent: m.At(i)}
		if p.File > 0 {
			if of := f.Files[p.File-1]; of != nil && of.Layer != nil {
				p.file = of
			}
		}
		if p.file != nil {
			l := p.file.Layer
			if p.Offset != 0 {
				return session.Errorf(session.KindProtocol,
					"a part that begins at byte %d of its file", p.Offset)
			}
			if l.VirtualSize > maxDisk {
				// A part without a size makes a disk without one, in a profile of qemu.
				whole := *l
				whole.Format, whole.References = f.Layer.Format, f.Layer.References
				f.Layer, f.parts = &whole, nil
				return nil
			}
			p.Length = l.VirtualSize - l.Overhang
		}
		switch {
		case p.Length > maxDisk-pos:
			return fault.New(fault.VmdkTooLarge, 0)
		case p.Length == 0:
			continue
		}
		p.Start = pos
		pos = p.End()
		f.parts = append(f.parts, p)
	}
	return nil
}

// Size is the size of the virtual disk in bytes.
func (f *File) Size() uint64 {
	switch {
	case f.parts == nil:
		return f.Layer.VirtualSize
	case len(f.parts) == 0:
		return 0
	}
	return f.parts[len(f.parts)-1].End()
}

// at returns what the file says of byte pos of the disk. near is the extent that answered last.
func (f *File) at(pos uint64, near *int) answer {
	if f.parts != nil {
		return f.partAt(pos)
	}
	return f.ownAt(pos, near)
}

// partAt returns what the parts say of the disk from byte pos on. In the style of qemu the last
// grain of a file hangs over the beginning of the next file, if that is shorter than a grain there;
// see abi.Result.
func (f *File) partAt(pos uint64) answer {
	i := sort.Search(len(f.parts), func(i int) bool { return f.parts[i].End() > pos })
	p := f.parts[i]
	e := p.Skip(pos - p.Start)
	if p.file == nil {
		return answer{Extent: e, from: f.holder(e.State), ahead: e.End()}
	}
	m := p.file.Layer.Map
	var near int
	a := p.file.ownAt(p.Offset+pos-p.Start, &near)
	if a.bad == nil {
		a.Extent = a.Skip(p.Offset + pos - p.Start - a.Start)
	}
	limit := m.End() - p.Offset - (pos - p.Start)
	a.Start, a.Length = pos, min(a.Length, limit, f.Size()-pos)
	a.ahead = a.End()
	if a.End() > p.End() {
		a.own = p.End()
	}
	return a
}
