// Package report shows what a mount says of itself: a directory of files whose content is made when
// they are opened. It knows nothing of what they say.
package report

import (
	"context"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Report is a file.
type Report struct {
	Name string
	// Private is one that only root and the user of this process may read.
	Private bool
	Text    func() []byte
}

// Dir is the directory.
type Dir struct {
	fs.Inode
	uid, gid uint32 // of who mounted
	reports  []Report
	number   func(name string) uint64
}

// NewDir returns a directory of reports for a mount of a user. number returns the inode number of a
// file in it.
func NewDir(reports []Report, uid, gid uint32, number func(name string) uint64) *Dir {
	return &Dir{uid: uid, gid: gid, reports: reports, number: number}
}

var _ = (fs.NodeOnAdder)((*Dir)(nil))

// OnAdd makes the files, when the directory has a place.
func (d *Dir) OnAdd(ctx context.Context) {
	for i := range d.reports {
		f := &file{dir: d, report: &d.reports[i]}
		id := fs.StableAttr{Mode: syscall.S_IFREG, Ino: d.number(f.report.Name)}
		d.AddChild(f.report.Name, d.NewPersistentInode(ctx, f, id), true)
	}
}

var _ = (fs.NodeGetattrer)((*Dir)(nil))

// Getattr implements fs.NodeGetattrer.
func (d *Dir) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = syscall.S_IFDIR | 0o555
	out.Nlink = 1
	out.Owner = fuse.Owner{Uid: d.uid, Gid: d.gid}
	return 0
}

// file is a report. Its size is that of what it would say now, and of what it said when it was
// opened once somebody reads.
type file struct {
	fs.Inode
	dir    *Dir
	report *Report
}

func (f *file) mode() uint32 {
	if f.report.Private {
		return syscall.S_IFREG | 0o400
	}
	return syscall.S_IFREG | 0o444
}

var _ = (fs.NodeGetattrer)((*file)(nil))

// Getattr implements fs.NodeGetattrer.
func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = f.mode()
	out.Nlink = 1
	out.Owner = fuse.Owner{Uid: f.dir.uid, Gid: f.dir.gid}
	out.Size = uint64(len(f.report.Text()))
	now := time.Now()
	out.SetTimes(&now, &now, &now)
	return 0
}

var _ = (fs.NodeAccesser)((*file)(nil))

// Access implements fs.NodeAccesser.
func (f *file) Access(ctx context.Context, mask uint32) syscall.Errno {
	const write, read = 2, 4
	switch {
	case mask&write != 0:
		return syscall.EROFS
	case mask&read != 0 && !f.mayRead(ctx):
		return syscall.EACCES
	}
	return 0
}

// mayRead reports whether who makes a request may read the report.
func (f *file) mayRead(ctx context.Context) bool {
	if !f.report.Private {
		return true
	}
	who, ok := fuse.FromContext(ctx)
	return ok && (who.Uid == 0 || who.Uid == f.dir.uid)
}

var _ = (fs.NodeOpener)((*file)(nil))

// Open makes the report.
func (f *file) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY || flags&syscall.O_TRUNC != 0 {
		return nil, 0, syscall.EROFS
	}
	if !f.mayRead(ctx) {
		return nil, 0, syscall.EACCES
	}
	// Not through the page cache: each reader gets what is true when it opens the file.
	return &handle{f.report.Text()}, fuse.FOPEN_DIRECT_IO, 0
}

// handle is an open report.
type handle struct{ text []byte }

var _ = (fs.FileReader)((*handle)(nil))

// Read implements fs.FileReader.
func (h *handle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	from := min(max(off, 0), int64(len(h.text)))
	return fuse.ReadResultData(h.text[from:min(from+int64(len(dest)), int64(len(h.text)))]), 0
}
