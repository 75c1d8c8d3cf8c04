package fusefs

import (
	"context"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// racy is how old the last change of a directory must be before the kernel may keep its listing. A later change within
// the same tick of the source's clock (1 to 10 ms; 2 s on FAT) would leave the mtime as it is, and the listing stale.
const racy = 3 * time.Second

// dir mirrors a directory of the source.
type dir struct {
	fs.Inode
	readOnly
	tree *tree
	path string // in the source

	habits habits

	mu       sync.Mutex
	mapping  bool      // the images of this directory are being mapped ahead
	mappedAt time.Time // when that last ended
	coldAt   time.Time // when an image was last opened that had to be mapped first
}

var _ = (fs.NodeLookuper)((*dir)(nil))

// Lookup finds a view or a directory. It never runs a guest.
func (d *dir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	d.habits.lookedUp(name)
	if image, v, ok := splitName(name); ok {
		info, err := d.tree.source.Stat(join(d.path, image))
		if err == nil && info.Regular() {
			file := join(d.path, image)
			return d.view(ctx, name, file, v, info, inode(file, v, info.Generation, 0), out), 0
		}
	}
	info, err := d.tree.source.Stat(join(d.path, name))
	switch {
	case err != nil:
		return nil, errnoOf(err)
	case !info.Dir():
		return nil, syscall.ENOENT
	}
	file := join(d.path, name)
	return d.subdirectory(ctx, name, file, info, inode(file, 0, info.Generation, 0), out), 0
}

// view answers the lookup of a view of an image.
func (d *dir) view(ctx context.Context, name, image string, v View, info Info, ino uint64, out *fuse.EntryOut) *fs.Inode {
	if v == reason {
		f := &reasonFile{tree: d.tree, image: image, info: info}
		fileAttributes(&out.Attr, info, 0)
		ino := inode(image, v, info.Generation, d.tree.reasons.Add(1))
		return d.NewInode(ctx, f, fs.StableAttr{Mode: syscall.S_IFREG, Ino: ino})
	}
	id := fs.StableAttr{Mode: syscall.S_IFREG, Ino: ino}
	var f *mapFile
	node := d.GetChild(name)
	if node != nil {
		f, _ = node.Operations().(*mapFile)
	}
	// What lies under an image is part of its generation, and unknown until the image is mapped: the inode stays the same then.
	if f == nil || node.StableAttr() != id && !f.has(info.Generation) {
		f = &mapFile{tree: d.tree, dir: d, image: image, view: v, info: info}
		node = d.NewInode(ctx, f, id)
	}
	f.update(info)
	size, known := f.known()
	fileAttributes(&out.Attr, info, size)
	out.SetEntryTimeout(timeout)
	if known {
		out.SetAttrTimeout(timeout)
	}
	return node
}

// subdirectory answers the lookup of a directory.
func (d *dir) subdirectory(ctx context.Context, name, file string, info Info, ino uint64, out *fuse.EntryOut) *fs.Inode {
	attributes(&out.Attr, info, keepDir)
	out.SetEntryTimeout(timeout)
	out.SetAttrTimeout(timeout)
	id := fs.StableAttr{Mode: syscall.S_IFDIR, Ino: ino}
	if node := d.GetChild(name); node != nil && node.StableAttr() == id {
		return node
	}
	return d.NewInode(ctx, &dir{tree: d.tree, path: file}, id)
}

var _ = (fs.NodeGetattrer)((*dir)(nil))

// Getattr answers the attributes of the source's directory. Its mtime is what the kernel's copy of the listing hangs on.
func (d *dir) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	info, err := d.tree.source.Stat(d.path)
	switch {
	case err != nil:
		return errnoOf(err)
	case !info.Dir():
		return syscall.ENOENT
	}
	attributes(&out.Attr, info, keepDir)
	out.SetTimeout(timeout)
	return 0
}

var _ = (fs.NodeOpendirHandler)((*dir)(nil))

// OpendirHandle leaves it to the kernel whether to ask for the listing or to use the one it kept, if that serves well.
func (d *dir) OpendirHandle(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	info, err := d.tree.source.Stat(d.path)
	switch {
	case err != nil:
		return nil, 0, errnoOf(err)
	case !info.Dir():
		return nil, 0, syscall.ENOENT
	}
	if time.Since(info.MTime) < racy {
		return &listing{dir: d}, 0, 0
	}
	if !d.habits.keep() {
		// Errors do no harm: the kernel then uses what it kept, if it kept anything.
		_ = d.NotifyContent(0, 0)
	}
	return &listing{dir: d}, fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE, 0
}
