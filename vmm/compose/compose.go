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
//	output.go   what the chain says of a byte
//	share.go    ranges in which the chain has what one of its layers has
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
	o := newOutput(c.Layers, c.Others, s, w)
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
		if pos, err = o.share(a.depth, pos, until); err != nil {
			return answer{}, err
		}
	}
	return answer{}, nil
}
