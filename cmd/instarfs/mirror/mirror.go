// Package mirror mounts a directory of images: it puts the tree of virtual files onto the engine
// that makes maps.
package mirror

import (
	"context"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/cmd/instarfs/guests"
	"instarfs/cmd/instarfs/memory"
	"instarfs/fusefs"
	"instarfs/fusefs/names"
	"instarfs/fusefs/view"
	"instarfs/guest/extent"
	"instarfs/guest/img"
	"instarfs/render"
	"instarfs/stats"
	"instarfs/vmm/chain"
	"instarfs/vmm/files"
	"instarfs/vmm/source"
)

// Options say what is mounted where, and how it looks.
type Options struct {
	Source, Mountpoint string
	Include, Exclude   []string // globs
	Devices            bool     // block devices are images
	Formats            []FormatOf
	AllowOther         bool // let other users in, as far as the images allow
	AllowRoot          bool // let root in
	Override           fusefs.Override
	FSName, Subtype    string // for mount(8), empty for the usual
	OnError            fusefs.OnError
	OwnTimes           bool   // an image's times are its own, not the newest of its chain
	Inode32            bool   // inode numbers fit into 32 bits
	CacheBytes         uint64 // maps up to this size are kept
	Debug              bool   // log every request
	Log                func(line string)
	Version            string            // of the program
	Given              map[string]string // the options that were given, for people to look at
}

// FormatOf fixes the format of the files that a glob of package names matches.
type FormatOf struct {
	Glob   string
	Format img.Format
}

// formatOf returns the name of the format of an image, by its path below the source, or empty where
// its content decides. Of several globs that match the last one counts.
func (o *Options) formatOf(file string) string {
	for _, f := range slices.Backward(o.Formats) {
		if names.Match(f.Glob, file) {
			return f.Format.String()
		}
	}
	return ""
}

// Engine is what makes maps. Mount takes it over, also if it fails.
type Engine struct {
	Pool   guests.Pool
	Access chain.Access
	Limits chain.Limits
	Done   func() // lets go of the directories in Access
}

// Mounted is a mount in use, and what stands behind it.
type Mounted struct {
	*fusefs.Mounted
	close func()
}

// Mount mounts. release is the release of qemu-img whose bytes are shown. Whoever gets a Mounted
// calls Serve.
func Mount(o Options, release img.Release, e Engine) (*Mounted, error) {
	dir, err := files.OpenTree(o.Source)
	if err != nil {
		e.Pool.Close()
		e.Done()
		return nil, err
	}
	shut := func() {
		e.Pool.Close()
		dir.Close()
		e.Done()
	}
	state := &state{Stats: stats.New(), options: o, since: time.Now().Truncate(time.Millisecond),
		limits: e.Limits}
	e.Pool = guests.Counted(e.Pool, state.Stats)
	memory.BoundGarbage()
	go memory.AskForHugePages(uint64(e.Limits.Cache))
	engine := chain.NewEngine(e.Pool, e.Access, e.Limits)
	images := source.New(dir, engine, source.Options{
		Options:  chain.Options{Window: img.Whole, Release: release},
		Shared:   o.AllowOther && !o.Override.Used(),
		OwnTimes: o.OwnTimes,
		Devices:  o.Devices,
		FormatOf: o.formatOf,
	})
	state.pool, state.engine, state.images = e.Pool, engine, images
	state.gauges()
	m, err := fusefs.Mount(fusefs.Options{
		Source:     tree{images},
		SourceDir:  o.Source,
		Mountpoint: o.Mountpoint,
		Include:    o.Include,
		Exclude:    o.Exclude,
		AllowOther: o.AllowOther,
		AllowRoot:  o.AllowRoot,
		Override:   o.Override,
		OnError:    o.OnError,
		Inode32:    o.Inode32,
		FSName:     o.FSName,
		Subtype:    o.Subtype,
		Debug:      o.Debug,
		Log:        o.Log,
		Reports:    state.reports(),
		Outcome:    state.outcome,
		Render: func(m *extent.Map, v view.View) (fusefs.Rendering, error) {
			r, err := render.New(m, views[v], release)
			if err != nil {
				return nil, unshowable{err}
			}
			return r, nil
		},
	})
	if err != nil {
		shut()
		return nil, err
	}
	state.mounted.Store(m)
	go tellUnmatched(o)
	// The first reader should not have to wait for the guest's boot. If it fails, that reader is
	// told why.
	go func() { _ = e.Pool.Warm(context.Background()) }()
	return &Mounted{m, shut}, nil
}

// unshowable is a map that a view of a release has no bytes for. Other views and releases may.
type unshowable struct{ error }

// Errno is what open says.
func (unshowable) Errno() syscall.Errno { return unix.EOPNOTSUPP }

// Serve serves until somebody unmounts or ctx ends, see fusefs.Mounted.Serve.
func (m *Mounted) Serve(ctx context.Context) error {
	defer m.close()
	serving, cancel := context.WithCancel(context.Background())
	defer cancel()
	go memory.GiveBack(serving)
	return m.Mounted.Serve(ctx)
}

// views are those of a mount in terms of render.
var views = map[view.View]render.View{view.JSON: render.JSON, view.Text: render.Text}
