package fusefs

import (
	"context"
	"fmt"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// listing is an open directory. go-fuse calls it under a lock of the handle.
type listing struct {
	dir    *dir
	loaded bool
	items  []item
	next   int
	ino    uint64 // of the item that was read last
	// What was looked at last: READDIRPLUS looks up what it just read, and the two views of an image follow each other.
	last Info
	path string
	err  error
}

// item is a name in a listing.
type item struct {
	name string
	path string // in the source
	view View   // 0: a directory
}

// items are the names that a directory shows, in the order of the source.
func (d *dir) items() ([]item, syscall.Errno) {
	entries, err := d.tree.source.ReadDir(d.path)
	if err != nil {
		return nil, errnoOf(err)
	}
	files := make(map[string]bool, len(entries))
	for _, e := range entries {
		if e.Mode&syscall.S_IFMT == syscall.S_IFREG {
			files[e.Name] = true
		}
	}
	items := make([]item, 0, len(listed)*len(entries))
	for _, e := range entries {
		path := join(d.path, e.Name)
		switch {
		case files[e.Name]:
			if d.tree.names.image(path) && d.fits(e.Name, path) {
				for _, v := range listed {
					items = append(items, item{name: e.Name + v.String(), path: path, view: v})
				}
			}
		case d.tree.names.dir(path):
			if image, _, ok := splitName(e.Name); !ok || !files[image] {
				items = append(items, item{name: e.Name, path: path})
			}
		}
	}
	return items, 0
}

// fits reports whether the names of an image's views are short enough for the kernel.
func (d *dir) fits(name, path string) bool {
	if len(name)+len(JSON.String()) <= nameMax {
		return true
	}
	d.tree.log.once(path, Generation{}, fmt.Sprintf("%s is not shown: with %s its name would exceed %d bytes; rename it",
		path, JSON, nameMax))
	return false
}

// stat describes the file behind an item.
func (l *listing) stat(path string) (Info, error) {
	if l.path != path {
		l.path = path
		l.last, l.err = l.dir.tree.source.Stat(path)
	}
	return l.last, l.err
}

func (l *listing) load() syscall.Errno {
	if l.loaded {
		return 0
	}
	items, errno := l.dir.items()
	if errno != 0 {
		return errno
	}
	l.loaded, l.items = true, append([]item{{name: "."}, {name: ".."}}, items...)
	return 0
}

var _ = (fs.FileReaddirenter)((*listing)(nil))

// Readdirent returns the next name, nil at the end.
func (l *listing) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	if errno := l.load(); errno != 0 {
		return nil, errno
	}
	for l.next < len(l.items) {
		i := l.items[l.next]
		l.next++
		e := fuse.DirEntry{Name: i.name, Mode: syscall.S_IFDIR, Off: uint64(l.next)}
		if i.path == "" {
			return &e, 0
		}
		info, err := l.stat(i.path)
		if err != nil || info.Dir() != (i.view == 0) {
			continue // it vanished, or became something else, since the directory was read
		}
		if i.view != 0 {
			e.Mode = syscall.S_IFREG
		}
		l.ino = inode(i.path, i.view, info.Generation, 0)
		e.Ino = l.ino
		return &e, 0
	}
	return nil, 0
}

var _ = (fs.FileSeekdirer)((*listing)(nil))

// Seekdir goes on behind the item of that offset; 0 reads the directory anew, see rewinddir(3).
func (l *listing) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off == 0 {
		l.loaded, l.path = false, ""
	}
	if errno := l.load(); errno != 0 {
		return errno
	}
	if off > uint64(len(l.items)) {
		return syscall.EINVAL
	}
	l.next = int(off)
	return 0
}

var _ = (fs.FileLookuper)((*listing)(nil))

// Lookup answers READDIRPLUS, mostly for the name that was read last.
func (l *listing) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if l.next == 0 {
		return l.dir.Lookup(ctx, name, out)
	}
	i := l.items[l.next-1]
	if i.name != name || i.path != l.path || l.err != nil {
		return l.dir.Lookup(ctx, name, out)
	}
	if i.view == 0 {
		return l.dir.subdirectory(ctx, name, i.path, l.last, l.ino, out), 0
	}
	node := l.dir.view(ctx, name, i.path, i.view, l.last, l.ino, out)
	if l.dir.habits.listed(name) {
		out.SetEntryTimeout(0)
	}
	return node, 0
}
