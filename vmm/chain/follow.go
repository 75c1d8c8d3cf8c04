package chain

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"instarfs/guest/extent"
	"instarfs/guest/img"
	"instarfs/vmm/files"
	"instarfs/vmm/gate"
)

// node is one file of a chain.
type node struct {
	*image
	at    files.Place
	kind  img.Kind // as what another file names it
	depth int      // of the layer that it is, or belongs to
	named string   // what that file calls it
	layer *layer   // nil: a file without a map of its own, or one of which nothing is known yet
	files []*node  // those that the layer's references name, by number; nil for its backing file
	parts []part   // what the layer's disk is put together from, if other files say what they hold; see assemble.go
}

// chain is an image and all the files under it, opened.
type chain struct {
	engine  *Engine
	options Options
	nodes   []*node // the layers, by depth
	others  []*node // the files that layers name beside, in the order in which they were met
	reached Generation
	missing []files.Place // where the file may be that could not be opened
	held    int           // extents of all layers
}

// explorer is how a chain is followed: to map it, or only to see what it is made of.
type explorer struct {
	// open opens the file that a name means which n holds.
	open func(ctx context.Context, n *node, name, label string) (*node, error)
	// layer gives that of a file. format is what another file says it has, empty for the top. Nil without an error is that
	// nothing is known of it, and ends the search.
	layer func(ctx context.Context, n *node, o Options, format string) (*layer, error)
	// mayRead reports why who asks may not read a file that was opened; nil where that is asked later.
	mayRead func(ctx context.Context, n *node) error
	// locks are minded.
	locks bool
}

// follow finds the files under the chain's top, which it has. Afterwards the chain's generation is that of all that was
// reached, whether or not an error ended it.
func (c *chain) follow(ctx context.Context, x *explorer) error {
	format := ""
	for o := c.options; ; o.Format = "" {
		n := c.nodes[len(c.nodes)-1]
		c.note(o.generation(n.identity(), dmg(n.name)))
		if err := n.find(ctx, x, o, format); err != nil && len(c.nodes) > 1 {
			return c.blame(img.Backing, n, err)
		} else if err != nil || n.layer == nil {
			return err
		}
		if err := c.hold(n.layer); err != nil {
			return err
		}
		backing, err := c.beside(ctx, n, x)
		if err != nil || backing == nil || c.options.TopOnly {
			return err
		}
		next, err := c.reach(ctx, n, *backing, x)
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, next)
		if err := c.mayGoOn(next); err != nil {
			return c.blame(img.Backing, next, err)
		}
		format = backing.Format
	}
}

// find gets the layer of n. One that is put together from parts is needed whole: where they begin only the parts know.
func (n *node) find(ctx context.Context, x *explorer, o Options, format string) (err error) {
	n.layer, err = x.layer(ctx, n, o, format)
	if err == nil && n.layer != nil && n.layer.inParts() {
		o.Window = img.Whole
		n.layer, err = x.layer(ctx, n, o, format)
	}
	return err
}

// beside opens the files in which a layer has its data, and returns the reference to its backing file.
func (c *chain) beside(ctx context.Context, n *node, x *explorer) (backing *img.Reference, err error) {
	n.files = make([]*node, len(n.layer.References))
	for i := range n.layer.References {
		ref := &n.layer.References[i]
		if ref.Kind == img.Backing {
			backing = ref
			continue
		}
		f, err := c.reach(ctx, n, *ref, x)
		if err != nil {
			return nil, err
		}
		n.files[i] = f
		c.others = append(c.others, f)
		c.note(c.options.generation(f.identity(), false))
		if err := c.enter(ctx, f, ref, x); err != nil {
			return nil, c.blame(ref.Kind, f, err)
		}
	}
	if err := n.assemble(); err != nil && len(c.nodes) > 1 {
		return nil, c.blame(img.Backing, n, err)
	} else if err != nil {
		return nil, err
	}
	return backing, nil
}

// enter looks into a file in which a layer has its data.
func (c *chain) enter(ctx context.Context, f *node, ref *img.Reference, x *explorer) (err error) {
	if len(c.nodes)+len(c.others) > maxFiles {
		return errFiles
	}
	if ref.Kind == img.ExtentFile {
		whole := Options{Window: img.Whole, SectorSize: c.options.SectorSize, Release: c.options.Release}
		f.layer, err = x.layer(ctx, f, whole, ref.Format)
		switch {
		case f.layer == nil:
			return err
		case len(f.layer.References) > 0:
			return errNested
		}
		return c.hold(f.layer)
	}
	if x.locks {
		u, err := f.users(ctx)
		if err != nil {
			return err
		}
		return u.err(false, true)
	}
	return nil
}

