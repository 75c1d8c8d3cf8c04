package fusefs

import (
	"context"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"instarfs/fusefs/answer"
	"instarfs/fusefs/caller"
	"instarfs/fusefs/inode"
	"instarfs/fusefs/view"
)

// mapFile is a view of one generation of an image.
type mapFile struct {
	fs.Inode
	readOnly
	tree  *tree
	dir   *dir
	image string // path in the source
	view  view.View
	info  Info // of the image when its name was looked up
	// owner is for whom the inode was made because it was not known whether he may have the
	// content; nil where that was known. The kernel tells the size of an inode, as soon as it knows
	// it, to all who have the inode in any way. So nobody else makes it known, until it turns out
	// that he may.
	owner *Caller

	mu sync.Mutex
	// Once bound, the inode has the content of generation gen, of size bytes, as long as a handle
	// on it is open. That is info.Generation unless the image changed between the lookup and the
	// run.
	bound bool
	gen   Generation
	size  int64
	// latest is what was found out of the image since, with the files under it: another time, and
	// mode.
	latest Info

	shown   inode.Shown
	readers caller.Readers // who may have the content
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

// bind makes g the content of the inode unless it has another; it returns the size of what the
// inode is bound to, and whether that is g.
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
func (f *mapFile) content(
	ctx context.Context, who *Caller, g Generation,
) (Rendering, Generation, error) {
	m, g, err := f.tree.mapOf(ctx, who, f.image, g)
	if err != nil {
		return nil, g, err
	}
	r, err := f.tree.render(f.image, f.view, m, g)
	return r, g, err
}

var _ = (fs.NodeGetattrer)((*mapFile)(nil))

// Getattr answers the exact size. A view that cannot be made has size 0: whoever lists a directory
// is not to be bothered. Who may not have it is shown another inode, see deniedFile.
func (f *mapFile) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	defer f.dir.asks()()
	who := f.tree.caller(ctx)
	if !f.mayUse(who) {
		return syscall.EACCES
	}
	patient, done := caller.Patience(f.tree.ctx, ctx)
	defer done()
	size, known := f.known()
	// A name leads to this inode for those who may have it. Who else asks was handed a descriptor
	// by one of them.
	handed := known && f.shown.Open()
	if !known || !handed && !f.readers.Has(who) && !f.check(patient, who) {
		f.dir.mapAhead(who, f.image)
		r, g, err := f.content(patient, who, f.info.Generation)
		switch {
		case err == nil:
			size, _ = f.bind(g, r.Size())
			if info, errno := f.stat(patient, who); errno == 0 {
				f.update(info)
			}
			f.readers.Add(who)
		case answer.Errno(err) == syscall.EINTR:
			return syscall.EINTR
		case !f.shared(): // nobody but this caller is told
			size = 0
		case who != nil && (known || answer.MayNot(err) && !answer.FailsForAll(err)):
			return answer.Errno(err) // the size is not for this caller, as far as can be told
		}
	}
	info := f.attributes()
	f.tree.fileAttributes(&out.Attr, info, size)
	if !f.tree.circle && f.tree.visible(info) && f.dir.public(patient) {
		out.SetTimeout(timeout)
	}
	return 0
}

// shared reports whether all may use the inode who may have its content.
func (f *mapFile) shared() bool { return f.readers.Has(f.owner) }

// mayUse reports whether who may make the size of the content known to the kernel.
func (f *mapFile) mayUse(who *Caller) bool { return f.shared() || f.owner.Is(who) }

// check reports whether who may have the content of the inode for certain.
func (f *mapFile) check(ctx context.Context, who *Caller) bool {
	g, _ := f.generation()
	known, err := f.tree.source.Check(ctx, who, f.image, g)
	if known && err == nil {
		f.readers.Add(who)
	}
	return known && err == nil
}

// stat looks at the image for somebody.
func (f *mapFile) stat(ctx context.Context, who *Caller) (Info, syscall.Errno) {
	info, err := f.tree.source.Stat(ctx, who, f.image)
	return info, answer.Errno(err)
}

