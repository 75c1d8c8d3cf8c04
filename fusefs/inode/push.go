package inode

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
)

// smallContent is how many bytes are handed over at once: a map of a few dozen extents, which
// spares its reader a request.
const smallContent = 4096

// PushSize tells the kernel the size of content, by storing its last byte in the page cache of
// node, or all of it.
func PushSize(node *fs.Inode, content Content) syscall.Errno {
	size := content.Size()
	from := size - 1
	switch {
	case size == 0:
		return 0
	case size <= smallContent:
		from = 0
	}
	buf := make([]byte, size-from)
	if n, _ := content.ReadAt(buf, from); n != len(buf) {
		return syscall.EIO
	}
	return node.WriteCache(from, buf)
}
