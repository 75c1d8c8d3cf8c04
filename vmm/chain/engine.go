// Package chain turns files into maps: it opens an image, has a guest map it, lets the holes of the host file show through
// where the format says so, and keeps the result by the file's identity. It is the only place where an image's references
// may become paths. It interprets no byte of an image: it sees extents, checked by package vmm, and descriptors.
package chain

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"instarfs/cache"
	"instarfs/guest/abi"
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
}

// Generation identifies a file's content and what is mapped of it.
type Generation [2]uint64

type key struct {
	generation Generation
	name       string // the table view shows it
}

// Engine maps files. It is safe for concurrent use.
type Engine struct {
	runner Runner
	maps   *cache.Cache[key, *Result]
}

// NewEngine keeps up to cacheBytes bytes of maps.
func NewEngine(r Runner, cacheBytes int64) *Engine {
	return &Engine{runner: r, maps: cache.New[key, *Result](cacheBytes)}
}

// CacheBytes is how many bytes of maps are kept now.
func (e *Engine) CacheBytes() int64 { return e.maps.Bytes() }

// maxExtents bounds a composed map. Holes multiply: a small image can point 33 million clusters at one of its own that has
// 512 of them. 64 Mi extents take 1.2 GB.
const maxExtents = 64 << 20

// maxRuns is how often a file is mapped that changes meanwhile.
const maxRuns = 3

// MapFile maps a file that the user named: any path, links followed, block devices too. Errors are *Error.
func (e *Engine) MapFile(ctx context.Context, name string, o Options) (*Result, error) {
	r, _, err := e.mapOpened(ctx, name, o, func() (int, error) {
		return unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
	return r, err
}

// mapOpened maps what open opens, again when it changed during a run.
func (e *Engine) mapOpened(ctx context.Context, name string, o Options, open func() (int, error)) (*Result, Generation, error) {
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
		g = o.generation(f.identity())
		r, err := e.mapOnce(ctx, g, f, o)
		if !errors.Is(err, ErrChanging) {
			if err != nil {
				err = failure(name, err)
			}
			return r, g, err
		}
	}
	return nil, g, failure(name, ErrChanging)
}

// mapOnce maps an opened file, which it closes in the end, or takes the map from the cache.
func (e *Engine) mapOnce(ctx context.Context, g Generation, f *image, o Options) (*Result, error) {
	// Who comes first owns the file: the run, which may outlive this call, or this call when there is no run.
	var owned atomic.Bool
	defer func() {
		if owned.CompareAndSwap(false, true) {
			f.close()
		}
	}()
	load := func(ctx context.Context) (*Result, int, error) {
		if !owned.CompareAndSwap(false, true) {
			return nil, 0, errAbandoned
		}
		defer f.close()
		f.settle()
		r, err := e.run(ctx, f, o)
		if changed, lookErr := f.changed(); lookErr != nil {
			return nil, 0, lookErr
		} else if changed {
			return nil, 0, ErrChanging // whatever it was that the run found
		}
		if err != nil {
			return nil, 0, err
		}
		return r, r.Map.Bytes(), nil
	}
	for {
		r, err := e.maps.Load(ctx, key{g, f.name}, load)
		// Ann starts a run and leaves before it has begun, with the file it was to read. Bob, who joined it, starts his own.
		if !errors.Is(err, errAbandoned) {
			return r, err
		}
	}
}

// errAbandoned says that a run did not begin because the caller whose file it was to read had left.
var errAbandoned = errors.New("run abandoned before it began")

// run has a guest map one file, and composes its layer.
func (e *Engine) run(ctx context.Context, f *image, o Options) (*Result, error) {
	id := abi.FormatID(o.Format)
	if id == 0 && o.Format != "" {
		return nil, formatError{o.Format}
	}
	layer, err := e.runner.Run(ctx, &vmm.Job{
		Image: f, Size: f.size, Allocated: f.allocated(), Format: id, SectorSize: o.SectorSize, Start: o.Start,
		MaxLength: o.MaxLength, Empty: o.Empty, DmgName: f.dmg(), QemuVersion: o.Qemu,
	})
	if err != nil {
		return nil, err
	}
	if len(layer.References) > 0 {
		return nil, fmt.Errorf("%w: the image names %.300q", ErrReference, layer.References[0].Name)
	}
	r := &Result{VirtualSize: layer.VirtualSize, Format: abi.FormatName(layer.Format)}
	for _, w := range layer.Faults {
		if w.Role == abi.RoleWarn {
			r.Warnings = append(r.Warnings, w.Fault)
		}
	}
	r.Map, r.Failed, err = compose(ctx, layer, f, f.name, o.style(), maxExtents)
	if err != nil {
		return nil, fmt.Errorf("compose the map: %w", err)
	}
	if r.Map == nil {
		return nil, r.Failed
	}
	return r, nil
}

func (o *Options) style() style {
	since := func(major, minor uint32) bool { return o.Qemu == 0 || o.Qemu >= major<<16|minor }
	return style{qemu: o.Qemu != 0, noCompressed: !since(8, 2), noPresent: !since(6, 1)}
}

// generation is what identifies the map of a file of that identity.
func (o *Options) generation(id cache.Identity) Generation {
	b := make([]byte, 0, 128)
	for _, v := range []uint64{
		id.Dev, id.Ino, uint64(id.Size), uint64(id.MTimeNs), uint64(id.CTimeNs),
		o.Start, o.MaxLength, uint64(o.SectorSize)<<32 | uint64(o.Qemu),
	} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	if o.Empty {
		b = append(b, 1)
	}
	sum := sha256.Sum256(append(b, o.Format...))
	return Generation{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
}

// failure names the file in an error.
func failure(name string, err error) error {
	e := &Error{Name: name, Err: err}
	var format formatError
	var f *fault.Fault
	var errno unix.Errno
	switch {
	case errors.As(err, &f):
		e.qemu = f.Message()
		if f.Bare() {
			e.qemu = fmt.Sprintf("Could not open '%s': %s", name, e.qemu)
		}
	case errors.Is(err, ErrNotRegular):
		e.qemu = fmt.Sprintf("'file' driver requires '%s' to be a regular file", name)
	case errors.As(err, &format):
		e.qemu = fmt.Sprintf("Unknown driver '%s'", format.name)
	case errors.As(err, &errno):
		e.qemu = fmt.Sprintf("Could not open '%s': %s", name, strerror(errno))
	}
	return e
}

// strerror is the C library's text of an error number, which differs from Go's in its first letter only.
func strerror(e unix.Errno) string {
	s := e.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}
