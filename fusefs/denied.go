package fusefs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"instarfs/fusefs/answer"
	"instarfs/fusefs/caller"
	"instarfs/fusefs/inode"
	"instarfs/fusefs/view"
)

// deniedFile is a view for those who may not have it. An inode has one size for all who see it, so
// they see another inode: it has none, cannot be opened, and the kernel asks again each time
// whether a name means it.
type deniedFile struct {
	fs.Inode
	readOnly
	tree  *tree
	image string
	view  view.View
	info  Info
}

// forDenied tells the inode for all who may not have a view from the one for those who may.
const forDenied = 1

// denied answers a lookup by somebody who may not have the view.
func (d *dir) denied(
	ctx context.Context, image string, v view.View, info Info, out *fuse.EntryOut,
) *fs.Inode {
	f := &deniedFile{tree: d.tree, image: image, view: v, info: info}
	d.tree.fileAttributes(&out.Attr, info, 0)
	ino := inode.Number(image, byte(v), info.Generation, forDenied)
	return d.NewInode(ctx, f, fs.StableAttr{Mode: syscall.S_IFREG, Ino: ino})
}

var _ = (fs.NodeGetattrer)((*deniedFile)(nil))

// Getattr answers a size of 0: whoever lists a directory is not to be bothered.
func (f *deniedFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.tree.fileAttributes(&out.Attr, f.info, 0)
	return 0
}

var _ = (fs.NodeOpener)((*deniedFile)(nil))

// Open refuses, unless the name was looked up for one and is opened by another who may.
func (f *deniedFile) Open(
	ctx context.Context, flags uint32,
) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := readOnlyOpen(flags); errno != 0 {
		return nil, 0, errno
	}
	again := f.tree.stale.Take(staleKey(ctx, f.image, f.view))
	patient, done := caller.Patience(f.tree.ctx, ctx)
	defer done()
	_, err := f.tree.source.Check(patient, f.tree.caller(ctx), f.image, f.info.Generation)
	if err == nil && !again && f.tree.stale.Note(staleKey(ctx, f.image, f.view)) {
		return nil, 0, syscall.ESTALE
	}
	if err != nil && !answer.MayNot(err) {
		return nil, 0, answer.Errno(err)
	}
	return nil, 0, syscall.EACCES
}

var _ = (fs.NodeAccesser)((*deniedFile)(nil))

// Access refuses reading.
func (f *deniedFile) Access(_ context.Context, mask uint32) syscall.Errno {
	if errno := readOnlyAccess(mask); errno != 0 || mask == accessExists {
		return errno
	}
	return syscall.EACCES
}
