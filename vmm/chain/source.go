package chain

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/cache"
	"instarfs/guest/extent"
)

// Source is a tree of images that are all mapped with the same options. It is safe for concurrent use.
type Source struct {
	*Tree
	engine  *Engine
	options Options
}

// NewSource maps the images of a tree.
func NewSource(t *Tree, e *Engine, o Options) *Source { return &Source{t, e, o} }

// Info is what a stat of a tree tells.
type Info struct {
	Mode       uint32 // st_mode
	UID, GID   uint32
	MTime      time.Time
	Generation Generation // of a directory: which one it is
}

// Stat describes a regular file or directory. It never runs a guest. Everything else is unix.ENOENT.
func (s *Source) Stat(p string) (Info, error) {
	st, err := s.stat(p)
	if err != nil {
		return Info{}, err
	}
	if t := st.Mode & unix.S_IFMT; t != unix.S_IFREG && t != unix.S_IFDIR {
		return Info{}, unix.ENOENT
	}
	id := identity(&st)
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		id = cache.Identity{Dev: id.Dev, Ino: id.Ino} // the same directory, whatever is in it
	}
	return Info{
		Mode: st.Mode, UID: st.Uid, GID: st.Gid, MTime: time.Unix(st.Mtim.Unix()), Generation: s.options.generation(id),
	}, nil
}

// Cached returns the map of a generation of an image if it is at hand.
func (s *Source) Cached(p string, g Generation) (*extent.Map, bool) {
	r, ok := s.engine.maps.Get(key{g, s.label(p)})
	if !ok {
		return nil, false
	}
	return r.Map, r.Failed == nil
}

// Map returns the map of an image as it is now, and the generation that it is the map of.
func (s *Source) Map(ctx context.Context, p string) (*extent.Map, Generation, error) {
	r, g, err := s.engine.mapOpened(ctx, s.label(p), s.options, func() (int, error) { return s.openImage(p) })
	if err != nil {
		return nil, g, err
	}
	if r.Failed != nil {
		return nil, g, failure(s.label(p), r.Failed) // half a map is no file
	}
	return r.Map, g, nil
}

// openImage opens a regular file beneath the tree. What a path names is looked at before it is opened: to open a device
// may already do something, and it is not what the owner of the tree put up to be mapped.
func (s *Source) openImage(p string) (int, error) {
	path, err := s.open(p, unix.O_PATH)
	if err != nil {
		return -1, err
	}
	defer unix.Close(path)
	var st unix.Stat_t
	if err := unix.Fstat(path, &st); err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1, ErrNotRegular
	}
	return unix.Open(procFD(path), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}
