package fusefs

import (
	"context"
	"io"
	"syscall"
	"time"

	"instarfs/guest/extent"
)

// Generation identifies the content of an image and of every layer under it: equal generations have equal maps. Of a
// directory it identifies the directory itself, not what is in it.
type Generation [2]uint64

// Info is what a stat of the source tells.
type Info struct {
	Mode       uint32 // st_mode: type and permission bits
	UID, GID   uint32
	MTime      time.Time // of an image: the newest of its known layers
	Generation Generation
}

// Regular reports whether the file can be an image.
func (i Info) Regular() bool { return i.Mode&syscall.S_IFMT == syscall.S_IFREG }

// Dir reports whether it is a directory.
func (i Info) Dir() bool { return i.Mode&syscall.S_IFMT == syscall.S_IFDIR }

// Entry is a name in a directory of the source.
type Entry struct {
	Name string
	Mode uint32 // the type bits of st_mode: S_IFREG or S_IFDIR
}

// Source is the tree that is mirrored. Paths are slash separated, relative to its root, and clean; the root is ".".
// Symbolic links to regular files that stay beneath the root count as regular files, other links do not exist. All methods
// may be called by many goroutines. Errors carry an errno by a method Errno() syscall.Errno or by wrapping a
// syscall.Errno; others are EIO.
type Source interface {
	// ReadDir lists a directory: regular files and directories, sorted by name.
	ReadDir(dir string) ([]Entry, error)
	// Stat describes a regular file or directory; everything else is ENOENT. It never runs a guest: it is what a listing
	// of ten thousand images does ten thousand times.
	Stat(path string) (Info, error)
	// Cached returns the map of that generation of an image if it is at hand. It never runs a guest. The generation may
	// be one that the image no longer has.
	Cached(path string, g Generation) (*extent.Map, bool)
	// Map returns the map of an image as it is now, and the generation that it is the map of: the one that Stat reports as
	// long as the image stays as it is. It runs a guest if need be. The text of an error is one line for a person: what
	// was tried, on which file, why, what to do. Of a failure the generation is that which failed, or zero. Those who ask
	// for the same image at the same time share one run, which goes on for a moment when the last of them has left.
	Map(ctx context.Context, path string) (*extent.Map, Generation, error)
}

// Rendering is the content of one view of one map. Equal maps have equal renderings.
type Rendering interface {
	Size() int64 // in bytes
	io.ReaderAt
}

// Render makes a view of a map, JSON or Text. It is cheap after the first time for a map; it fails where the view cannot
// express the map.
type Render func(m *extent.Map, v View) (Rendering, error)
