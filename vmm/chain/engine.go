// Package chain turns files into maps: it opens an image, has a guest map it, lets the holes of the host file show through
// where the format says so, and keeps the result by the file's identity. It is the only place where an image's references
// may become paths. It interprets no byte of an image: it sees extents, checked by package vmm, and descriptors.
package chain

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/cache"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/vmm"
)

// Runner carries out guest runs: a *vmm.Pool, or what a test puts in its place.
type Runner interface {
	Run(ctx context.Context, job *vmm.Job) (*vmm.Layer, error)
}

// Options say what to map of an image and how. Equal options of an unchanged file give equal maps.
type Options struct {
	Format     string // name of the format, empty probes
	Start      uint64 // first byte of the window
	MaxLength  uint64 // bytes; 0 is all that is left, unless Empty
	Empty      bool   // the window has no bytes
	SectorSize uint32 // bytes, see abi.SectorSizeValid; 0 is vmm.DefaultSectorSize
	Qemu       uint32 // major<<16 | minor of the qemu-img release to imitate, 0 none
	TopOnly    bool   // do not look into the backing file
}

// Result is a map and what else is known of the image.
type Result struct {
	Map         *extent.Map
	VirtualSize uint64 // bytes
	Format      string
	// Failed is why the walk stopped, under Options.Qemu only: Map then ends where qemu-img's output does.
	Failed *fault.Fault
	// Warnings are corruptions that do not change the map.
	Warnings []*fault.Fault

	shared bool // Map's memory is that of the layer
}

// Generation identifies a file's content and what is mapped of it.
type Generation [2]uint64

type key struct {
	generation Generation
	name       string // of an image that refers to others: the table view shows it. Empty for layers.
}

// kept is a layer, or the map of an image that refers to other files.
type kept struct {
	layer  *layer
	result *Result
}

// Engine maps files. It is safe for concurrent use.
type Engine struct {
	runner Runner
	access Access
	maps   *cache.Cache[key, kept]
}

// NewEngine keeps up to cacheBytes bytes of maps.
func NewEngine(r Runner, cacheBytes int64, a Access) *Engine {
	return &Engine{runner: r, access: a, maps: cache.New[key, kept](cacheBytes)}
}

// CacheBytes is how many bytes of maps are kept now.
func (e *Engine) CacheBytes() int64 { return e.maps.Bytes() }

// maxExtents bounds a composed map. Holes multiply: a small image can point 33 million clusters at one of its own that has
// 512 of them. 64 Mi extents take 1.2 GB.
const maxExtents = 64 << 20

// maxRuns is how often a file is mapped that changes meanwhile.
const maxRuns = 3

// MapFile maps a file that the user named: any path, links followed, block devices too. What it names is looked for in its
// directory. Errors are *Error.
func (e *Engine) MapFile(ctx context.Context, name string, o Options) (*Result, error) {
	dir, file := filepath.Split(name)
	tree := &Tree{fd: -1}
	if t, err := openTree(cmp.Or(dir, "."), unix.O_PATH); err == nil {
		tree = t
		defer tree.Close()
	}
	tree.name = dir
	r, _, err := e.mapOpened(ctx, name, place{tree, file}, o, func() (int, error) {
		return unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
	return r, err
}

// mapOpened maps what open opens, again when something changed during a run.
func (e *Engine) mapOpened(ctx context.Context, name string, at place, o Options, open func() (int, error)) (*Result, Generation, error) {
	var g Generation
	for range maxRuns {
		fd, err := open()
		if err != nil {
			return nil, Generation{}, failure(name, fmt.Errorf("open: %w", err))
		}
		f, err := openImage(fd, name)
		if err != nil {
			return nil, Generation{}, failure(name, err)
		}
		var r *Result
		r, g, err = e.mapOnce(ctx, &node{image: f, at: at}, o)
		if !errors.Is(err, ErrChanging) {
			if err != nil {
				err = failure(name, err)
			}
			return r, g, err
		}
	}
	return nil, g, failure(name, ErrChanging)
}

// mapOnce maps an opened file and all under it, and closes them in the end.
func (e *Engine) mapOnce(ctx context.Context, top *node, o Options) (*Result, Generation, error) {
	c := &chain{access: &e.access, options: o, nodes: []*node{top}, begun: time.Now()}
	defer c.close()
	if err := c.follow(e.mapper(ctx)); err != nil {
		return nil, c.reached, err
	}
	if l := top.layer; len(l.References) == 0 {
		r, err := l.result(top.name)
		return r, c.reached, err
	}
	load := func(ctx context.Context) (kept, int, error) {
		if !c.retain() {
			return kept{}, 0, errAbandoned
		}
		defer c.close()
		for _, n := range c.others {
			n.settle()
		}
		r, err := c.compose(ctx, maxExtents)
		if err != nil {
			return kept{}, 0, err
		}
		for _, n := range c.others {
			if changed, err := n.changed(); err != nil {
				return kept{}, 0, err
			} else if changed {
				return kept{}, 0, ErrChanging
			}
		}
		return kept{result: r}, r.Map.Bytes(), nil
	}
	for {
		v, err := e.maps.Load(ctx, key{c.reached, top.name}, load)
		if !errors.Is(err, errAbandoned) {
			return v.result, c.reached, err
		}
	}
}

// generation is what identifies the map of a file of that identity, and of a name that makes it an Apple disk image or not.
func (o *Options) generation(id cache.Identity, dmg bool) Generation {
	b := make([]byte, 0, 128)
	for _, v := range []uint64{
		id.Dev, id.Ino, uint64(id.Size), uint64(id.MTimeNs), uint64(id.CTimeNs),
		o.Start, o.MaxLength, uint64(o.SectorSize)<<32 | uint64(o.Qemu),
	} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	for _, yes := range []bool{o.Empty, dmg} {
		if yes {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	sum := sha256.Sum256(append(b, o.Format...))
	return Generation{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
}
