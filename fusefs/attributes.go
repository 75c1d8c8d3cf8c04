package fusefs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Override is what a mount shows in place of what the source says. Who has access is then for the
// kernel to decide by what is shown: not the images, but whoever mounts says who may read a map.
type Override struct {
	UID, GID *uint32 // owner and group of everything
	// The permission bits that files and directories do not have; they have all others.
	FileMask, DirMask *uint32
}

// Used reports whether something is overridden.
func (o *Override) Used() bool { return *o != Override{} }

// Nobody can write in the mount, but copies keep the modes, and their owner must be able to replace
// and remove them.
const (
	keepFile = 0644
	keepDir  = 0755
)

// attributes fills in what a stat of the source says, or what is shown in its place. A map tells
// about allocation, so its file is never more accessible than the image: the image's owner and
// group, and of its mode what keep leaves.
func (t *tree) attributes(out *fuse.Attr, i Info, keep uint32) {
	out.Mode = i.Mode & (syscall.S_IFMT | keep)
	out.Owner = fuse.Owner{Uid: i.UID, Gid: i.GID}
	out.Nlink = 1
	out.SetTimes(&i.MTime, &i.MTime, &i.CTime)
	o := &t.override
	switch {
	case i.Dir() && o.DirMask != nil:
		out.Mode = syscall.S_IFDIR | 0o777&^*o.DirMask
	case i.Regular() && o.FileMask != nil:
		out.Mode = syscall.S_IFREG | 0o666&^*o.FileMask
	}
	if o.UID != nil {
		out.Uid = *o.UID
	}
	if o.GID != nil {
		out.Gid = *o.GID
	}
}

// fileAttributes is attributes for a view of a known size.
func (t *tree) fileAttributes(out *fuse.Attr, i Info, size int64) {
	t.attributes(out, i, keepFile)
	out.Size = uint64(size)
	// 512-byte blocks as du counts them: content exists in memory at most, but a size without
	// blocks looks like a hole.
	out.Blocks = (out.Size + 511) / 512
	out.Blksize = 4096
}