// reach opens the file that a reference of n, the last layer so far, names.
func (c *chain) reach(ctx context.Context, n *node, ref img.Reference, x *explorer) (f *node, err error) {
	name, err := plainName(ref)
	label := name
	from := n
	switch {
	case ref.Kind != img.DataFile || n.layer.Format != img.Qcow2:
		if !filepath.IsAbs(name) {
			label = files.DirPart(n.name) + name
		}
	case c.engine.everything != nil && c.options.Release.IsQemu():
		// qemu takes the name of a qcow2's data file as it is, relative to wherever qemu runs. All show it so.
		from = &node{image: n.image, at: c.engine.workingDirectory()}
	}
	if err == nil {
		f, err = x.open(ctx, from, name, label)
	}
	depth := len(c.nodes) - 1
	if ref.Kind == img.Backing {
		depth++
	}
	if err != nil {
		c.note(Generation{^uint64(0), uint64(classOf(err))})
		c.missing = c.engine.places(from.at, name)
		return nil, &referenceError{kind: ref.Kind, name: ref.Name, label: label, depth: depth, err: err}
	}
	f.kind, f.depth, f.named = ref.Kind, depth, ref.Name
	if x.mayRead == nil {
		return f, nil
	}
	// Before anything is made of it: how long that takes would tell that the file is there.
	if err := x.mayRead(ctx, f); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// classOf is a number for an error that says what came of opening a file.
func classOf(err error) unix.Errno {
	var errno unix.Errno
	if refused(err) || !errors.As(err, &errno) {
		return 0
	}
	return errno
}

// blame says in an error which file it is about: a layer, the last one, or one beside it.
func (c *chain) blame(kind img.Kind, n *node, err error) error {
	return &referenceError{kind: kind, name: n.name, label: n.name, depth: len(c.nodes) - 1, err: err}
}

// maxHeld is how many extents all layers of a chain may have together, which are in memory until the map is made: 2.4 GB.
const maxHeld = 2 * maxExtents

// hold counts the extents of a layer. Each image of a chain may be small, and have as many as one
// run may find.
func (c *chain) hold(l *layer) error {
	if c.held += l.Map.Len(); c.held > maxHeld {
		return fmt.Errorf("layers of the image: %w", extent.ErrTooMany)
	}
	return nil
}

// mayGoOn checks that the last node is not the beginning of something endless.
func (c *chain) mayGoOn(last *node) error {
	for _, n := range c.nodes[:len(c.nodes)-1] {
		if n.st.Dev == last.st.Dev && n.st.Ino == last.st.Ino {
			return errLoop
		}
	}
	if len(c.nodes)+len(c.others) > maxFiles {
		return errFiles
	}
	depth := c.engine.access.MaxDepth
	if depth == 0 {
		depth = DefaultMaxDepth
	}
	if len(c.nodes) > depth+1 {
		return errDeep
	}
	return nil
}

// note makes a part of the chain's generation of what was found. What a single file is mapped to is the generation of that.
func (c *chain) note(g Generation) {
	if c.reached == (Generation{}) {
		c.reached = g
		return
	}
	var b [32]byte
	for i, v := range []uint64{c.reached[0], c.reached[1], g[0], g[1]} {
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
	sum := sha256.Sum256(b[:])
	c.reached = Generation{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
}

// retain keeps all files open until another close, unless they have been closed already.
func (c *chain) retain() bool {
	all := c.files()
	for i, n := range all {
		if n.retain() {
			continue
		}
		// Whoever opened them closes them right now.
		for _, n := range all[:i] {
			n.close()
		}
		return false
	}
	return true
}

func (c *chain) close() {
	for _, n := range c.files() {
		n.close()
	}
}

// files are all that are open.
func (c *chain) files() []*node { return slices.Concat(c.nodes, c.others) }

// openToMap opens a file that n names, to be mapped.
func (e *Engine) openToMap(ctx context.Context, n *node, name, label string) (*node, error) {
	f, at, err := e.find(ctx, n, name)
	if err != nil {
		return nil, err
	}
	u := e.rights(n)
	opened, err := e.openFound(ctx, u, f, at, label)
	return opened, ownerMay(u, err)
}

// openFound opens a file that was found with the rights of u.
func (e *Engine) openFound(ctx context.Context, u *gate.User, f *files.File, at files.Place, label string) (*node, error) {
	st := f.Stat
	fd, err := e.host.Open(ctx, u, f)
	if err != nil {
		return nil, err
	}
	i, err := newImage(e.host.Gate, fd, label, &st)
	if err != nil {
		return nil, err
	}
	return &node{image: i, at: at}, nil
}

// openToSee opens a file that n names, just far enough to tell its identity.
func (e *Engine) openToSee(ctx context.Context, n *node, name, label string) (*node, error) {
	found, at, err := e.find(ctx, n, name)
	if err != nil {
		return nil, err
	}
	f := &image{gate: e.host.Gate, fd: found.FD, name: label, st: found.Stat}
	f.st.Mode = files.Narrow(f.st.Mode, found.List)
	f.held.Store(1)
	_, err = do(ctx, f, func() (struct{}, error) { return struct{}{}, files.Regular(f.fd) })
	if err != nil {
		f.close()
		return nil, err
	}
	return &node{image: f, at: at}, nil
}

// mapper runs guests to map what is not kept yet, as far as who may read it.
func (e *Engine) mapper(who *Caller) *explorer {
	look := func(ctx context.Context, n *node, o Options, format string) (*layer, error) {
		var busy users
		if !e.access.ForceShare {
			var err error
			if busy, err = n.users(ctx); err != nil {
				return nil, err
			}
		}
		if err := busy.err(true, false); err != nil {
			return nil, err
		}
		l, err := asStored(format, o, func(o Options) (*layer, error) { return e.layerOf(ctx, n.image, o) })
		// Whatever came of reading what somebody writes, that is the reason.
		raw := err == nil && l.Format == img.Raw || err != nil && (o.Format == "raw" || format == "raw")
		if err := busy.err(raw, false); err != nil {
			return nil, err
		}
		return l, err
	}
	mayRead := func(ctx context.Context, n *node) error {
		if err := e.mayRead(ctx, who, []step{n.step()}, false); err != nil {
			return unreadable{err}
		}
		return nil
	}
	return &explorer{open: e.openToMap, layer: look, mayRead: mayRead, locks: !e.access.ForceShare}
}

// seer goes as far as is known, and runs no guest.
func (e *Engine) seer() *explorer {
	look := func(_ context.Context, n *node, o Options, format string) (*layer, error) {
		return asStored(format, o, func(o Options) (*layer, error) {
			v, _ := e.maps.Peek(key{generation: o.generation(n.identity(), dmg(n.name))})
			return v.layer, nil
		})
	}
	return &explorer{open: e.openToSee, layer: look}
}
