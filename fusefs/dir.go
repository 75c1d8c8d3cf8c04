package fusefs

import (
	"context"
	"path"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"instarfs/fusefs/answer"
	"instarfs/fusefs/caller"
	"instarfs/fusefs/inode"
	"instarfs/fusefs/usage"
	"instarfs/fusefs/view"
)

// racy is how old the last change of a directory must be before the kernel may keep its listing. A
// later change within the same tick of the source's clock (1 to 10 ms; 2 s on FAT) would leave the
// mtime as it is, and the listing stale.
const racy = 3 * time.Second

// dir mirrors a directory of the source.
type dir struct {
	fs.Inode
	readOnly
	tree  *tree
	above *dir   // nil for the root
	path  string // in the source

	habits usage.Habits
	visits usage.Visits

	mu       sync.Mutex
	mapping  bool      // the images of this directory are being mapped ahead
	mappedAt time.Time // when that last ended
	coldAt   time.Time // when an image was last opened that had to be mapped first
}

var _ = (fs.NodeLookuper)((*dir)(nil))

// Lookup finds a view, a directory or a link. It never runs a guest.
func (d *dir) Lookup(
	ctx context.Context, name string, out *fuse.EntryOut,
) (*fs.Inode, syscall.Errno) {
	if d.above == nil && name == reportsName {
		return d.reports(ctx, out)
	}
	d.habits.LookedUp(name)
	patient, done := caller.Patience(d.tree.ctx, ctx)
	defer done()
	who := d.tree.caller(ctx)
	if image, v, ok := view.Split(name); ok {
		file := path.Join(d.path, image)
		info, err := d.tree.source.Stat(patient, who, file)
		switch {
		case err == nil && info.Regular():
			return d.viewFor(patient, who, name, file, v, info, out), 0
		case err == nil && info.Link != "":
			if target := view.OfLink(info.Link, v); target != "" {
				return d.link(patient, file, target, v, info, out), 0
			}
		case err != nil && answer.Errno(err) != syscall.ENOENT:
			return nil, answer.Errno(err)
		}
	}
	file := path.Join(d.path, name)
	info, err := d.tree.source.Stat(patient, who, file)
	switch {
	case err != nil:
		return nil, answer.Errno(err)
	case info.Link != "" && info.LinkType != syscall.S_IFREG:
		return d.link(patient, file, info.Link, 0, info, out), 0
	case !info.Dir():
		return nil, syscall.ENOENT
	}
	return d.subdirectory(patient, name, file, info, inode.Number(file, 0, info.Generation, 0),
		out), 0
}

// viewFor answers the lookup of a view of an image by somebody.
func (d *dir) viewFor(
	ctx context.Context, who *Caller, name, image string, v view.View, info Info,
	out *fuse.EntryOut,
) *fs.Inode {
	if v == view.Reason {
		f := &reasonFile{tree: d.tree, who: who, image: image, info: info}
		return d.own(ctx, f, image, v, info, out)
	}
	if who != nil {
		switch known, err := d.tree.source.Check(ctx, who, image, info.Generation); {
		case answer.MayNot(err):
			return d.denied(ctx, image, v, info, out)
		case !known || err != nil:
			f := &mapFile{tree: d.tree, dir: d, image: image, view: v, info: info, owner: who}
			return d.own(ctx, f, image, v, info, out)
		}
	}
	return d.view(ctx, name, image, v, info, inode.Number(image, byte(v), info.Generation, 0), out)
}

// own answers a lookup with an inode that nobody else gets by its name.
func (d *dir) own(
	ctx context.Context, f fs.InodeEmbedder, image string, v view.View, info Info,
	out *fuse.EntryOut,
) *fs.Inode {
	d.tree.fileAttributes(&out.Attr, info, 0)
	ino := inode.Number(image, byte(v), info.Generation, forDenied+d.tree.owned.Add(1))
	return d.NewInode(ctx, f, fs.StableAttr{Mode: syscall.S_IFREG, Ino: ino})
}

