package chain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"instarfs/guest/img"
	"instarfs/vmm/failure"
	"instarfs/vmm/files"
	"instarfs/vmm/image"
	"instarfs/vmm/turns"
)

// maxRuns is how often a file is mapped that changes meanwhile.
const maxRuns = 3

// MapFile maps a file that the user named: any path, links followed, block devices too. The files
// that it names are looked for in its directory. Errors are *failure.Error.
func (e *Engine) MapFile(ctx context.Context, name string, o Options) (*Result, error) {
	dir, file := filepath.Split(name)
	tree, err := files.OpenPath(cmp.Or(dir, "."))
	if err != nil {
		return nil, failure.New(name, fmt.Errorf("open: %w", files.Errno(err)))
	}
	defer tree.Close()
	at := files.Place{Tree: tree.Shown(dir), Path: file}
	r, _, err := e.Map(ctx, name, o, nil, func() (*image.File, error) {
		return image.OpenNamed(ctx, e.host, name, at)
	})
	return r, err
}

// Map maps the image that open opens, on behalf of a caller, and again if it changes during a run.
// name is the name that errors show. Errors are *failure.Error. The generation says what was
// mapped, even if that failed.
func (e *Engine) Map(
	ctx context.Context, name string, o Options, who *files.Caller,
	open func() (*image.File, error),
) (*Result, Generation, error) {
	ctx, cancel := e.limits.begin(ctx)
	defer cancel()
	var g Generation
	if err := checkFormat(o.Format); err != nil {
		return nil, Generation{}, failure.New(name, err)
	}
	for range maxRuns {
		top, err := open()
		if errors.Is(err, failure.ErrChanging) {
			continue
		}
		if err != nil {
			return nil, Generation{}, failure.New(name, err)
		}
		var r *Result
		r, g, err = e.mapOnce(turns.With(ctx, account(who, top)), top, o, who)
		if errors.Is(err, failure.ErrChanging) {
			continue
		}
		if err != nil {
			err = failure.New(name, err)
		}
		return r, g, err
	}
	return nil, g, failure.New(name, failure.ErrChanging)
}

// account identifies what must not get more of the processors than others: a caller, for the images
// of one owner.
func account(who *files.Caller, f *image.File) uint64 {
	uid := uint64(math.MaxUint32) // this process
	if who != nil {
		uid = uint64(who.UID)
	}
	return uid<<32 | uint64(f.Stat().Uid)
}

// mapOnce maps an opened image with all files under it, and closes them.
func (e *Engine) mapOnce(
	ctx context.Context, top *image.File, o Options, who *files.Caller,
) (*Result, Generation, error) {
	c := e.newChain(top, o)
	defer c.close()
	if err := c.openLayers(ctx, e.toMap(who)); errors.As(err, new(failure.Unreadable)) {
		return nil, c.reached, err
	} else if err != nil {
		return nil, c.reached, failure.ForAll(c.warned(e.hideMissing(ctx, who, c.missing, err)))
	}
	if l := c.nodes[0].layer; len(l.References) == 0 {
		r, err := l.result(top.Name())
		return r, c.reached, err
	}
	v, err := e.load(ctx, key{c.reached, top.Name()}, func(ctx context.Context) (kept, int, error) {
		return e.composeChain(ctx, c)
	})
	return v.result, c.reached, err
}

// composeChain makes the map of a chain whose files are open.
func (e *Engine) composeChain(ctx context.Context, c *chain) (kept, int, error) {
	if !c.retain() {
		return kept{}, 0, image.ErrClosed
	}
	defer c.close()
	for _, n := range c.others {
		if err := n.WaitForWriter(ctx); err != nil {
			return kept{}, 0, err
		}
	}
	hadAll := spentOf(ctx).little()
	r, err := c.compose(ctx, &e.limits)
	for _, n := range c.others {
		if changed, statErr := n.Changed(ctx); statErr != nil {
			return kept{}, 0, statErr
		} else if changed {
			return kept{}, 0, failure.ErrChanging
		}
	}
	if err != nil {
		return keepFailure(err, hadAll)
	}
	return kept{result: &Result{Result: *r, members: c.members()}}, r.Bytes(), nil
}

// toMap opens files to map them for who. It runs guests for the layers that are not kept.
func (e *Engine) toMap(who *files.Caller) *opener {
	mayRead := func(ctx context.Context, n *node) error {
		if err := e.CheckRights(ctx, who, []Member{n.member()}); err != nil {
			return failure.NewUnreadable(err)
		}
		return nil
	}
	return &opener{
		open: image.OpenReference, layer: e.lockedLayer, mayRead: mayRead,
		locks: !e.access.ForceShare,
	}
}

// lockedLayer maps one file, or takes what is kept of it, unless a writer has it open.
func (e *Engine) lockedLayer(
	ctx context.Context, n *node, o Options, format string,
) (*layer, error) {
	var locks image.Locks
	if !e.access.ForceShare {
		var err error
		if locks, err = n.Locks(ctx); err != nil {
			return nil, err
		}
	}
	if err := locks.Err(image.RawReader); err != nil {
		return nil, err
	}
	get := func(o Options) (*layer, error) { return e.layerOf(ctx, n.File, o) }
	l, err := asStored(format, o, get)
	raw := err == nil && l.Format == img.Raw || err != nil && (o.Format == "raw" || format == "raw")
	if raw {
		return l, err
	}
	// Whatever a read found while a writer had the file open: the writer is the reason.
	if err := locks.Err(image.ImageReader); err != nil {
		return nil, err
	}
	return l, err
}
