package chain

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"instarfs/guest/extent"
	"instarfs/guest/img"
	"instarfs/vmm/failure"
	"instarfs/vmm/files"
	"instarfs/vmm/image"
)

// What is known without running a guest.

// Known is what is known of an image.
type Known struct {
	Generation Generation
	Alone      bool     // there is no other file under the image; false if that is not known
	Members    []Member // the other files, as far as they are known
	Err        error    // why there is no map for anybody
}

// Known returns what is known of an image by its stat, the name that it is shown by, and the place
// where it was found.
func (e *Engine) Known(
	ctx context.Context, o Options, name string, at files.Place, st *unix.Stat_t,
) Known {
	k := Known{Generation: o.generation(image.IdentityOf(st), name)}
	v, _ := e.maps.Peek(key{generation: k.Generation})
	switch {
	case v.layer == nil:
		return k
	case len(v.layer.References) == 0:
		k.Alone = true
		return k
	}
	c := e.newChain(image.Unopened(e.host, at, name, st), o)
	defer c.close()
	// An error is part of the generation, and is reported when the image is mapped.
	k.Err = c.openLayers(ctx, e.statOnly())
	k.Generation, k.Members = c.reached, c.members()
	return k
}

// statOnly opens no file and runs no guest: it goes as far as layers are kept.
func (e *Engine) statOnly() *opener {
	look := func(_ context.Context, n *node, o Options, format string) (*layer, error) {
		return asStored(format, o, func(o Options) (*layer, error) {
			v, _ := e.maps.Peek(key{generation: o.generation(n.Identity(), n.Name())})
			return v.layer, nil
		})
	}
	return &opener{open: image.StatReference, layer: look}
}

// Cached returns the map of a generation of an image if it is kept. Whether a caller may have it is
// for Check to say.
func (e *Engine) Cached(name string, g Generation) (*extent.Map, bool) {
	v, _ := e.maps.Peek(key{generation: g})
	if v.layer != nil && len(v.layer.References) == 0 {
		v, _ = e.maps.Get(key{generation: g})
		if v.layer == nil {
			return nil, false // pushed out meanwhile
		}
		r, err := v.layer.result(name)
		if err != nil || r.Failed != nil {
			return nil, false
		}
		return r.Map, true
	}
	v, _ = e.maps.Get(key{g, name})
	if v.result == nil || v.result.Failed != nil {
		return nil, false
	}
	return v.result.Map, true
}

// Check reports why a caller may not have the map of a generation of an image, or why no caller
// may now, because a writer has one of its files open. look must open the image on behalf of the
// caller, and pass it to its argument. known is false if the map is not kept, or if the image is
// another one by now: then nothing is said of the files under the image. The error is an
// *failure.Error.
func (e *Engine) Check(
	ctx context.Context, who *files.Caller, name string, g Generation,
	look func(func(fd int) error) error,
) (known bool, err error) {
	locks := !e.access.ForceShare
	// What is kept may also be why there is no map.
	v, _ := e.maps.Peek(key{g, name})
	var members []Member
	reader := image.ImageReader
	if v.result != nil {
		known, members = true, v.result.members
		if v.result.Format == img.Raw.String() {
			reader = image.RawReader
		}
	} else if v, _ = e.maps.Peek(key{generation: g}); v.layer != nil {
		known = len(v.layer.References) == 0
		if v.layer.Format == img.Raw {
			reader = image.RawReader
		}
	}
	if who == nil && (!locks || !known) {
		return known, nil
	}
	checkRights := e.CheckRights
	if locks {
		checkRights = e.CheckLocks
	}
	err = look(func(fd int) error {
		if !known || !locks {
			return nil
		}
		return image.LocksOf(fd, name).Err(reader)
	})
	if err == nil {
		err = checkRights(ctx, who, members)
	}
	switch {
	case errors.Is(err, failure.ErrChanging):
		return false, nil
	case err != nil:
		return known, failure.New(name, err)
	}
	return known, nil
}
