package compose

import "instarfs/guest/extent"

// lender is a layer as one whose extents the composed map can share.
type lender struct {
	known  bool // what follows is
	usable bool
	extent.Lender
}

// output composes a chain from its start to its end.
type output struct {
	layers  []*File
	style   style
	writer  *writer
	last    []answer         // of each depth
	near    []int            // the extent of each layer that answered last
	numbers map[*File]uint16 // State.File of the result
	lenders []lender         // of each depth
}

func newOutput(layers, others []*File, s style, w *writer) *output {
	o := &output{
		layers: layers, style: s, writer: w,
		last: make([]answer, len(layers)), near: make([]int, len(layers)),
		numbers: map[*File]uint16{}, lenders: make([]lender, len(layers)),
	}
	for i, f := range layers {
		o.numbers[f] = uint16(i)
	}
	for i, f := range others {
		o.numbers[f] = uint16(len(layers) + i)
	}
	return o
}

// resolve returns what the chain from depth on says at pos, as an answer to a question that ends at
// end, like qemu's bdrv_common_block_status_above. The last answer of each depth is kept until it
// ends, so that each layer is read once, however many extents lie above it.
func (o *output) resolve(depth int, pos, end uint64) answer {
	k := &o.last[depth]
	if k.Length == 0 || pos < k.Start || pos >= k.End() || k.own != 0 && pos >= k.own {
		*k = o.ask(depth, pos, end)
	}
	a := *k
	if a.badAhead != nil && end > a.ahead {
		a.bad = a.badAhead
	}
	if a.bad == nil && a.Start < pos {
		a.Extent = a.Skip(pos - a.Start)
	}
	return a
}

// ask makes a new answer.
func (o *output) ask(depth int, pos, end uint64) answer {
	a := o.layers[depth].at(pos, &o.near[depth])
	a.depth = depth
	if a.bad != nil || a.badAhead != nil && end > a.ahead {
		return a
	}
	if a.Flags&extent.Present == 0 && depth+1 < len(o.layers) {
		if under := o.layers[depth+1].Size(); pos < under {
			return o.below(a, pos, end, under)
		}
	}
	a.State = o.shown(depth, a.State, a.from)
	return a
}

// shown is what a state of the layer at a depth is in the composed map. from holds the bytes.
func (o *output) shown(depth int, s extent.State, from *File) extent.State {
	s = o.style.beforeHoles(s)
	s.Depth = uint16(depth)
	if s.Flags&extent.Offset != 0 {
		s.File = o.numbers[from]
	}
	return s
}

// below returns what the chain below a layer says at pos, where that layer leaves it open in answer
// a. The disk below has size bytes.
func (o *output) below(a answer, pos, end, size uint64) answer {
	bottom := min(a.End(), size)
	b := o.resolve(a.depth+1, pos, min(bottom, end))
	if b.End() > bottom {
		b.Length = bottom - b.Start
	}
	if b.badAhead == nil || bottom <= b.ahead {
		b.ahead, b.badAhead = a.ahead, a.badAhead
	}
	return b
}
