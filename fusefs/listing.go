package fusefs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
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
}

// item is a name in a listing.
type item struct {
	name string
	path string // in the source
	view View   // 0: a directory
	// What a stat said when the listing was made.
	info *Info
	ino  uint64
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

// load makes the listing, in the order of inode numbers. These are hashes, and fts(3), which is find, sorts large
// directories by them: twice the time for a listing that is in another order.
func (l *listing) load() syscall.Errno {
	if l.loaded {
		return 0
	}
	items, errno := l.dir.items()
	if errno != 0 {
		return errno
	}
	known := items[:0]
	var last item // the views of an image follow each other
	for _, i := range items {
		if i.path != last.path {
			last = i
			last.info = nil
			if info, err := l.dir.tree.source.Stat(i.path); err == nil && info.Dir() == (i.view == 0) {
				last.info = &info
			}
		}
		if i.info = last.info; i.info != nil { // else it vanished, or became something else, since the directory was read
			i.ino = inode(i.path, i.view, i.info.Generation, 0)
			known = append(known, i)
		}
	}
	slices.SortFunc(known, func(a, b item) int { return cmp.Compare(a.ino, b.ino) })
	l.loaded, l.items = true, append([]item{{name: "."}, {name: ".."}}, known...)
	return 0
}

var _ = (fs.FileReaddirenter)((*listing)(nil))

// Readdirent returns the next name, nil at the end.
func (l *listing) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	if errno := l.load(); errno != 0 {
		return nil, errno
	}
	if l.next == len(l.items) {
		return nil, 0
	}
	i := l.items[l.next]
	l.next++
	e := fuse.DirEntry{Name: i.name, Ino: i.ino, Mode: syscall.S_IFDIR, Off: uint64(l.next)}
	if i.view != 0 {
		e.Mode = syscall.S_IFREG
	}
	return &e, 0
}

var _ = (fs.FileSeekdirer)((*listing)(nil))

// Seekdir goes on behind the item of that offset; 0 reads the directory anew, see rewinddir(3).
func (l *listing) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off == 0 {
		l.loaded = false
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
	if l.next == 0 || l.items[l.next-1].name != name {
		return l.dir.Lookup(ctx, name, out)
	}
	i := l.items[l.next-1]
	if i.view == 0 {
		return l.dir.subdirectory(ctx, name, i.path, *i.info, i.ino, out), 0
	}
	node := l.dir.view(ctx, name, i.path, i.view, *i.info, i.ino, out)
	if l.dir.habits.listed(name) {
		out.SetEntryTimeout(0)
	}
	return node, 0
}
