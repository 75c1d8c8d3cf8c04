package chain

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"instarfs/guest/img"
	"instarfs/vmm/compose"
	"instarfs/vmm/failure"
	"instarfs/vmm/files"
	"instarfs/vmm/image"
)

// opener opens the files of a chain: to map it, or only to see what it is made of.
type opener struct {
	// open is image.OpenReference or image.StatReference.
	open func(
		ctx context.Context, h *files.Host,
		from files.Place, owner *unix.Stat_t, name, label string,
	) (*image.File, error)
	// layer returns the layer of a file. format is what another file says it has, empty for the
	// top. Nil without an error means that nothing is known of it, and ends the search.
	layer func(ctx context.Context, n *node, o Options, format string) (*layer, error)
	// mayRead says why the caller may not read a file that was opened; nil if that is asked later.
	mayRead func(ctx context.Context, n *node) error
	// locks: whether locks are respected.
	locks bool
}

// openLayers opens the files under the chain's top, which it has. Afterwards the chain's generation
// is the one of all that was reached, whether or not an error ended it.
func (c *chain) openLayers(ctx context.Context, x *opener) error {
	format := ""
	for o := c.options; ; o.Format = "" {
		n := c.nodes[len(c.nodes)-1]
		c.note(o.generation(n.Identity(), n.Name()))
		if err := n.readLayer(ctx, x, o, format); err != nil && len(c.nodes) > 1 {
			return c.blame(img.Backing, n, err)
		} else if err != nil || n.layer == nil {
			return err
		}
		if err := c.charge(n.layer); err != nil {
			return err
		}
		backing, err := c.openDataFiles(ctx, n, x)
		if err != nil || backing == nil || c.options.TopOnly {
			return err
		}
		next, err := c.openReference(ctx, n, *backing, x)
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, next)
		if err := c.checkEnd(); err != nil {
			return c.blame(img.Backing, next, err)
		}
		format = backing.Format
	}
}

// readLayer sets the layer of n, unless nothing is known of it. A layer that is put together from
// parts is needed whole: only the parts know where they begin.
func (n *node) readLayer(ctx context.Context, x *opener, o Options, format string) error {
	l, err := x.layer(ctx, n, o, format)
	if err == nil && l != nil && compose.InParts(l.Layer) {
		o.Window = img.Whole
		l, err = x.layer(ctx, n, o, format)
	}
	if err != nil || l == nil {
		return err
	}
	n.layer, n.disk.Layer = l, l.Layer
	return nil
}

// openDataFiles opens the files in which a layer has its data, and returns the reference to its
// backing file.
func (c *chain) openDataFiles(
	ctx context.Context, n *node, x *opener,
) (backing *img.Reference, err error) {
	n.disk.Files = make([]*compose.File, len(n.layer.References))
	for i := range n.layer.References {
		ref := &n.layer.References[i]
		if ref.Kind == img.Backing {
			backing = ref
			continue
		}
		f, err := c.openReference(ctx, n, *ref, x)
		if err != nil {
			return nil, err
		}
		n.disk.Files[i] = f.disk
		c.others = append(c.others, f)
		c.note(c.options.generation(f.Identity(), ""))
		if err := c.readDataFile(ctx, f, ref, x); err != nil {
			return nil, c.blame(ref.Kind, f, err)
		}
	}
	if err := n.disk.Assemble(); err != nil && len(c.nodes) > 1 {
		return nil, c.blame(img.Backing, n, err)
	} else if err != nil {
		return nil, err
	}
	return backing, nil
}

// readDataFile looks into a file in which a layer has its data.
func (c *chain) readDataFile(ctx context.Context, f *node, ref *img.Reference, x *opener) error {
	if err := c.checkLength(); err != nil {
		return err
	}
	if ref.Kind == img.ExtentFile {
		whole := Options{
			Window: img.Whole, SectorSize: c.options.SectorSize, Release: c.options.Release,
		}
		l, err := x.layer(ctx, f, whole, ref.Format)
		switch {
		case l == nil:
			return err
		case len(l.References) > 0:
			return failure.ErrNested
		}
		f.layer, f.disk.Layer = l, l.Layer
		return c.charge(l)
	}
	if x.locks {
		locks, err := f.Locks(ctx)
		if err != nil {
			return err
		}
		return locks.Err(image.DataReader)
	}
	return nil
}

// openReference opens the file that a reference of n, the last layer so far, names.
func (c *chain) openReference(
	ctx context.Context, n *node, ref img.Reference, x *opener,
) (*node, error) {
	name, err := plainName(ref)
	label, from := name, n.Place()
	switch {
	case ref.Kind != img.DataFile || n.layer.Format != img.Qcow2:
		if !filepath.IsAbs(name) {
			label = files.DirPart(n.Name()) + name
		}
	case c.options.Release.IsQemu():
		// qemu takes the name of a qcow2's data file as it is, relative to wherever qemu runs. All
		// releases show it so.
		if dir, ok := c.host.WorkingDirectory(); ok {
			from = dir
		}
	}
	depth := len(c.nodes) - 1
	if ref.Kind == img.Backing {
		depth++
	}
	var opened *image.File
	if err == nil {
		opened, err = x.open(ctx, c.host, from, n.Stat(), name, label)
	}
	if err != nil {
		c.note(Generation{^uint64(0), uint64(classOf(err))})
		c.missing = c.host.Places(from, name)
		return nil, &failure.Reference{
			Kind: ref.Kind, Name: ref.Name, Label: label, Depth: depth, Err: err,
		}
	}
	f := newNode(opened)
	f.kind, f.depth, f.named = ref.Kind, depth, ref.Name
	if x.mayRead == nil {
		return f, nil
	}
	// Before a guest runs: how long that takes would show that the file exists.
	if err := x.mayRead(ctx, f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// plainName removes the one protocol that means a plain file, where qemu looks for protocols: in
// the names of backing files. As in qemu, what cannot be a reference is an error before any file is
// looked for.
func plainName(ref img.Reference) (name string, err error) {
	name = ref.Name
	if ref.Kind == img.Backing {
		if err := checkFormat(ref.Format); err != nil {
			return "", err
		}
		var plain bool
		name, plain = strings.CutPrefix(name, "file:")
		if i := strings.IndexAny(name, ":/"); !plain && i >= 0 && name[i] == ':' {
			return "", failure.ErrProtocol
		}
	}
	if name == "" {
		return "", failure.ErrNoName
	}
	return name, nil
}

// classOf is a number for what an error says of opening a file; 0 if nothing may show.
func classOf(err error) unix.Errno {
	var errno unix.Errno
	if failure.Refused(err) || !errors.As(err, &errno) {
		return 0
	}
	return errno
}
