package fusefs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"instarfs/fusefs/answer"
	"instarfs/fusefs/caller"
	"instarfs/fusefs/inode"
	"instarfs/fusefs/view"
)

// listing is an open directory. go-fuse calls it under a lock of the handle.
type listing struct {
	dir    *dir
	who    *Caller // who opened it
	loaded bool
	items  []item
	next   int
}

// item is a name in a listing.
type item struct {
	name string
	path string    // in the source
	view view.View // 0: a directory, or a link to one
	mode uint32    // type bits of st_mode
	info *Info     // what a stat said when the listing was made; nil if nothing
	ino  uint64
}

// items are the names that a directory shows to who, in the order of the source.
func (d *dir) items(ctx context.Context, who *Caller) ([]item, syscall.Errno) {
	entries, err := d.tree.source.ReadDir(ctx, who, d.path)
	switch {
	case errors.Is(err, syscall.ESTALE): // which is EIO for a map
		return nil, syscall.ESTALE
	case err != nil:
		return nil, answer.Errno(err)
	}
	images := make(map[string]bool, len(entries))
	for _, e := range entries {
		if e.Type != syscall.S_IFDIR {
			images[e.Name] = true
		}
	}
	items := make([]item, 0, len(view.Listed)*len(entries))
	for i := range entries {
		e := &entries[i]
		if d.above == nil && e.Name == reportsName {
			continue
		}
		if e.Hidden != "" {
			d.tellHidden(e.Name, e.Hidden)
			continue
		}
		first := item{path: path.Join(d.path, e.Name), mode: e.Type}
		if e.Known {
			first.info = &e.Info
		}
		image, _, hidden := view.Split(e.Name)
		switch {
		case e.Type == syscall.S_IFREG, e.Info.LinkType == syscall.S_IFREG,
			!e.Known && e.Type != syscall.S_IFDIR:
			if d.tree.names.Image(first.path, e.Info.Device) && d.fits(e.Name, first.path) {
				for _, v := range view.Listed {
					first.name, first.view = e.Name+v.String(), v
					items = append(items, first)
				}
			}
		case e.Type == syscall.S_IFLNK && e.Info.LinkType != syscall.S_IFDIR:
			d.tellHidden(e.Name, "it is a symbolic link that leads to nothing that is shown")
		case d.tree.names.Dir(first.path) && !(hidden && images[image]):
			first.name = e.Name
			items = append(items, first)
		}
	}
	return items, 0
}

// tellHidden says, once, why a file that is taken for an image by its name is not shown.
func (d *dir) tellHidden(name, why string) {
	file := path.Join(d.path, name)
	if d.tree.names.Image(file, false) {
		err := fmt.Errorf("%s is not shown: %s", file, why)
		d.tree.log.Once(file, Generation{}, err.Error())
		d.tree.outcome(file, 0, err)
	}
}

// fits reports whether the names of all listed views of an image are short enough for the kernel.
func (d *dir) fits(name, path string) bool {
	for _, v := range view.Listed {
		if len(name)+len(v.String()) > view.NameMax {
			d.tree.log.Once(path, Generation{}, fmt.Sprintf(
				"%s is not shown: with %s its name would exceed %d bytes; rename it",
				path, v, view.NameMax))
			return false
		}
	}
	return true
}

// load makes the listing, in the order of inode numbers. These are hashes, and fts(3), which is
// find, sorts large directories by them: twice the time for a listing that is in another order.
func (l *listing) load(ctx context.Context) syscall.Errno {
	if l.loaded {
		return 0
	}
	patient, done := caller.Patience(l.dir.tree.ctx, ctx)
	defer done()
	items, errno := l.dir.items(patient, l.who)
	if errno != 0 {
		return errno
	}
	if l.dir.tree.onError != ShowError {
		items = l.dir.sift(patient, l.who, items)
		if patient.Err() != nil {
			return syscall.EINTR
		}
	}
	for n := range items {
		i := &items[n]
		var g Generation
		if i.info != nil {
			g = i.info.Generation
		}
		i.ino = inode.Number(i.path, byte(i.view), g, 0)
	}
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.ino, b.ino) })
	dots := []item{{name: ".", mode: syscall.S_IFDIR}, {name: "..", mode: syscall.S_IFDIR}}
	l.loaded, l.items = true, append(dots, items...)
	return 0
}

var _ = (fs.FileReaddirenter)((*listing)(nil))

// Readdirent returns the next name, nil at the end.
func (l *listing) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if errno := l.load(ctx); errno != 0 {
		return nil, errno
	}
	if l.next == len(l.items) {
		return nil, 0
	}
	i := l.items[l.next]
	l.next++
	ino := l.dir.tree.number(i.ino)
	return &fuse.DirEntry{Name: i.name, Ino: ino, Mode: i.mode, Off: uint64(l.next)}, 0
}

var _ = (fs.FileSeekdirer)((*listing)(nil))

// Seekdir goes on behind the item of that offset; 0 reads the directory anew, see rewinddir(3).
func (l *listing) Seekdir(ctx context.Context, off uint64) syscall.Errno {
	if off == 0 {
		l.loaded = false
	}
	if errno := l.load(ctx); errno != 0 {
		return errno
	}
	if off > uint64(len(l.items)) {
		return syscall.EINVAL
	}
	l.next = int(off)
	return 0
}

var _ = (fs.FileLookuper)((*listing)(nil))

// Lookup answers READDIRPLUS, mostly for the name that was read last. Of what is not for everybody,
// or not known, it answers nothing, which is no error there: the kernel looks such names up one by
// one.
func (l *listing) Lookup(
	ctx context.Context, name string, out *fuse.EntryOut,
) (*fs.Inode, syscall.Errno) {
	if l.next == 0 || l.items[l.next-1].name != name {
		return l.dir.Lookup(ctx, name, out)
	}
	i := l.items[l.next-1]
	if l.who != nil || i.info == nil || i.view == view.Reason {
		return nil, syscall.ENOENT
	}
	switch {
	case i.view == 0 && i.info.Link != "":
		return l.dir.link(ctx, i.path, i.info.Link, 0, *i.info, out), 0
	case i.view == 0:
		return l.dir.subdirectory(ctx, name, i.path, *i.info, i.ino, out), 0
	case i.info.Link != "":
		if target := view.OfLink(i.info.Link, i.view); target != "" {
			return l.dir.link(ctx, i.path, target, i.view, *i.info, out), 0
		}
		return nil, syscall.ENOENT
	}
	if _, ok := l.dir.tree.source.Cached(i.path, i.info.Generation); !ok {
		// The size would have to be asked for anyway. Most who list a directory do not, and need no
		// inode for each name.
		return nil, syscall.ENOENT
	}
	node := l.dir.view(ctx, name, i.path, i.view, *i.info, i.ino, out)
	if l.dir.habits.Listed(name) {
		out.SetEntryTimeout(0)
	}
	return node, 0
}
