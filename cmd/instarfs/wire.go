package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/cmd/instarfs/guests"
	"instarfs/cmd/instarfs/memory"
	"instarfs/fusefs"
	"instarfs/guest/extent"
	"instarfs/guest/img"
	"instarfs/guest/payload"
	"instarfs/mountinfo"
	"instarfs/render"
	"instarfs/vmm/chain"
	"instarfs/vmm/files"
	"instarfs/vmm/source"
)

// wire makes the env of the real world. It is the only place where everything meets.
func wire() *env {
	_, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS)
	return &env{
		stdout:       os.Stdout,
		stderr:       os.Stderr,
		terminal:     err == nil,
		root:         os.Geteuid() == 0,
		newEngine:    newEngine,
		newMount:     newMount,
		payload:      payload.Agent,
		checkKVM:     guests.CheckKVM,
		checkProcess: guests.CheckProcess,
		checkFUSE:    checkFUSE,
		checkOpen:    files.CheckOpenat2,
		mayHold:      mountinfo.ServedByProgram,
	}
}

// oneMap is the engine of a single map: nothing is kept.
type oneMap struct {
	pool   guests.Pool
	engine *chain.Engine
	done   func() // lets go of what the engine may open
}

// smallMap is how long most maps take at most.
const smallMap = 10 * time.Millisecond

func newEngine(o sharedOptions) (engine, error) {
	access, done, err := o.Access.open()
	if err != nil {
		return nil, err
	}
	shared := o.Limits.Allow()
	pool, _, err := guests.New(guests.Options{Isolation: o.Isolation, Cache: o.Cache}, shared)
	if err != nil {
		done()
		return nil, err
	}
	// While the file is opened. If it fails, the run itself says why.
	go func() { _ = pool.Warm(context.Background()) }()
	// A map that takes no longer needs no memory worth mentioning.
	large := time.AfterFunc(smallMap, func() {
		memory.AskForHugePages(min(defaultCacheBytes, shared.Bytes/2))
	})
	return &oneMap{pool, chain.NewEngine(pool, access, shared.Chain(0)), func() {
		large.Stop()
		done()
	}}, nil
}

// Map implements engine.
func (m *oneMap) Map(ctx context.Context, name string, o mapOptions) (*mapResult, error) {
	c := chain.Options{Format: o.Format, Window: o.Window, SectorSize: o.SectorSize,
		Release: o.Release, TopOnly: o.TopOnly}
	r, err := m.engine.MapFile(ctx, name, c)
	if err != nil {
		return nil, err
	}
	return &mapResult{Map: r.Map, VirtualSize: r.VirtualSize, Format: r.Format, Failed: r.Failed,
		Warnings: r.Warnings}, nil
}

// Close implements engine.
func (m *oneMap) Close() error {
	m.done()
	return m.pool.Close()
}

// liveMount is a mount and what stands behind it.
type liveMount struct {
	*fusefs.Mounted
	pool guests.Pool
	tree *files.Tree
	done func() // lets go of the other directories
}

func newMount(o mountOptions) (mounted, error) {
	if err := files.CheckOpenat2(); err != nil {
		return nil, fmt.Errorf("mount %s: %w", o.Source, err)
	}
	shared := o.Limits.Allow()
	o.Cache.Log = o.Log
	pool, note, err := guests.New(guests.Options{
		Isolation: o.Isolation, Cache: o.Cache, ForMaps: shared.Bytes, Log: o.Log,
		Ahead: runtime.GOMAXPROCS(0) + 1, // one more than map ahead
	}, shared)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", o.Source, err)
	}
	m, err := newMountOn(pool, shared, o)
	if err == nil && note != "" {
		o.Log(note)
	}
	return m, err
}

