package inode

import "github.com/hanwen/go-fuse/v2/fuse"

// narrow shows numbers that fit into 32 bits in the attributes of files. The kernel knows an inode
// by another number, so two files with the same one are two files still.
type narrow struct{ fuse.RawFileSystem }

// NewNarrow returns a file system whose attributes have the numbers that Narrow makes.
func NewNarrow(to fuse.RawFileSystem) fuse.RawFileSystem { return narrow{to} }

// Lookup implements fuse.RawFileSystem.
func (n narrow) Lookup(
	cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut,
) fuse.Status {
	status := n.RawFileSystem.Lookup(cancel, in, name, out)
	if status.Ok() {
		out.Ino = Narrow(out.Ino)
	}
	return status
}

// GetAttr implements fuse.RawFileSystem.
func (n narrow) GetAttr(
	cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut,
) fuse.Status {
	status := n.RawFileSystem.GetAttr(cancel, in, out)
	if status.Ok() {
		out.Ino = Narrow(out.Ino)
	}
	return status
}
