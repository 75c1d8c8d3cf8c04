package chain

import (
	"fmt"
	"sort"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/vmm/session"
)

// A disk may be put together from files that have maps of their own: the extents of a VMDK. What the run over the descriptor
// says of such a file is no more than that its extent comes next; how long it is the file itself says.

// part is one piece of a disk that is put together.
type part struct {
	extent.Extent       // of the layer, moved to where it is on the disk
	file          *node // whose layer says what is there; nil where the extent itself does
}

// inParts reports whether other files say what a layer holds.
func (l *layer) inParts() bool {
	for i := range l.References {
		if l.References[i].Kind == img.ExtentFile {
			return true
		}
	}
	return false
}

// maxDisk is the largest virtual disk that qemu opens, bytes (BDRV_MAX_LENGTH).
const maxDisk = 1<<63 - 1<<30

// maxParts is how many parts a disk may have: no text of 1 MiB describes as many.
const maxParts = 1 << 17

// assemble puts the parts of a layer one after the other, unless the layer is refused. What a guest
// says of files whose maps it has not seen may be wrong.
func (n *node) assemble() error {
	for _, f := range n.layer.faults(abi.RoleRefuse) {
		return f
	}
	if !n.layer.inParts() || n.layer.VirtualSize > maxDisk {
		return nil
	}
	m := n.layer.Map
	if m.Len() > maxParts {
		return &session.GuestError{Kind: session.KindProtocol, What: fmt.Sprintf("a disk of %d parts", m.Len())}
	}
	var pos uint64
	for i := range m.Len() {
		p := part{Extent: m.At(i)}
		if p.File > 0 && n.files[p.File-1] != nil && n.files[p.File-1].layer != nil {
			p.file = n.files[p.File-1]
			if p.Offset != 0 {
				return &session.GuestError{Kind: session.KindProtocol, What: fmt.Sprintf("a part that begins at byte %d of its file", p.Offset)}
			}
			if p.file.layer.VirtualSize > maxDisk {
				// A part without a size makes a disk without one, in a profile of qemu.
				whole := *p.file.layer.Layer
				whole.Format, whole.References = n.layer.Format, n.layer.References
				n.layer, n.parts = &layer{Layer: &whole}, nil
				return nil
			}
			p.Length = p.file.layer.VirtualSize - p.file.layer.Overhang
		}
		switch {
		case p.Length > maxDisk-pos:
			return fault.New(fault.VmdkTooLarge, 0)
		case p.Length == 0:
			continue
		}
		p.Start = pos
		pos = p.End()
		n.parts = append(n.parts, p)
	}
	if n.parts == nil {
		n.parts = []part{}
	}
	return nil
}

// size is the virtual disk's, bytes.
func (n *node) size() uint64 {
	switch {
	case n.parts == nil:
		return n.layer.VirtualSize
	case len(n.parts) == 0:
		return 0
	}
	return n.parts[len(n.parts)-1].End()
}

// window is the part of the disk that was asked for.
func (c *chain) window() (start, end uint64) {
	top := c.nodes[0]
	if top.parts == nil {
		return top.layer.Map.Start(), top.layer.Map.End()
	}
	w := c.options.Window.Clip(top.size())
	return w.Start, w.End
}

// partAt is what the parts say of the disk from pos on. In the style of qemu the last grain of a file hangs over the beginning of
// the next one, if that is shorter than a grain there; see abi.Result.
func (n *node) partAt(pos uint64) found {
	i := sort.Search(len(n.parts), func(i int) bool { return n.parts[i].End() > pos })
	p := n.parts[i]
	e := p.Skip(pos - p.Start)
	if p.file == nil {
		return found{Extent: e, in: n}
	}
	m := p.file.layer.Map
	var near int
	f := p.file.extentAt(p.Offset+pos-p.Start, &near)
	if f.bad == nil {
		f.Extent = f.Skip(p.Offset + pos - p.Start - f.Start)
	}
	limit := m.End() - p.Offset - (pos - p.Start)
	f.Start, f.Length = pos, min(f.Length, limit, n.size()-pos)
	if f.End() > p.End() {
		f.own = p.End()
	}
	return f
}
