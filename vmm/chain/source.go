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
	i := Info{Mode: st.Mode, UID: st.Uid, GID: st.Gid, MTime: time.Unix(st.Mtim.Unix())}
	id := identity(&st)
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		// The same directory, whatever is in it.
		i.Generation = s.options.generation(cache.Identity{Dev: id.Dev, Ino: id.Ino}, false)
		return i, nil
	}
	i.Generation = s.options.generation(id, dmg(p))
	if v, _ := s.engine.maps.Peek(key{generation: i.Generation}); v.layer != nil && len(v.layer.References) > 0 {
		s.under(p, &i)
	}
	return i, nil
}

// under adds to what is known of an image what is known of the files under it.
func (s *Source) under(p string, i *Info) {
	top, err := openToSee(place{s.Tree, "."}, p, s.label(p), &Access{})
	if err != nil {
		return
	}
	c := &chain{access: &s.engine.access, options: s.options, nodes: []*node{top}}
	defer c.close()
	// An error is part of the generation, and told when the image is mapped.
	_ = c.follow(s.engine.seer())
	i.Generation = c.reached
	for _, n := range append(c.nodes, c.others...) {
		if t := time.Unix(n.st.Mtim.Unix()); t.After(i.MTime) {
			i.MTime = t
		}
	}
}

// Cached returns the map of a generation of an image if it is at hand.
func (s *Source) Cached(p string, g Generation) (*extent.Map, bool) {
	name := s.label(p)
	if v, ok := s.engine.maps.Get(key{generation: g}); ok && len(v.layer.References) == 0 {
		r, err := v.layer.result(name)
		if err != nil || r.Failed != nil {
			return nil, false
		}
		return r.Map, true
	}
	v, ok := s.engine.maps.Get(key{g, name})
	if !ok || v.result.Failed != nil {
		return nil, false
	}
	return v.result.Map, true
}

// Map returns the map of an image as it is now, and the generation that it is the map of.
func (s *Source) Map(ctx context.Context, p string) (*extent.Map, Generation, error) {
	r, g, err := s.engine.mapOpened(ctx, s.label(p), place{s.Tree, p}, s.options, func() (int, error) { return s.openImage(p) })
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
	return reopen(path)
}
