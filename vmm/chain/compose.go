package chain

import (
	"fmt"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
)

// style is how a profile wants the states of a composed map.
type style struct {
	qemu         bool // a failed walk leaves what qemu-img has printed by then
	noCompressed bool // the profile does not tell compressed extents apart
	noPresent    bool // nor those that no layer decides
}

func (o *Options) style() style {
	r := o.Release
	return style{qemu: r.IsQemu(), noCompressed: !r.HasCompressed(), noPresent: !r.HasPresent()}
}

// state is what the state of a layer becomes where that layer has the last word: what is unallocated reads as zeroes (qemu:
// bdrv_co_do_block_status of a node that supports backing files and has none there).
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
	l.Flags = f
	return l
}

// compose makes the map of a chain, of at most limit extents. A walk that failed is an error by default; in the style of qemu
// it is Result.Failed, beside a map of the extents before it.
func (c *chain) compose(p *pace, limit int) (*Result, error) {
	top := c.nodes[0].layer
	start, end := c.window()
	r := &Result{VirtualSize: c.nodes[0].size(), Format: top.Format.String()}
	r.Warnings = c.warnings()
	s := c.options.style()
	files := c.names()
	stop, stopped := end, (*fault.Fault)(nil)
	if s.qemu {
		stop, stopped = top.stop(end)
	}
	plain := stopped == nil && top.Map.Flags()&(extent.Bad|extent.Holes) == 0
	if plain && len(c.nodes) == 1 && len(c.others) == 0 {
		if m, ok := top.Map.Remap(files, s.state); ok {
			r.Map, r.shared = m, true
			return r, nil
		}
	}
	b, err := p.builder(start, end, limit)
	if err != nil {
		return nil, fmt.Errorf("compose the map: %w", err)
	}
	out := &output{chain: c, pace: p, style: s, builder: b}
	out.number()
	for pos := start; pos < stop; {
		a := out.resolve(0, pos, end)
		if a.bad != nil {
			err := error(a.bad)
			if a.depth > 0 {
				n := c.nodes[a.depth]
				err = &referenceError{kind: img.Backing, name: n.name, label: n.name, depth: a.depth, err: a.bad}
			}
			if !s.qemu {
				return nil, err
			}
			r.Failed, r.Map = a.bad, out.builder.Cut(files)
			return r, nil
		}
		a.Length = min(a.Length, stop-pos)
		if err := out.add(a); err != nil {
			return nil, fmt.Errorf("compose the map: %w", err)
		}
		pos = a.End()
	}
	if stopped != nil {
		r.Failed, r.Map = stopped, out.builder.Cut(files)
		return r, nil
	}
	if r.Map, err = out.builder.Finish(files); err != nil {
		return nil, fmt.Errorf("compose the map: %w", err)
	}
	return r, nil
}

// warnings are those of all layers that are known, the top first, but for those that stop the walk.
func (c *chain) warnings() (list []*fault.Fault) {
	for _, n := range c.nodes {
		if n.layer == nil {
			continue
		}
		for _, w := range n.layer.faults(abi.RoleWarn) {
			if !w.Stops() {
				list = append(list, w)
			}
		}
	}
	return list
}

// names are those of all files, the layers first, as package render wants them.
func (c *chain) names() []string {
	var names []string
	for _, n := range c.nodes {
		names = append(names, n.name)
	}
	for _, n := range c.others {
		names = append(names, n.name)
	}
	return names
}

// output composes a chain from its start to its end.
type output struct {
	*chain
	pace    *pace
	style   style
	builder *extent.Builder
	known   []answer         // the last one of each depth
	at      []int            // the extent that each layer was asked for last
	numbers map[*node]uint16 // State.File of the result
	regions map[*node]*regions
}

// answer is what the chain says of a range of the disk from some depth on. Its Start may lie before what was asked for.
type answer struct {
	extent.Extent
	depth int
	bad   *fault.Fault
	// A question that reaches beyond ahead fails with badAhead if there is one, whatever it begins with.
	ahead    uint64
	badAhead *fault.Fault
	// A new question from here on has another answer, see partAt; 0 is nowhere.
	own uint64
}

