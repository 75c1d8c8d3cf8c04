package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/cmd/instarfs/devices"
	"instarfs/cmd/instarfs/guests"
	"instarfs/cmd/instarfs/logs"
	"instarfs/cmd/instarfs/memory"
	"instarfs/cmd/instarfs/mirror"
	"instarfs/guest/payload"
	"instarfs/mountinfo"
	"instarfs/vmm/chain"
	"instarfs/vmm/files"
)

// wire makes the env of the real world. It is the only place where everything meets.
func wire() *env {
	_, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS)
	return &env{
		stdout:       os.Stdout,
		stderr:       os.Stderr,
		terminal:     err == nil,
		journal:      logs.ToJournal(os.Stderr),
		root:         os.Geteuid() == 0,
		helper:       calledAsHelper(os.Args[0]),
		newEngine:    newEngine,
		newMount:     newMount,
		payload:      payload.Agent,
		checkKVM:     guests.CheckKVM,
		checkProcess: guests.CheckProcess,
		checkFUSE:    devices.CheckFUSE,
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
		o.Note(note)
	}
	return m, err
}

// newMountOn mounts on a pool, which it takes over, and which has the same resources.
func newMountOn(pool guests.Pool, shared guests.Allowance, o mountOptions) (mounted, error) {
	access, done, err := o.Access.open()
	if err != nil {
		pool.Close()
		return nil, err
	}
	return mirror.Mount(o.Options, o.Release, mirror.Engine{
		Pool: pool, Access: access, Limits: shared.Chain(o.CacheBytes), Done: done,
	})
}
