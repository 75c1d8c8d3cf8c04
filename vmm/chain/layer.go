package chain

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/vmm/session"
)

// layer is what the run over one file found. It depends on that file alone, so that the layer of a base image serves all
// images above it. It is safe for concurrent use.
type layer struct {
	*session.Layer

	mu     sync.Mutex
	own    *Result // the map of the file as an image, if it refers to no other file
	ownErr error   // why there is none; a layer above may hide that
}

// errAbandoned says that a run did not begin because the caller whose file it was to read had left.
var errAbandoned = errors.New("run abandoned before it began")

// layerOf maps one file, or takes what is kept of it.
func (e *Engine) layerOf(ctx context.Context, f *image, o Options) (*layer, error) {
	k := key{generation: o.generation(f.identity(), dmg(f.name))}
	load := func(ctx context.Context) (kept, int, error) {
		if !f.retain() {
			return kept{}, 0, errAbandoned
		}
		defer f.close()
		if err := f.settle(ctx); err != nil {
			return kept{}, 0, err
		}
		hadAll := spentOf(ctx).little()
		l, err := e.run(ctx, f, o)
		if changed, lookErr := f.changed(ctx); lookErr != nil {
			return kept{}, 0, lookErr
		} else if changed {
			return kept{}, 0, ErrChanging // whatever it was that the run found
		}
		if err != nil {
			return keepFailure(err, hadAll)
		}
		return kept{layer: l}, l.bytes(), nil
	}
	v, err := e.load(ctx, k, load)
	return v.layer, err
}

// asStored gets the layer of a file of which another says the format. What is said of a format that shows by itself changes
// nothing, and then it is the layer that all others use who ask without saying. Raw never shows by itself.
func asStored(format string, o Options, get func(Options) (*layer, error)) (*layer, error) {
	switch id := img.ParseFormat(format); {
	case format == "":
		return get(o)
	case id == img.Raw || id.IsPart():
	default:
		if l, err := get(o); err == nil && l != nil && l.Format == id {
			return l, nil
		}
	}
	o.Format = format
	return get(o)
}

// run has a guest map one file. Holes of the file show in the result already.
func (e *Engine) run(ctx context.Context, f *image, o Options) (*layer, error) {
	found, err := e.runner.Run(ctx, &session.Job{
		Image: f, Size: f.size, Allocated: f.allocated(), Format: img.ParseFormat(o.Format), SectorSize: o.SectorSize,
		Window: o.Window, DmgName: dmg(f.name), Release: o.Release,
	})
	if err != nil {
		return nil, err
	}
	p, err := e.limits.pace(ctx)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	if found.Map.Flags()&extent.Holes != 0 {
		if found.Map, err = splitOwn(p, found, f, maxExtents); err != nil {
			return nil, fmt.Errorf("compose the map: %w", err)
		}
	}
	l := &layer{Layer: found}
	if len(found.References) == 0 {
		// Made now, where its memory is counted.
		alone := &chain{options: o, nodes: []*node{{image: f, layer: l}}}
		l.own, l.ownErr = alone.compose(p, maxExtents)
		// What is wrong with the image may be hidden by a layer above it.
		if l.ownErr != nil && !errors.As(l.ownErr, new(*fault.Fault)) {
			return nil, l.ownErr
		}
	}
	return l, nil
}

// bytes is the memory that l holds.
func (l *layer) bytes() int {
	if l.own == nil || l.own.shared {
		return l.Layer.Bytes()
	}
	return l.Layer.Bytes() + resultCost + l.own.Map.Bytes()
}

// result is the map of a file that refers to no other, under the name that it is asked by.
func (l *layer) result(name string) (*Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ownErr != nil {
		return nil, l.ownErr
	}
	if l.own.Map.Files()[0] != name {
		renamed := *l.own
		// The states stay as they are, so they cannot become equal.
		renamed.Map, _ = l.own.Map.Remap([]string{name}, func(s extent.State) extent.State { return s })
		l.own = &renamed
	}
	return l.own, nil
}

// splitOwn is the layer's map with the holes of its own file in it. Those of files that it names depend on more than this
// file; and where a fault lies ahead, how far a question reaches matters, which only who asks knows.
func splitOwn(p *pace, l *session.Layer, f holes, limit int) (*extent.Map, error) {
	out, err := p.builder(l.Map.Start(), l.Map.End(), limit)
	if err != nil {
		return nil, err
	}
	region := regions{file: f, pace: p}
	for i := range l.Map.Len() {
		if err := p.step(); err != nil {
			return nil, err
		}
		e := l.Map.At(i)
		if e.Flags&extent.Holes == 0 || e.Flags&extent.BadAhead != 0 || e.File != 0 {
			if err := out.Add(e); err != nil {
				return nil, err
			}
			continue
		}
		err := region.split(e, func(piece extent.Extent) error {
			if err := p.step(); err != nil {
				return err
			}
			piece.Flags &^= extent.Holes | extent.Bare
			return out.Add(piece)
		})
		if err != nil {
			return nil, err
		}
	}
	return out.Finish(nil)
}

// faults are those with a role.
func (l *layer) faults(role abi.Role) (list []*fault.Fault) {
	for _, f := range l.Faults {
		if f.Role == role {
			list = append(list, f.Fault)
		}
	}
	return list
}

// stop is the byte of the disk, end at most, up to which qemu-img maps an image with this layer on
// top, and why no further. Under other layers it asks for less at a time, and may get there.
func (l *layer) stop(end uint64) (uint64, *fault.Fault) {
	for _, w := range l.faults(abi.RoleWarn) {
		if w.Stops() {
			return min(end, w.Args[0]), w
		}
	}
	return end, nil
}
