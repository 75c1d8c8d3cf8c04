package fusefs

import (
	"context"
	"strings"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"instarfs/fusefs/answer"
	"instarfs/fusefs/caller"
	"instarfs/fusefs/view"
	"instarfs/guest/show"
)

// reasonFile is NAME.map.err: the line that says why an image cannot be mapped or shown in one of
// its views, empty when it can. A failure may pass while the image stays the same, so every lookup
// makes an inode of its own, and the first request that needs the content fixes it.
type reasonFile struct {
	fs.Inode
	readOnly
	tree  *tree
	who   *Caller // who looked the name up: the text is for nobody else
	image string
	info  Info

	mu    sync.Mutex
	bound bool
	text  string
}

// content is the file's text. It runs a guest if need be; the only error is that the wait was
// interrupted.
func (f *reasonFile) content(ctx context.Context) (string, syscall.Errno) {
	if !f.who.Is(f.tree.caller(ctx)) {
		return "", syscall.ESTALE // which has the name looked up for this caller
	}
	f.mu.Lock()
	bound, text := f.bound, f.text
	f.mu.Unlock()
	if bound {
		return text, 0
	}
	patient, done := caller.Patience(f.tree.ctx, ctx)
	defer done()
	err := f.failure(patient)
	if answer.Errno(err) == syscall.EINTR {
		return "", syscall.EINTR
	}
	if err != nil {
		text = show.Line(err.Error()) + "\n"
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.bound {
		f.bound, f.text = true, text
	}
	return f.text, 0
}

// failure is what keeps the image from being shown, nil if nothing does.
func (f *reasonFile) failure(ctx context.Context) error {
	m, g, err := f.tree.mapOf(ctx, f.who, f.image, f.info.Generation)
	if err != nil {
		return err
	}
	for _, v := range view.Listed {
		if _, err := f.tree.render(f.image, v, m, g); err != nil {
			return err
		}
	}
	return nil
}

var _ = (fs.NodeGetattrer)((*reasonFile)(nil))

// Getattr answers the exact size.
func (f *reasonFile) Getattr(
	ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut,
) syscall.Errno {
	text, errno := f.content(ctx)
	if errno != 0 {
		return errno
	}
	f.tree.fileAttributes(&out.Attr, f.info, int64(len(text)))
	out.SetTimeout(timeout)
	return 0
}

var _ = (fs.NodeOpener)((*reasonFile)(nil))

// Open answers a handle on the text.
func (f *reasonFile) Open(
	ctx context.Context, flags uint32,
) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := readOnlyOpen(flags); errno != 0 {
		return nil, 0, errno
	}
	text, errno := f.content(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	return f.tree.openHandle(&f.Inode, strings.NewReader(text), func() {})
}
