package chain

import (
	"context"
	"errors"
	"fmt"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/vmm/compose"
	"instarfs/vmm/failure"
	"instarfs/vmm/image"
	"instarfs/vmm/session"
)

// maxExtents bounds a composed map. Holes multiply: a small image can point 33 million clusters at
// one of its own that has 512 of them. 64 Mi extents take 1.2 GB.
const maxExtents = 64 << 20

// layerOf maps one file, or takes what is kept of it.
func (e *Engine) layerOf(ctx context.Context, f *image.File, o Options) (*layer, error) {
	k := key{generation: o.generation(f.Identity(), f.Name())}
	load := func(ctx context.Context) (kept, int, error) {
		if !f.Retain() {
			return kept{}, 0, image.ErrClosed
		}
		defer f.Close()
		if err := f.WaitForWriter(ctx); err != nil {
			return kept{}, 0, err
		}
		hadAll := spentOf(ctx).little()
		l, err := e.run(ctx, f, o)
		if changed, statErr := f.Changed(ctx); statErr != nil {
			return kept{}, 0, statErr
		} else if changed {
			return kept{}, 0, failure.ErrChanging // whatever the run found
		}
		if err != nil {
			return keepFailure(err, hadAll)
		}
		return kept{layer: l}, l.bytes(), nil
	}
	v, err := e.load(ctx, k, load)
	return v.layer, err
}

// run runs a guest to map one file. The holes of the file show in the result already.
func (e *Engine) run(ctx context.Context, f *image.File, o Options) (*layer, error) {
	found, err := e.runner.Run(ctx, &session.Job{
		Image: metered{f}, Size: f.Size(), Allocated: f.Allocated(),
		Format: img.ParseFormat(o.Format), SectorSize: o.SectorSize,
		Window: o.Window, DmgName: isDmg(f.Name()), Release: o.Release,
	})
	if err != nil {
		return nil, err
	}
	p, err := e.limits.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer p.Leave()
	if found.Map.Flags()&extent.Holes != 0 {
		if found.Map, err = compose.ShowHoles(p, found, f, maxExtents); err != nil {
			return nil, fmt.Errorf("compose the map: %w", err)
		}
	}
	l := &layer{Layer: found}
	if len(found.References) > 0 {
		return l, nil
	}
	// Made now, where its memory is booked.
	alone := &compose.Chain{
		Layers: []*compose.File{{Name: f.Name(), Holes: f, Layer: found}},
		Window: o.Window, Release: o.Release,
	}
	r, err := alone.Compose(p, maxExtents)
	switch {
	case err == nil:
		l.own = &Result{Result: *r}
	// What is wrong with the image may be hidden by a layer above it.
	case errors.As(err, new(*fault.Fault)):
		l.ownErr = err
	default:
		return nil, err
	}
	return l, nil
}

// asStored gets the layer of a file of which another file says the format. If the format shows by
// itself, saying it changes nothing: then it is the layer of all others who ask without saying. Raw
// never shows by itself.
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