var _ = (fs.NodeAccesser)((*mapFile)(nil))

// Access lets those read who may read the image, and what is known to be under it.
func (f *mapFile) Access(ctx context.Context, mask uint32) syscall.Errno {
	if errno := readOnlyAccess(mask); errno != 0 {
		return errno
	}
	who := f.tree.caller(ctx)
	if who == nil {
		return 0
	}
	patient, done := caller.Patience(f.tree.ctx, ctx)
	defer done()
	if mask&accessRead == 0 {
		_, errno := f.stat(patient, who)
		return errno
	}
	g, _ := f.generation()
	if _, err := f.tree.source.Check(patient, who, f.image, g); answer.MayNot(err) {
		return syscall.EACCES
	}
	return 0
}

var _ = (fs.NodeOpener)((*mapFile)(nil))

// Open answers a handle on the content of this inode if that is what the image holds now; else it
// has the name looked up again, which leads to the inode of what the image holds now. When it leads
// here again, because the file is bind mounted or named by a descriptor, the answer is the content
// that is open here already, or else what the image holds now: see inode.Shown.
func (f *mapFile) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := readOnlyOpen(flags); errno != 0 {
		return nil, 0, errno
	}
	defer f.dir.asks()()
	// One ESTALE is allowed, whichever of the two below it is.
	again := f.tree.stale.Take(staleKey(ctx, f.image, f.view))
	g, bound := f.generation()
	who := f.tree.caller(ctx)
	if !f.mayUse(who) {
		return nil, 0, syscall.EACCES
	}
	patient, done := caller.Patience(f.tree.ctx, ctx)
	defer done()
	info, errno := f.stat(patient, who)
	if who != nil && (errno == syscall.EACCES || errno == syscall.EPERM) {
		return nil, 0, errno
	}
	current := errno == 0 && info.Regular() && info.Generation == g
	if !current && !again && f.tree.stale.Note(staleKey(ctx, f.image, f.view)) {
		return nil, 0, syscall.ESTALE
	}
	if !current && f.readers.Has(who) {
		if r := f.shown.Join(); r != nil {
			return f.handle(r)
		}
	}
	if errno != 0 && !bound {
		return nil, 0, errno
	}
	if _, ok := f.known(); !ok {
		f.dir.openedCold(who, f.image)
	}
	if errno == 0 {
		g = info.Generation // which a lookup did not lead to
	}
	r, got, err := f.content(patient, who, g)
	if err != nil {
		return nil, 0, answer.Errno(err)
	}
	if _, ok := f.bind(got, r.Size()); !ok && !again &&
		f.tree.stale.Note(staleKey(ctx, f.image, f.view)) {
		// The image changed since it was looked at, and the content of this inode is gone.
		return nil, 0, syscall.ESTALE
	}
	r = f.shown.Begin(r, func() bool { return f.rebind(got, r.Size(), info) })
	if has, _ := f.generation(); has == got {
		f.readers.Add(who)
	} else if !f.readers.Has(who) {
		f.shown.Leave()
		return nil, 0, syscall.EBUSY // others have a content open that is not for this caller
	}
	return f.handle(r)
}

// handle answers an OPEN with a handle on r, the content that the inode shows.
func (f *mapFile) handle(r Rendering) (fs.FileHandle, uint32, syscall.Errno) {
	// That it may fail is no harm: the kernel then has no such inode, and no pages.
	f.shown.Clean(func() { _ = f.NotifyContent(0, 0) })
	h, flags, errno := f.tree.openHandle(&f.Inode, r, f.shown.Leave)
	if errno != 0 {
		f.shown.Leave()
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
	if changed {
		f.readers.Clear()
	}
	f.gen, f.size = g, size
	return changed
}

// update takes over what is known of an image that was looked at, if its content is that of the
// inode.
func (f *mapFile) update(info Info) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bound && f.gen == info.Generation {
		f.latest = info
	}
}

// attributes are those of the image, and of the files under it as far as they are known.
func (f *mapFile) attributes() Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bound && f.latest.Generation == f.gen {
		return f.latest
	}
	return f.info
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