// newMountOn mounts on a pool, which it takes over, and which has the same resources.
func newMountOn(pool guests.Pool, shared guests.Allowance, o mountOptions) (mounted, error) {
	tree, err := files.OpenTree(o.Source)
	if err != nil {
		pool.Close()
		return nil, err
	}
	access, done, err := o.Access.open()
	if err != nil {
		pool.Close()
		tree.Close()
		return nil, err
	}
	limits := shared.Chain(o.CacheBytes)
	memory.BoundGarbage()
	go memory.AskForHugePages(uint64(limits.Cache))
	engine := chain.NewEngine(pool, access, limits)
	images := source.New(tree, engine, source.Options{
		Options: chain.Options{Window: img.Whole, Release: o.Release}, Shared: o.AllowOther,
	})
	m, err := fusefs.Mount(fusefs.Options{
		Source:     imageSource{images},
		SourceDir:  o.Source,
		Mountpoint: o.Mountpoint,
		Include:    o.Include,
		Exclude:    o.Exclude,
		AllowOther: o.AllowOther,
		Debug:      o.Debug,
		Log:        o.Log,
		Render: func(m *extent.Map, v fusefs.View) (fusefs.Rendering, error) {
			r, err := render.New(m, views[v], o.Release)
			if err != nil {
				return nil, unshowable{err}
			}
			return r, nil
		},
	})
	if err != nil {
		pool.Close()
		tree.Close()
		done()
		return nil, err
	}
	// The first reader should not have to wait for the guest's boot. If it fails, that reader is
	// told why.
	go func() { _ = pool.Warm(context.Background()) }()
	return &liveMount{m, pool, tree, done}, nil
}

// unshowable is a map that a view of the profile has no bytes for. Other views and profiles may.
type unshowable struct{ error }

// Errno is what open says.
func (unshowable) Errno() syscall.Errno { return unix.EOPNOTSUPP }

// Serve implements mounted.
func (m *liveMount) Serve(ctx context.Context) error {
	defer m.done()
	defer m.tree.Close()
	defer m.pool.Close()
	serving, cancel := context.WithCancel(context.Background())
	defer cancel()
	go memory.GiveBack(serving)
	return m.Mounted.Serve(ctx)
}

// views are those of fusefs in terms of render.
var views = map[fusefs.View]render.View{fusefs.JSON: render.JSON, fusefs.Text: render.Text}

// imageSource shows a source.Source in the types of fusefs, which knows nothing of chains.
type imageSource struct{ *source.Source }

func caller(who *fusefs.Caller) *files.Caller { return (*files.Caller)(who) }

func info(i source.Info) fusefs.Info {
	return fusefs.Info{
		Mode: i.Mode, UID: i.UID, GID: i.GID, MTime: i.MTime,
		Generation: fusefs.Generation(i.Generation),
		Link:       i.Link, LinkType: i.LinkType, Alone: i.Alone,
	}
}

// ReadDir implements fusefs.Source.
func (s imageSource) ReadDir(
	ctx context.Context, who *fusefs.Caller, dir string,
) ([]fusefs.Entry, error) {
	list, err := s.Source.ReadDir(ctx, caller(who), dir)
	entries := make([]fusefs.Entry, len(list))
	for i, e := range list {
		entries[i] = fusefs.Entry{Name: e.Name, Type: e.Type, Known: e.Known, Info: info(e.Info)}
	}
	return entries, err
}

// CheckDir implements fusefs.Source.
func (s imageSource) CheckDir(ctx context.Context, who *fusefs.Caller, dir string) error {
	return s.Source.CheckDir(ctx, caller(who), dir)
}

// Stat implements fusefs.Source.
func (s imageSource) Stat(
	ctx context.Context, who *fusefs.Caller, path string,
) (fusefs.Info, error) {
	i, err := s.Source.Stat(ctx, caller(who), path)
	return info(i), err
}

// Cached implements fusefs.Source.
func (s imageSource) Cached(path string, g fusefs.Generation) (*extent.Map, bool) {
	return s.Source.Cached(path, chain.Generation(g))
}

// Check implements fusefs.Source.
func (s imageSource) Check(
	ctx context.Context, who *fusefs.Caller, path string, g fusefs.Generation,
) (bool, error) {
	return s.Source.Check(ctx, caller(who), path, chain.Generation(g))
}

// Map implements fusefs.Source.
func (s imageSource) Map(
	ctx context.Context, who *fusefs.Caller, path string,
) (*extent.Map, fusefs.Generation, error) {
	m, g, err := s.Source.Map(ctx, caller(who), path)
	return m, fusefs.Generation(g), err
}

func checkFUSE() error {
	return openDevice("/dev/fuse", "load the module (modprobe fuse)",
		"its mode should be 0666 (udev rules of the package fuse3), or run as root")
}
