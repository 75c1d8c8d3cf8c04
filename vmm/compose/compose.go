// Package compose makes the map of a disk out of the layers of its chain. It is code over what runs
// found: it opens no file and starts no guest, and asks only where files have holes. What it is
// given has been checked by package vmm, and may still be hostile: layers that claim anything of
// each other, and small images whose maps are large.
//
// Its files, from the bottom up:
//
//	pace.go     turns, time and memory of a composition
//	style.go    how releases of qemu-img show states
//	file.go     one file of a chain, and what its layer says of a byte
//	parts.go    disks that are put together from several files
//	holes.go    holes of files, and the map that is written
//	compose.go  the chain
package compose

import (
	"fmt"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
)

// Chain is a disk and all files that hold it.
type Chain struct {
	Layers  []*File // by depth, the top first
	Others  []*File // the files that layers name in addition to their backing files
	Window  img.Window
	Release img.Release
}

// Result is a map and what else is known of the disk.
type Result struct {
	Map         *extent.Map
	VirtualSize uint64 // bytes
	Format      string
	// Failed is why the walk stopped, only if a release of qemu-img is reproduced: Map ends where
	// its output does.
	Failed *fault.Fault
	// Warnings are corruptions that do not change the map.
	Warnings []*fault.Fault
	// Shared: the memory of Map is that of the layer.
	Shared bool
}

// Bytes is the memory that r holds.
func (r *Result) Bytes() int { return Overhead + r.Map.Bytes() }

// LayerError says what is wrong with a layer below the top.
type LayerError struct {
	Depth int
	Err   error
}

func (e *LayerError) Error() string { return fmt.Sprintf("layer %d: %v", e.Depth, e.Err) }
func (e *LayerError) Unwrap() error { return e.Err }

// Compose makes the map of a chain, of at most limit extents. What is wrong with the image is a
// *fault.Fault, or a *LayerError with one; under a release of qemu-img it is Result.Failed.
func (c *Chain) Compose(p *Pace, limit int) (*Result, error) {
	top := c.Layers[0]
	s := styleOf(c.Release)
	start, end := c.window()
	names := c.names()
	r := &Result{
		VirtualSize: top.Size(), Format: top.Layer.Format.String(), Warnings: Warnings(c.Layers),
	}
	until, stopped := end, (*fault.Fault)(nil)
	if s.qemu {
		until, stopped = stop(top.Layer, end)
	}
	if stopped == nil && c.plain() {
		if m, ok := top.Layer.Map.Remap(names, s.final); ok {
			r.Map, r.Shared = m, true
			return r, nil
		}
	}
	w, err := p.newWriter(start, end, limit, s.final)
	if err != nil {
		return nil, fmt.Errorf("compose the map: %w", err)
	}
	o := newOutput(c, s, w)
	bad, err := o.write(start, until, end)
	if err != nil {
		return nil, fmt.Errorf("compose the map: %w", err)
	}
	switch {
	case bad.bad != nil && s.qemu:
		stopped = bad.bad
	case bad.bad != nil && bad.depth > 0:
		return nil, &LayerError{bad.depth, bad.bad}
	case bad.bad != nil:
		return nil, bad.bad
	}
	if stopped != nil {
		r.Failed, r.Map = stopped, w.builder.Cut(names)
		return r, nil
	}
	if r.Map, err = w.builder.Finish(names); err != nil {
		return nil, fmt.Errorf("compose the map: %w", err)
	}
	return r, nil
}

// plain reports whether only the states of the top's map need to change.
func (c *Chain) plain() bool {
	return len(c.Layers) == 1 && len(c.Others) == 0 &&
		c.Layers[0].Layer.Map.Flags()&(extent.Bad|extent.Holes) == 0
}

// window is the part of the disk that was asked for, bytes.
func (c *Chain) window() (start, end uint64) {
	top := c.Layers[0]
	if top.parts == nil {
		return top.Layer.Map.Start(), top.Layer.Map.End()
	}
	w := c.Window.Clip(top.Size())
	return w.Start, w.End
}

// names are the names of all files, the layers first, as package render wants them.
func (c *Chain) names() (names []string) {
	for _, f := range c.Layers {
		names = append(names, f.Name)
	}
	for _, f := range c.Others {
		names = append(names, f.Name)
	}
	return names
}

// output composes a chain from its start to its end.
type output struct {
	layers  []*File
	style   style
	writer  *writer
	last    []answer         // of each depth
	near    []int            // the extent of each layer that answered last
	numbers map[*File]uint16 // State.File of the result
}

func newOutput(c *Chain, s style, w *writer) *output {
	o := &output{
		layers: c.Layers, style: s, writer: w,
		last: make([]answer, len(c.Layers)), near: make([]int, len(c.Layers)),
		numbers: map[*File]uint16{},
	}
	for i, f := range c.Layers {
		o.numbers[f] = uint16(i)
	}
	for i, f := range c.Others {
		o.numbers[f] = uint16(len(c.Layers) + i)
	}
	return o
}

// write writes the map from byte pos up to byte until, of a question that ends at end. It ends
// early with the first answer that is bad.
func (o *output) write(pos, until, end uint64) (bad answer, err error) {
	for pos < until {
		a := o.resolve(0, pos, end)
		if a.bad != nil {
			return a, nil
		}
		a.Length = min(a.Length, until-pos)
		if a.Flags&extent.Holes == 0 {
			err = o.writer.add(a.Extent)
		} else {
			err = o.writer.addSplit(a.Extent, a.from)
		}
		if err != nil {
			return answer{}, err
		}
		pos = a.End()
	}
	return answer{}, nil
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
	a.State = o.style.beforeHoles(a.State)
	a.Depth = uint16(depth)
	if a.Flags&extent.Offset != 0 {
		a.File = o.numbers[a.from]
	}
	return a
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