// view answers the lookup of a view of an image by somebody who may have it.
func (d *dir) view(
	ctx context.Context, name, image string, v view.View, info Info, ino uint64, out *fuse.EntryOut,
) *fs.Inode {
	id := fs.StableAttr{Mode: syscall.S_IFREG, Ino: ino}
	var f *mapFile
	node := d.GetChild(name)
	if node != nil {
		f, _ = node.Operations().(*mapFile)
	}
	// What lies under an image is part of its generation, and unknown until the image is mapped:
	// the inode stays the same then.
	if f == nil || !f.shared() || node.StableAttr() != id && !f.has(info.Generation) {
		f = &mapFile{tree: d.tree, dir: d, image: image, view: v, info: info}
		node = d.NewInode(ctx, f, id)
	}
	f.update(info)
	size, known := f.known()
	d.tree.fileAttributes(&out.Attr, info, size)
	d.tree.setTimeouts(ctx, d, info, out)
	if !known {
		out.SetAttrTimeout(0)
	}
	return node
}

// subdirectory answers the lookup of a directory.
func (d *dir) subdirectory(
	ctx context.Context, name, file string, info Info, ino uint64, out *fuse.EntryOut,
) *fs.Inode {
	d.tree.attributes(&out.Attr, info, keepDir)
	d.tree.setTimeouts(ctx, d, info, out)
	id := fs.StableAttr{Mode: syscall.S_IFDIR, Ino: ino}
	if node := d.GetChild(name); node != nil && node.StableAttr() == id {
		return node
	}
	return d.NewInode(ctx, &dir{tree: d.tree, above: d, path: file}, id)
}

var _ = (fs.NodeGetattrer)((*dir)(nil))

// Getattr answers the attributes of the source's directory. Its mtime is what the kernel's copy of
// the listing hangs on.
func (d *dir) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	info, errno := d.stat(ctx, d.path)
	if errno != 0 {
		return errno
	}
	d.tree.attributes(&out.Attr, info, keepDir)
	if !d.tree.circle && (d.above == nil || d.above.public(ctx)) {
		out.SetTimeout(timeout)
	}
	return 0
}

// stat looks at the directory by a path of it, for who makes the request.
func (d *dir) stat(ctx context.Context, path string) (Info, syscall.Errno) {
	patient, done := caller.Patience(d.tree.ctx, ctx)
	defer done()
	info, err := d.tree.source.Stat(patient, d.tree.caller(ctx), path)
	switch {
	case err != nil:
		return info, answer.Errno(err)
	case !info.Dir():
		return info, syscall.ENOENT
	}
	return info, 0
}

var _ = (fs.NodeAccesser)((*dir)(nil))

// Access lets those in who may search the source's directory, or list it.
func (d *dir) Access(ctx context.Context, mask uint32) syscall.Errno {
	if errno := readOnlyAccess(mask); errno != 0 || d.tree.caller(ctx) == nil {
		return errno
	}
	if mask&accessRead != 0 {
		if errno := d.mayList(ctx); errno != 0 {
			return errno
		}
	}
	path := d.path
	if mask&accessExecute != 0 {
		path += "/."
	}
	_, errno := d.stat(ctx, path)
	return errno
}

// mayList reports why the caller may not list the directory.
func (d *dir) mayList(ctx context.Context) syscall.Errno {
	patient, done := caller.Patience(d.tree.ctx, ctx)
	defer done()
	return answer.Errno(d.tree.source.CheckDir(patient, d.tree.caller(ctx), d.path))
}

// public reports whether what the directory says of its files may be told to anybody.
func (d *dir) public(ctx context.Context) bool {
	return !d.tree.shared || d.tree.source.Public(ctx, d.path)
}

var _ = (fs.NodeOpendirHandler)((*dir)(nil))

// OpendirHandle leaves it to the kernel whether to ask for the listing or to use the one it kept,
// if that serves well.
func (d *dir) OpendirHandle(ctx context.Context, _ uint32) (fs.FileHandle, uint32, syscall.Errno) {
	who := d.tree.caller(ctx)
	if who != nil {
		if errno := d.mayList(ctx); errno != 0 {
			return nil, 0, errno
		}
	}
	info, errno := d.stat(ctx, d.path)
	if errno != 0 {
		return nil, 0, errno
	}
	l := &listing{dir: d, who: who}
	if time.Since(info.MTime) < racy || d.tree.onError != ShowError { // which is about the images
		return l, 0, 0
	}
	if !d.habits.Keep(timeout) {
		// Errors do no harm: the kernel then uses what it kept, if it kept anything.
		_ = d.NotifyContent(0, 0)
	}
	return l, fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE, 0
}
