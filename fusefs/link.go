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

// link is a symbolic link: to a directory as the source has it, or from the view of one image to
// the view of another. Who follows it goes the whole way by himself.
type link struct {
	fs.Inode
	readOnly
	tree   *tree
	path   string // in the source
	target string
	info   Info
}

// link answers the lookup of a link.
func (d *dir) link(
	ctx context.Context, file, target string, v view.View, info Info, out *fuse.EntryOut,
) *fs.Inode {
	l := &link{tree: d.tree, path: file, target: target, info: info}
	l.attributes(&out.Attr)
	d.tree.setTimeouts(ctx, d, info, out)
	return d.NewInode(ctx, l,
		fs.StableAttr{Mode: syscall.S_IFLNK, Ino: inode.Number(file, byte(v), info.Generation, 0)})
}

func (l *link) attributes(out *fuse.Attr) {
	l.tree.attributes(out, l.info, 0o777)
	out.Size = uint64(len(l.target))
}

var _ = (fs.NodeGetattrer)((*link)(nil))

// Getattr answers the attributes of the source's link.
func (l *link) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if errno := l.check(ctx); errno != 0 {
		return errno
	}
	l.attributes(&out.Attr)
	return 0
}

var _ = (fs.NodeReadlinker)((*link)(nil))

// Readlink answers the target.
func (l *link) Readlink(ctx context.Context) ([]byte, syscall.Errno) {
	if errno := l.check(ctx); errno != 0 {
		return nil, errno
	}
	return []byte(l.target), 0
}

// check reports why the caller may not see the link.
func (l *link) check(ctx context.Context) syscall.Errno {
	who := l.tree.caller(ctx)
	if who == nil {
		return 0
	}
	patient, done := caller.Patience(l.tree.ctx, ctx)
	defer done()
	_, err := l.tree.source.Stat(patient, who, l.path)
	return answer.Errno(err)
}
