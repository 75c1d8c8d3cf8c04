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
	"instarfs/guest/extent"
)

// timeout is how long the kernel may believe an entry or attributes that are exact.
const timeout = time.Second

// tree is what the nodes of one mount share.
type tree struct {
	source Source
	draw   Render
	names  *names
	log    *logger
	ctx    context.Context // of the mount
	stale  stale
	ahead  *ahead
	// reasons numbers the inodes of .map.err files.
	reasons atomic.Uint64
}

func newTree(ctx context.Context, source Source, draw Render, n *names, log *logger) *tree {
	t := &tree{source: source, draw: draw, names: n, log: log, ctx: ctx}
	t.stale.told = map[staleKey]time.Time{}
	t.ahead = newAhead(ctx, t)
	return t
}

// render makes a view of a map; a failure is logged once per generation.
func (t *tree) render(image string, v View, m *extent.Map, g Generation) (Rendering, error) {
	r, err := t.draw(m, v)
	if err != nil {
		err = fmt.Errorf("render %s%s: %w", image, v, err)
		t.log.once(image+v.String(), g, err.Error())
	}
	return r, err
}

// mapOf returns the map of an image as it is now, preferably the one of generation g.
func (t *tree) mapOf(ctx context.Context, image string, g Generation) (*extent.Map, Generation, error) {
	if m, ok := t.source.Cached(image, g); ok {
		return m, g, nil
	}
	patient, done := patience(t.ctx, ctx)
	defer done()
	m, g, err := t.source.Map(patient, image)
	switch {
	case err == nil:
	case errors.Is(context.Cause(patient), errInterrupted):
		err = errInterrupted
	case !errors.Is(err, context.Canceled): // which is the end of the mount
		t.log.once(image, g, err.Error())
	}
	return m, g, err
}

// attributes fills in what a stat of the source says. A map tells about allocation, so its file is never more accessible
// than the image: the image's owner and group, and of its mode what keep leaves.
func attributes(out *fuse.Attr, i Info, keep uint32) {
	out.Mode = i.Mode & (syscall.S_IFMT | keep)
	out.Owner = fuse.Owner{Uid: i.UID, Gid: i.GID}
	out.Nlink = 1
	out.SetTimes(&i.MTime, &i.MTime, &i.MTime)
}

const (
	keepFile = 0444
	keepDir  = 0555
)

// fileAttributes is attributes for a view of a known size.
func fileAttributes(out *fuse.Attr, i Info, size int64) {
	attributes(out, i, keepFile)
	out.Size = uint64(size)
	// 512-byte blocks as du counts them: content exists in memory at most, but a size without blocks looks like a hole.
	out.Blocks = (out.Size + 511) / 512
	out.Blksize = 4096
}

// readOnly is the part that all nodes share.
type readOnly struct{}

var _ = (fs.NodeAccesser)((*readOnly)(nil))

// Access leaves permissions to the kernel. Without this method access(2) would ask for attributes, and so run a guest.
func (readOnly) Access(_ context.Context, mask uint32) syscall.Errno {
	const wOK = 2
	if mask&wOK != 0 {
		return syscall.EROFS
	}
	return 0
}

var _ = (fs.NodeStatfser)((*readOnly)(nil))

// Statfs answers a block size: bsdtar divides by it.
func (readOnly) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Frsize, out.NameLen = 4096, 4096, nameMax
	return 0
}

// readOnlyOpen refuses an open for writing.
func readOnlyOpen(flags uint32) syscall.Errno {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY || flags&(syscall.O_TRUNC|syscall.O_APPEND) != 0 {
		return syscall.EROFS
	}
	return 0
}
