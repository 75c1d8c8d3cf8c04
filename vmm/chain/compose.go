package chain

import (
	"context"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/vmm"
)

// style is how a profile wants the states of a composed map.
type style struct {
	qemu         bool // a failed walk leaves what qemu-img has printed by then
	noCompressed bool // the profile does not tell compressed extents apart
	noPresent    bool // nor those that no layer decides
}

// state is what a layer's state becomes in the map of an image without backing file: what is unallocated reads as zeroes
// (qemu: bdrv_block_status of a node that supports backing files and has none).
func (s style) state(l extent.State) extent.State {
	f := l.Flags &^ (extent.Holes | extent.Bare | extent.BadAhead)
	if f&extent.Present == 0 {
		f |= extent.Zero
	}
	if s.noCompressed {
		f &^= extent.Compressed
	}
	if s.noPresent && f&(extent.Data|extent.Zero) == extent.Zero {
		f &^= extent.Present
	}
	l.Flags, l.File = f, 0
	return l
}

// compose makes the map of an image of one layer, of at most limit extents. The holes of file show through where the format
// says so. A walk that failed is the fault that is returned: by default with no map, in the style of qemu with the extents
// before it.
func compose(ctx context.Context, l *vmm.Layer, file holes, name string, s style, limit int) (*extent.Map, *fault.Fault, error) {
	files := []string{name}
	if l.Map.Flags()&(extent.Holes|extent.Bad) == 0 {
		if m, ok := l.Map.Remap(files, s.state); ok {
			return m, nil, nil
		}
	}
	out := extent.NewBuilder(l.Map.Start(), l.Map.End(), limit)
	region := regions{file: file}
	for i := range l.Map.Len() {
		e := l.Map.At(i)
		if bad := failing(l, i); bad != nil {
			if !s.qemu {
				return nil, bad, nil
			}
			return out.Cut(files), bad, nil
		}
		var err error
		if e.Flags&extent.Holes != 0 {
			err = region.split(e, func(piece extent.Extent) error {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				piece.State = s.state(piece.State)
				return out.Add(piece)
			})
		} else {
			e.State = s.state(e.State)
			err = out.Add(e)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	m, err := out.Finish(files)
	return m, nil, err
}

// failing is the fault that strikes qemu-img when it asks for extent i: the extent's own, or that of the one behind it
// where the question looks ahead.
func failing(l *vmm.Layer, i int) *fault.Fault {
	e := l.Map.At(i)
	if e.Flags&extent.BadAhead != 0 && i+1 < l.Map.Len() {
		e = l.Map.At(i + 1)
	}
	if e.Flags&extent.Bad == 0 {
		return nil
	}
	return l.Faults[e.Offset].Fault
}
