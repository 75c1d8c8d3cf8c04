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
	"math"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"instarfs/cache"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/vmm/files"
	"instarfs/vmm/gate"
	"instarfs/vmm/session"
	"instarfs/vmm/turns"
)

// Runner carries out guest runs: a *vmm.Pool, a *jail.Pool, or what a test puts in its place.
type Runner interface {
	Run(ctx context.Context, job *session.Job) (*session.Layer, error)
}

// Options say what to map of an image and how. Equal options of an unchanged file give equal maps.
type Options struct {
	Format     string     // name of the format, empty probes
	Window     img.Window // the part of the disk to map
	SectorSize uint32     // bytes, see abi.SectorSizeValid; 0 is session.DefaultSectorSize
	Release    img.Release
	TopOnly    bool // do not look into the backing file
}

// Result is a map and what else is known of the image.
type Result struct {
	Map         *extent.Map
	VirtualSize uint64 // bytes
	Format      string
	// Failed is why the walk stopped, under Options.Release only: Map then ends where qemu-img's output does.
	Failed *fault.Fault
	// Warnings are corruptions that do not change the map.
	Warnings []*fault.Fault

	shared bool   // Map's memory is that of the layer
	steps  []step // the files under the image
}

// Generation identifies a file's content and what is mapped of it.
type Generation [2]uint64

type key struct {
	generation Generation
	name       string // of an image that refers to others: the table view shows it. Empty for layers.
}

// kept is a layer, the map of an image that refers to other files, or why there is none.
type kept struct {
	layer  *layer
	result *Result
	failed *failed
}

// Engine maps files. It is safe for concurrent use.
type Engine struct {
	runner     Runner
	access     Access
	limits     Limits
	host       *files.Host
	everything *files.Tree // for References == Any
	ways       ways
	maps       *cache.Cache[key, kept]
}

// NewEngine maps files by runs of r, as far as a and l allow. It has what it keeps given back when
// l.Memory is full.
func NewEngine(r Runner, a Access, l Limits) *Engine {
	l = l.complete()
	e := &Engine{
		runner: r, access: a, limits: l, host: files.NewHost(l.Call),
		maps: cache.New[key, kept](l.Cache),
	}
	e.limits.Memory.OnFull(e.maps.Evict)
	if a.References == Any {
		// Without it references are refused, as they are where References is Beneath.
		e.everything, _ = files.OpenPath("/")
	}
	return e
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
	tree, err := files.OpenPath(cmp.Or(dir, "."))
	if err != nil {
		return nil, failure(name, fmt.Errorf("open: %w", errnoOf(err)))
	}
	defer tree.Close()
	at := files.Place{Tree: tree.Shown(dir), Path: file}
	r, _, err := e.mapOpened(ctx, name, o, nil, func() (*node, error) { return e.openNamed(ctx, name, at) })
	return r, err
}

// openNamed opens the file that the user named.
func (e *Engine) openNamed(ctx context.Context, name string, at files.Place) (*node, error) {
	f, err := gate.Do(ctx, e.host.Gate, gate.On{Device: at.Tree.Device()}, (*image).close, func() (*image, error) {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("open: %w", err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			unix.Close(fd)
			return nil, err
		}
		return newImage(e.host.Gate, fd, name, &st)
	})
	if err != nil {
		return nil, err
	}
	return &node{image: f, at: at}, nil
}

// workingDirectory is where relative names start from that no file holds.
func (e *Engine) workingDirectory() files.Place {
	dir, err := os.Getwd()
	if err != nil {
		dir = "/" // it was removed
	}
	return files.Place{Tree: e.everything, Path: strings.TrimPrefix(dir, "/") + "/"}
}

// mapOpened maps what open opens, again when something changed during a run.
func (e *Engine) mapOpened(ctx context.Context, name string, o Options, who *Caller, open func() (*node, error)) (*Result, Generation, error) {
	ctx, cancel := e.limits.begin(ctx)
	defer cancel()
	var g Generation
	if err := checkFormat(o.Format); err != nil {
		return nil, Generation{}, failure(name, err)
	}
	for range maxRuns {
		top, err := open()
		if errors.Is(err, ErrChanging) {
			continue
		}
		if err != nil {
			return nil, Generation{}, failure(name, err)
		}
		var r *Result
		r, g, err = e.mapOnce(turns.With(ctx, owner(who, top.image)), top, o, who)
		if !errors.Is(err, ErrChanging) {
			if err != nil {
				err = failure(name, err)
			}
			return r, g, err
		}
	}
	return nil, g, failure(name, ErrChanging)
}

// owner is who is to get no more of the processors than others: who asks, for the images of one
// owner.
func owner(who *Caller, f *image) uint64 {
	uid := uint64(math.MaxUint32) // this process
	if who != nil {
		uid = uint64(who.UID)
	}
	return uid<<32 | uint64(f.st.Uid)
}

// mapOnce maps an opened file and all under it, and closes them in the end.
func (e *Engine) mapOnce(ctx context.Context, top *node, o Options, who *Caller) (*Result, Generation, error) {
	c := &chain{engine: e, options: o, nodes: []*node{top}}
	defer c.close()
	if err := c.follow(ctx, e.mapper(who)); errors.As(err, new(unreadable)) {
		return nil, c.reached, err
	} else if err != nil {
		return nil, c.reached, noMap{c.warned(e.told(ctx, who, c.missing, err))}
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
			if err := n.settle(ctx); err != nil {
				return kept{}, 0, err
			}
		}
		hadAll := spentOf(ctx).little()
		r, err := e.compose(ctx, c)
		for _, n := range c.others {
			if changed, lookErr := n.changed(ctx); lookErr != nil {
				return kept{}, 0, lookErr
			} else if changed {
				return kept{}, 0, ErrChanging
			}
		}
		if err != nil {
			return keepFailure(err, hadAll)
		}
		r.steps = c.steps()
		return kept{result: r}, resultCost + r.Map.Bytes(), nil
	}
	v, err := e.load(ctx, key{c.reached, top.name}, load)
	return v.result, c.reached, err
}

// compose makes the map of a chain when it is its turn.
func (e *Engine) compose(ctx context.Context, c *chain) (*Result, error) {
	p, err := e.limits.pace(ctx)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	return c.compose(p, maxExtents)
}

// load returns what is kept for a key, or what load makes. The error may be one that is kept.
func (e *Engine) load(ctx context.Context, k key, load cache.Loader[kept]) (kept, error) {
	for {
		v, err := e.maps.Load(ctx, k, load)
		switch {
		// Ann starts a run and leaves before it has begun, with the file it was to read. Bob, who
		// joined it, starts his own.
		case errors.Is(err, errAbandoned):
		case err == nil && v.failed != nil && v.failed.over():
			e.maps.Drop(k)
		case err == nil && v.failed != nil:
			return kept{}, v.failed.err
		default:
			return v, err
		}
	}
}

// generation is what identifies the map of a file of that identity, and of a name that makes it an Apple disk image or not.
func (o *Options) generation(id cache.Identity, dmg bool) Generation {
	b := make([]byte, 0, 128)
	for _, v := range []uint64{
		id.Dev, id.Ino, uint64(id.Size), uint64(id.MTimeNs), uint64(id.CTimeNs),
		o.Window.Start, o.Window.End, uint64(o.SectorSize)<<32 | uint64(o.Release),
	} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	if dmg {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	sum := sha256.Sum256(append(b, o.Format...))
	return Generation{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
}
