package fusefs

import (
	"context"
	"syscall"
	"time"

	"instarfs/fusefs/caller"
	"instarfs/fusefs/inode"
	"instarfs/fusefs/view"
	"instarfs/guest/extent"
)

// Generation identifies the content of an image and of every layer under it: equal generations have
// equal maps. Of a directory it identifies the directory itself, not what is in it.
type Generation [2]uint64

// Info is what a stat of the source tells.
type Info struct {
	// st_mode: type and permission bits, no wider than what the file allows to whole classes of
	// users
	Mode     uint32
	UID, GID uint32
	// Of an image: the newest of its known layers, if the caller may read them all. MTime moves
	// whenever the map may have changed.
	MTime, CTime time.Time
	Generation   Generation
	// Of a symbolic link to something in the tree: its target, relative to its directory, and the
	// type bits of what the owner of the link reaches by it, 0 if nothing.
	Link     string
	LinkType uint32
	Device   bool // it is a block device, or a link to one: an image whatever its name
	Alone    bool // no other file is under the image, for certain: who may read it may have its map
}

// Regular reports whether the file can be an image.
func (i Info) Regular() bool { return i.Mode&syscall.S_IFMT == syscall.S_IFREG }

// Dir reports whether it is a directory.
func (i Info) Dir() bool { return i.Mode&syscall.S_IFMT == syscall.S_IFDIR }

// Caller is who makes a request: see package caller.
type Caller = caller.Caller

// Entry is a name in a directory of the source.
type Entry struct {
	Name  string
	Type  uint32 // the type bits of st_mode: S_IFREG, S_IFDIR or S_IFLNK
	Known bool   // Info is set; else there is such a file, and no more could be found out
	Info  Info
	// Hidden is why there is no such file, although it may be meant as an image; empty for others.
	Hidden string
}

// Source is the tree that is mirrored. Paths are slash separated, relative to its root, and clean;
// the root is ".". All methods may be called by many goroutines, and end soon after their context
// does. Errors carry an errno by a method Errno() syscall.Errno or by wrapping a syscall.Errno;
// others are EIO.
//
// A Caller is who asks: what he may not see of the source is an error, that which he would get
// there. Nil is who may see all that the source's own process sees.
type Source interface {
	// ReadDir lists what Stat describes in a directory, sorted by name.
	ReadDir(ctx context.Context, who *Caller, dir string) ([]Entry, error)
	// CheckDir is the error of a ReadDir, without the listing.
	CheckDir(ctx context.Context, who *Caller, dir string) error
	// Stat describes a regular file, a directory, or a symbolic link to something in the tree;
	// everything else is ENOENT. It never runs a guest: it is what a listing of ten thousand images
	// does ten thousand times.
	Stat(ctx context.Context, who *Caller, path string) (Info, error)
	// Public reports whether everybody may search a directory: what it says of its files need not
	// be kept from anybody then.
	Public(ctx context.Context, dir string) bool
	// Cached returns the map of that generation of an image if it is at hand. It never runs a
	// guest. The generation may be one that the image no longer has. Who may have the map is for
	// Check to say.
	Cached(path string, g Generation) (*extent.Map, bool)
	// Check reports why who may not have the map of a generation of an image, or nobody may now. It
	// never runs a guest; known is false when the map is not at hand any more, and so nothing is
	// said of files under the image.
	Check(ctx context.Context, who *Caller, path string, g Generation) (known bool, err error)
	// Map returns the map of an image as it is now, if who may have it, and the generation that it
	// is the map of: the one that Stat reports as long as the image stays as it is. It runs a guest
	// if need be. The text of an error is one line for who asked: what was tried, on which file,
	// why, what to do. Of a failure the generation is that which failed, or zero. Those who ask for
	// the same image at the same time share one run, which goes on for a moment when the last of
	// them has left.
	Map(ctx context.Context, who *Caller, path string) (*extent.Map, Generation, error)
}

// Rendering is the content of one view of one map. Equal maps have equal renderings.
type Rendering = inode.Content

// Render makes a view of a map, JSON or Text. It is cheap after the first time for a map; it fails
// where the view cannot express the map.
type Render func(m *extent.Map, v view.View) (Rendering, error)
