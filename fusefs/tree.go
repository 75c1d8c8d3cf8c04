package fusefs

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"instarfs/fusefs/ahead"
	"instarfs/fusefs/answer"
	"instarfs/fusefs/caller"
	"instarfs/fusefs/inode"
	"instarfs/fusefs/logger"
	"instarfs/fusefs/names"
	"instarfs/fusefs/report"
	"instarfs/fusefs/view"
	"instarfs/guest/extent"
)

// timeout is how long the kernel may believe an entry or attributes that are exact.
const timeout = time.Second

// tree is what the nodes of one mount share.
type tree struct {
	source   Source
	draw     Render
	names    *names.Names
	log      *logger.Logger
	ctx      context.Context // of the mount
	shared   bool            // others than who mounted are let in, as far as the images allow
	circle   bool            // of those who are let in, only root and who mounted may see anything
	override Override
	onError  OnError
	number   func(ino uint64) uint64 // an inode number as it is shown
	stale    inode.Stale
	ahead    *ahead.Workers // map the images of a directory before they are asked for
	outcome  Outcome
	reports  []report.Report
	open     atomic.Int64  // handles
	owned    atomic.Uint64 // inodes so far that are each for one caller
}

func newTree(ctx context.Context, o Options, n *names.Names, log *logger.Logger) *tree {
	t := &tree{source: o.Source, draw: o.Render, names: n, log: log, ctx: ctx,
		shared: o.AllowOther && !o.Override.Used(), circle: o.AllowRoot, override: o.Override,
		onError: o.OnError, number: func(ino uint64) uint64 { return ino },
		outcome: o.Outcome, reports: o.Reports}
	if o.Inode32 {
		t.number = inode.Narrow
	}
	if t.outcome == nil {
		t.outcome = func(string, syscall.Errno, error) {}
	}
	t.ahead = ahead.New(ctx, func(image string, p any) { log.Panicked("mapping ahead "+image, p) })
	return t
}

// caller returns who makes the request of ctx. Unless others are let in, the kernel admits only the
// user who mounted, who may see everything.
func (t *tree) caller(ctx context.Context) *Caller {
	if !t.shared {
		return nil
	}
	return caller.Of(ctx)
}

// staleKey names an OPEN of a view of an image in tree.stale.
func staleKey(ctx context.Context, image string, v view.View) inode.StaleKey {
	return inode.StaleKey{Thread: caller.Thread(ctx), File: image, View: byte(v)}
}

// render makes a view of a map; a failure is logged once per generation.
func (t *tree) render(image string, v view.View, m *extent.Map, g Generation) (Rendering, error) {
	r, err := t.draw(m, v)
	if err != nil {
		err = fmt.Errorf("render %s%s: %w", image, v, err)
		t.log.Once(image+v.String(), g, err.Error())
	}
	return r, err
}

// mapOf returns the map of an image as it is now if who may have it, preferably the one of
// generation g. ctx is that of patience.
func (t *tree) mapOf(
	ctx context.Context, who *Caller, image string, g Generation,
) (*extent.Map, Generation, error) {
	m, at, err := t.mapFor(ctx, who, image, g)
	switch {
	case err == nil:
		t.outcome(image, 0, nil)
	case errors.Is(context.Cause(ctx), caller.ErrInterrupted):
		err = caller.ErrInterrupted
	case errors.Is(err, context.Canceled): // which is the end of the mount
	case who != nil && answer.MayNot(err): // which is as it should be
	default:
		t.log.Once(image, at, err.Error())
		t.outcome(image, answer.Errno(err), err)
	}
	return m, at, err
}

func (t *tree) mapFor(
	ctx context.Context, who *Caller, image string, g Generation,
) (*extent.Map, Generation, error) {
	if m, ok := t.source.Cached(image, g); ok {
		known, err := t.source.Check(ctx, who, image, g)
		if err != nil {
			return nil, g, err
		}
		if known {
			return m, g, nil
		}
	}
	return t.source.Map(ctx, who, image)
}

// setTimeouts says how long the kernel may use an answer about a file in d for whoever asks. To
// know the inode of a name is to know its size, which statx(2) tells without asking the mount.
func (t *tree) setTimeouts(ctx context.Context, d *dir, info Info, out *fuse.EntryOut) {
	if !t.circle && d.public(ctx) && t.visible(info) {
		out.SetEntryTimeout(timeout)
		out.SetAttrTimeout(timeout)
	}
}

// visible reports whether all who can look a file up may know its attributes, the size of a map
// included.
func (t *tree) visible(info Info) bool {
	return !t.shared || !info.Regular() || info.Alone && info.Mode&keepFile == keepFile
}

// readOnly is the part that all nodes share.
type readOnly struct{}

// Bits of the mask of access(2), see unistd.h.
const (
	accessExists  = 0
	accessExecute = 1
	accessWrite   = 2
	accessRead    = 4
)

var _ = (fs.NodeAccesser)((*readOnly)(nil))

// Access leaves permissions to the kernel. Without this method access(2) would ask for attributes,
// and so run a guest.
func (readOnly) Access(_ context.Context, mask uint32) syscall.Errno { return readOnlyAccess(mask) }

func readOnlyAccess(mask uint32) syscall.Errno {
	if mask&accessWrite != 0 {
		return syscall.EROFS
	}
	return 0
}

var _ = (fs.NodeStatfser)((*readOnly)(nil))

// Statfs answers a block size: bsdtar divides by it.
func (readOnly) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Frsize, out.NameLen = 4096, 4096, view.NameMax
	return 0
}

// readOnlyOpen refuses an open for writing.
func readOnlyOpen(flags uint32) syscall.Errno {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY ||
		flags&(syscall.O_TRUNC|syscall.O_APPEND) != 0 {
		return syscall.EROFS
	}
	return 0
}
