package chain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"instarfs/guest/extent"
	"instarfs/guest/img"
	"instarfs/vmm/compose"
	"instarfs/vmm/failure"
	"instarfs/vmm/files"
	"instarfs/vmm/image"
)

// node is one file of a chain.
type node struct {
	*image.File
	kind  img.Kind // as what another file names it
	depth int      // of the layer that it is, or belongs to
	named string   // what that file calls it
	layer *layer   // nil: a file without a map of its own, or one of which nothing is known yet
	disk  *compose.File
}

func newNode(f *image.File) *node {
	return &node{File: f, disk: &compose.File{Name: f.Name(), Holes: f}}
}

// member describes the file.
func (n *node) member() Member {
	m := Member{
		At: n.Place(), Stat: *n.Stat(),
		kind: n.kind, depth: n.depth, name: n.named, label: n.Name(),
	}
	switch {
	case n.kind == img.DataFile:
		m.reader = image.DataReader
	case n.layer != nil && n.layer.Format == img.Raw:
		m.reader = image.RawReader
	}
	return m
}

// chain is an image and all the files under it, opened.
type chain struct {
	host     *files.Host
	options  Options
	maxDepth int
	nodes    []*node // the layers, by depth
	others   []*node // the other files that layers name, in the order in which they were found
	reached  Generation
	missing  []files.Place // where the file may be that could not be opened
	extents  int           // of all layers
}

func (e *Engine) newChain(top *image.File, o Options) *chain {
	return &chain{
		host: e.host, options: o, maxDepth: e.access.maxDepth(), nodes: []*node{newNode(top)},
	}
}

// files are all that are open.
func (c *chain) files() []*node { return slices.Concat(c.nodes, c.others) }

// retain keeps all files open until another close, unless they have been closed already.
func (c *chain) retain() bool {
	all := c.files()
	for i, n := range all {
		if n.Retain() {
			continue
		}
		// The caller that opened them closes them right now.
		for _, n := range all[:i] {
			n.Close()
		}
		return false
	}
	return true
}

func (c *chain) close() {
	for _, n := range c.files() {
		n.Close()
	}
}

// note adds what was found to the chain's generation. The generation of a single file is its own.
func (c *chain) note(g Generation) {
	if c.reached == (Generation{}) {
		c.reached = g
		return
	}
	c.reached = c.reached.then(g)
}

// blame says in an error which file it is about: a layer, the last one, or a file that it names.
func (c *chain) blame(kind img.Kind, n *node, err error) error {
	return &failure.Reference{
		Kind: kind, Name: n.Name(), Label: n.Name(), Depth: len(c.nodes) - 1, Err: err,
	}
}

const (
	// maxFiles is how many files may be under one image. They are open together until the map is
	// made, and other images need descriptors too; two of the longest VMDKs have as many.
	maxFiles = 1 << 12
	// maxHeld is how many extents all layers of a chain may have together, which are in memory
	// until the map is made: 2.4 GB.
	maxHeld = 2 * maxExtents
)

// charge counts the extents of a layer. Each image of a chain may be small, and have as many as one
// run may find.
func (c *chain) charge(l *layer) error {
	if c.extents += l.Map.Len(); c.extents > maxHeld {
		return fmt.Errorf("layers of the image: %w", extent.ErrTooMany)
	}
	return nil
}

// checkLength checks that the chain may have as many files as it has.
func (c *chain) checkLength() error {
	if len(c.nodes)+len(c.others) > maxFiles {
		return failure.ErrFiles
	}
	return nil
}

// checkEnd checks that the last layer is not the beginning of something endless.
func (c *chain) checkEnd() error {
	layers := len(c.nodes)
	last := c.nodes[layers-1].Stat()
	for _, n := range c.nodes[:layers-1] {
		if n.Stat().Dev == last.Dev && n.Stat().Ino == last.Ino {
			return failure.ErrLoop
		}
	}
	if err := c.checkLength(); err != nil {
		return err
	}
	if layers > c.maxDepth+1 {
		return failure.ErrDeep
	}
	return nil
}

// members are the files of the chain in addition to the image itself.
func (c *chain) members() (list []Member) {
	for _, n := range c.files()[1:] {
		list = append(list, n.member())
	}
	return list
}

// composeFiles returns the files of nodes as package compose wants them.
func composeFiles(nodes []*node) (list []*compose.File) {
	for _, n := range nodes {
		list = append(list, n.disk)
	}
	return list
}

// warned adds the warnings of the layers that are open to an error.
func (c *chain) warned(err error) error {
	if list := compose.Warnings(composeFiles(c.nodes)); len(list) > 0 {
		return failure.Warned{Err: err, Warnings: list}
	}
	return err
}

// compose makes the map when it is its turn.
func (c *chain) compose(ctx context.Context, l *Limits) (*compose.Result, error) {
	p, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer p.Leave()
	whole := compose.Chain{
		Layers: composeFiles(c.nodes), Others: composeFiles(c.others),
		Window: c.options.Window, Release: c.options.Release,
	}
	r, err := whole.Compose(p, maxExtents)
	var lower *compose.LayerError
	if errors.As(err, &lower) {
		n := c.nodes[lower.Depth]
		return nil, &failure.Reference{
			Kind: img.Backing, Name: n.Name(), Label: n.Name(), Depth: lower.Depth, Err: lower.Err,
		}
	}
	return r, err
}
