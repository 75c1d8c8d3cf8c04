package fusefs

import (
	"context"
	"io"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"instarfs/fusefs/answer"
	"instarfs/fusefs/inode"
)

// handle is an open file. It holds its content until the last close, whatever becomes of the image.
type handle struct {
	tree    *tree
	content Rendering
	closed  func() // called when the kernel has let go of the handle
}

// openHandle makes the answer to an OPEN of node. The kernel may keep pages between opens: an inode
// whose content changes drops them. closed is called once, unless the answer is an error.
func (t *tree) openHandle(
	node *fs.Inode, content Rendering, closed func(),
) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := inode.PushSize(node, content); errno != 0 {
		return nil, 0, errno
	}
	t.open.Add(1)
	h := &handle{tree: t, content: content, closed: closed}
	return h, fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH, 0
}

var _ = (fs.FileReader)((*handle)(nil))

// Read renders straight into the buffer of the reply. The kernel asks for bytes past the end only
// while it takes a content for longer than it is, as after an inode shows another. It learns the
// end from a READ that is answered with less than was asked; no bytes at all would move the end to
// where that READ began.
func (h *handle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if off > h.content.Size() {
		return nil, syscall.EIO
	}
	n, err := h.content.ReadAt(dest, off)
	if err != nil && err != io.EOF {
		h.tree.log.Printf("read at %d: %v", off, err)
		return nil, answer.Errno(err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

var _ = (fs.FileReleaser)((*handle)(nil))

// Release is called after the last close, when no request for the handle is under way any more.
func (h *handle) Release(context.Context) syscall.Errno {
	h.closed()
	h.tree.open.Add(-1)
	return 0
}