// number gives every file its number and every layer its cursor.
func (o *output) number() {
	o.numbers, o.regions = map[*node]uint16{}, map[*node]*regions{}
	for i, n := range o.nodes {
		o.numbers[n] = uint16(i)
	}
	for i, n := range o.others {
		o.numbers[n] = uint16(len(o.nodes) + i)
	}
	o.known, o.at = make([]answer, len(o.nodes)), make([]int, len(o.nodes))
}

// resolve tells what the chain from depth on says at pos, as an answer to a question that ends at end, like qemu's
// bdrv_common_block_status_above. The answers of each depth are kept until they end, so that a layer is passed over once
// however many extents lie above it.
func (o *output) resolve(depth int, pos, end uint64) answer {
	k := &o.known[depth]
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
	n := o.nodes[depth]
	e := n.extentAt(pos, &o.at[depth])
	a := answer{Extent: e.Extent, depth: depth, bad: e.bad, ahead: e.End(), badAhead: e.badAhead, own: e.own}
	if a.bad != nil || a.badAhead != nil && end > a.ahead {
		return a
	}
	if e.Flags&extent.Present == 0 && depth+1 < len(o.nodes) {
		if under := o.nodes[depth+1].size(); pos < under {
			bottom := min(e.End(), under)
			b := o.resolve(depth+1, pos, min(bottom, end))
			if b.End() > bottom {
				b.Length = bottom - b.Start
			}
			if b.badAhead == nil || bottom <= b.ahead {
				b.ahead, b.badAhead = a.ahead, a.badAhead
			}
			return b
		}
	}
	a.State = o.style.keep(e.State)
	a.Depth = uint16(depth)
	if a.Flags&extent.Offset != 0 {
		a.File = o.numbers[e.in.holder(e.File)]
	}
	return a
}

// keep is state but for the mark that the holes of the file show, which add still needs.
func (s style) keep(l extent.State) extent.State {
	marks := l.Flags & (extent.Holes | extent.Bare)
	l = s.state(l)
	l.Flags |= marks
	return l
}

// add takes an answer into the map.
func (o *output) add(a answer) error {
	if err := o.pace.step(); err != nil {
		return err
	}
	if a.Flags&extent.Holes == 0 {
		return o.builder.Add(a.Extent)
	}
	n := o.fileNode(a.File)
	region := o.regions[n]
	if region == nil {
		region = &regions{file: n.image, pace: o.pace}
		o.regions[n] = region
	}
	return region.split(a.Extent, func(piece extent.Extent) error {
		if err := o.pace.step(); err != nil {
			return err
		}
		piece.State = o.style.state(piece.State)
		return o.builder.Add(piece)
	})
}

// fileNode is the file of a number.
func (o *output) fileNode(number uint16) *node {
	if int(number) < len(o.nodes) {
		return o.nodes[number]
	}
	return o.others[int(number)-len(o.nodes)]
}

// holder is the file that a number of the layer's map means.
func (n *node) holder(file uint16) *node {
	if file == 0 {
		return n
	}
	return n.files[file-1]
}

// found is an extent of a layer.
type found struct {
	extent.Extent
	in            *node        // whose numbers its File is
	bad, badAhead *fault.Fault // what is wrong with it, or with what lies behind it, see extent.BadAhead
	own           uint64       // where another part of the disk begins that this extent hangs over; 0 is nowhere
}

// extentAt is the extent of the layer that holds byte pos; near is where it was the last time.
func (n *node) extentAt(pos uint64, near *int) found {
	if n.parts != nil {
		return n.partAt(pos)
	}
	m := n.layer.Map
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
	e := found{Extent: m.At(i), in: n}
	switch {
	case e.Flags&extent.Bad != 0:
		e.bad = n.layer.Faults[e.Offset].Fault
	case e.Flags&extent.BadAhead != 0 && i+1 < m.Len() && m.At(i+1).Flags&extent.Bad != 0:
		e.badAhead = n.layer.Faults[m.At(i+1).Offset].Fault
	}
	return e
}
