package fusefs

import (
	"context"
	"os"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"instarfs/fusefs/inode"
	"instarfs/fusefs/report"
)

// reportsName is the name of the directory in the root with what the mount says of itself. No
// listing shows it: who copies a mount does not copy that. It hides one of that name in the source.
const reportsName = ".instarfs"

// reports answers a lookup of that directory.
func (d *dir) reports(ctx context.Context, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if len(d.tree.reports) == 0 {
		return nil, syscall.ENOENT
	}
	number := func(name string) uint64 {
		return inode.Number(reportsName+"/"+name, 0, Generation{}, 0)
	}
	node := d.GetChild(reportsName)
	if node == nil {
		r := report.NewDir(d.tree.reports, uint32(os.Geteuid()), uint32(os.Getegid()), number)
		node = d.NewPersistentInode(ctx, r, fs.StableAttr{Mode: syscall.S_IFDIR, Ino: number("")})
	}
	var a fuse.AttrOut
	errno := node.Operations().(*report.Dir).Getattr(ctx, nil, &a)
	out.Attr = a.Attr
	return node, errno
}
