package fusefs

import (
	"context"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// mapFile is a view of one generation of an image.
type mapFile struct {
	fs.Inode
	readOnly
	tree  *tree
	dir   *dir
	image string // path in the source
	view  View
	info  Info // of the image when its name was looked up

	mu sync.Mutex
	// Once bound, the inode has the content of generation gen, of size bytes, as long as a handle on
	// it is open. That is info.Generation unless the image changed between the lookup and the run.
	bound bool
	gen   Generation
	size  int64
	// mtime is newer than that of info if a file under the image is.
	mtime time.Time

	shown shown
}

// known returns the size if it can be told without a guest.
func (f *mapFile) known() (int64, bool) {
	f.mu.Lock()
	bound, size := f.bound, f.size
	f.mu.Unlock()
	if bound {
		return size, true
	}
	m, ok := f.tree.source.Cached(f.image, f.info.Generation)
	if !ok {
		return 0, false
	}
	r, err := f.tree.render(f.image, f.view, m, f.info.Generation)
	if err != nil {
		return 0, false
	}
	return f.bind(f.info.Generation, r.Size())
}

// bind makes g the content of the inode unless it has another; it returns the size of what the inode is bound to, and
// whether that is g.
func (f *mapFile) bind(g Generation, size int64) (int64, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.bound {
		f.bound, f.gen, f.size = true, g, size
	}
	return f.size, f.gen == g
}

// generation is that of the content, or the one it will most likely have.
func (f *mapFile) generation() (g Generation, bound bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bound {
		return f.gen, true
	}
	return f.info.Generation, false
}

// content makes the view, running a guest if need be, of generation g if that is at hand.
func (f *mapFile) content(ctx context.Context, g Generation) (Rendering, Generation, error) {
	m, g, err := f.tree.mapOf(ctx, f.image, g)
	if err != nil {
		return nil, g, err
	}
	r, err := f.tree.render(f.image, f.view, m, g)
	return r, g, err
}

var _ = (fs.NodeGetattrer)((*mapFile)(nil))

// Getattr answers the exact size. A view that cannot be made has size 0: whoever lists a directory is not to be bothered.
func (f *mapFile) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	size, ok := f.known()
	if !ok {
		f.dir.mapAhead(f.image)
		r, g, err := f.content(ctx, f.info.Generation)
		switch {
		case err == nil:
			size, _ = f.bind(g, r.Size())
			if info, err := f.tree.source.Stat(f.image); err == nil {
				f.update(info)
			}
		case errnoOf(err) == syscall.EINTR:
			return syscall.EINTR
		}
	}
	fileAttributes(&out.Attr, f.attributes(), size)
	out.SetTimeout(timeout)
	return 0
}

var _ = (fs.NodeOpener)((*mapFile)(nil))

// Open answers a handle on the content of this inode if that is what the image holds now; else it has
// the name looked up again, which leads to the inode of what the image holds now. When it leads here
// again, because the file is bind mounted or named by a descriptor, the answer is the content that
// is open here already, or else what the image holds now: see shown.
func (f *mapFile) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := readOnlyOpen(flags); errno != 0 {
		return nil, 0, errno
	}
	// One ESTALE is allowed, whichever of the two below it is.
	again := f.tree.stale.take(ctx, f.image, f.view)
	g, bound := f.generation()
	info, err := f.tree.source.Stat(f.image)
	current := err == nil && info.Regular() && info.Generation == g
	if !current && !again && f.tree.stale.note(ctx, f.image, f.view) {
		return nil, 0, syscall.ESTALE
	}
	if r := f.shown.join(); r != nil {
		return f.handle(r)
	}
	if err != nil && !bound {
		return nil, 0, errnoOf(err)
	}
	if _, ok := f.known(); !ok {
		f.dir.openedCold(f.image)
	}
	if err == nil {
		g = info.Generation // which a lookup did not lead to
	}
	r, got, err := f.content(ctx, g)
	if err != nil {
		return nil, 0, errnoOf(err)
	}
	if _, ok := f.bind(got, r.Size()); !ok && !again && f.tree.stale.note(ctx, f.image, f.view) {
		// The image changed since it was looked at, and the content of this inode is gone.
		return nil, 0, syscall.ESTALE
	}
	r = f.shown.begin(r, func() bool { return f.rebind(got, r.Size(), info) })
	return f.handle(r)
}

// handle answers an OPEN with a handle on r, the content that the inode shows.
func (f *mapFile) handle(r Rendering) (fs.FileHandle, uint32, syscall.Errno) {
	// That it may fail is no harm: the kernel then has no such inode, and no pages.
	f.shown.clean(func() { _ = f.NotifyContent(0, 0) })
	h, flags, errno := openHandle(&f.Inode, r, f.tree.log, f.shown.leave)
	if errno != 0 {
		f.shown.leave()
	}
	return h, flags, errno
}

// rebind makes g the content of the inode, which nobody has open, and reports whether it had
// another. info is what is known of the image by now.
func (f *mapFile) rebind(g Generation, size int64, info Info) (changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed = f.gen != g
	if changed && info.Generation == g {
		f.info = info
	}
	f.gen, f.size = g, size
	return changed
}

// update takes over the time of an image that was looked at, if its content is that of the inode.
func (f *mapFile) update(info Info) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bound && f.gen == info.Generation {
		f.mtime = info.MTime
	}
}

// attributes are those of the image, as far as they are shared.
func (f *mapFile) attributes() Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	info := f.info
	if f.mtime.After(info.MTime) {
		info.MTime = f.mtime
	}
	return info
}

// has reports whether g is the content of the inode.
func (f *mapFile) has(g Generation) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bound && f.gen == g
}

// unbound reports whether the node is one of generation g whose content nobody needed yet.
func (f *mapFile) unbound(g Generation) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.bound && f.info.Generation == g
}
