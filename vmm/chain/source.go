package chain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/cache"
	"instarfs/guest/extent"
	"instarfs/vmm/files"
	"instarfs/vmm/gate"
)

// Source is a tree of images that are all mapped with the same options. Paths are slash separated
// and relative to the tree. Everything is done with the rights of a Caller, see caller.go. It is
// safe for concurrent use.
type Source struct {
	tree    *files.Tree
	engine  *Engine
	options Options
}

// NewSource maps the images of a tree.
func NewSource(t *files.Tree, e *Engine, o Options) *Source { return &Source{t, e, o} }

// Info is what a stat of a tree tells.
type Info struct {
	Mode       uint32 // st_mode, narrowed to what whole classes of users may do, see files.Narrow
	UID, GID   uint32
	MTime      time.Time  // of an image: the newest of its known layers, if who asks may read them all
	Generation Generation // of a directory or link: which one it is
	Link       string     // of a symbolic link that stays in the tree: its target
	LinkType   uint32     // the type bits of what the owner of the link reaches by it, 0 if nothing
	Alone      bool       // no other file is under this image, which is known once it was mapped
}

func (s *Source) place(p string) files.Place { return files.Place{Tree: s.tree, Path: p} }

func (s *Source) label(p string) string { return s.tree.Label(p) }

// Stat describes a regular file, a directory, or a symbolic link to something in the tree. It never
// runs a guest. Everything else is unix.ENOENT.
func (s *Source) Stat(ctx context.Context, who *Caller, p string) (Info, error) {
	return s.stat(ctx, who, linkReader(who), p)
}

// stat is Stat, where a link says only what reader can find out too.
func (s *Source) stat(
	ctx context.Context, who *Caller, reader *gate.User, p string,
) (Info, error) {
	f, err := s.find(ctx, who, p, false)
	if err != nil {
		return Info{}, err
	}
	defer f.Close()
	switch f.Stat.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return s.statLink(ctx, who, reader, p, f)
	case unix.S_IFREG, unix.S_IFDIR:
		return s.info(ctx, who, p, &f.Stat, f.List), nil
	}
	return Info{}, unix.ENOENT
}

// find finds what a path names, as somebody. What lies outside does not exist.
func (s *Source) find(ctx context.Context, who *Caller, p string, follow bool) (*files.File, error) {
	f, err := s.engine.host.Find(ctx, who.user(), s.place(p), nil, follow)
	if errors.Is(err, files.ErrOutside) {
		err = unix.ENOENT
	}
	if err != nil {
		return nil, err
	}
	if err := s.engine.seen(ctx, who, s.place(p)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// info is what a stat by somebody says of a regular file or directory.
func (s *Source) info(
	ctx context.Context, who *Caller, p string, st *unix.Stat_t, list []byte,
) Info {
	i := Info{Mode: files.Narrow(st.Mode, list), UID: st.Uid, GID: st.Gid, MTime: time.Unix(st.Mtim.Unix())}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		i.Generation = s.sameFile(st)
		return i
	}
	i.Generation = s.options.generation(identity(st), dmg(p))
	v, _ := s.engine.maps.Peek(key{generation: i.Generation})
	switch {
	case v.layer == nil:
	case len(v.layer.References) > 0:
		s.under(ctx, who, p, st, &i)
	default:
		i.Alone = true
	}
	return i
}

// sameFile is the generation of what has no content of its own: which file it is, whatever is in
// it.
func (s *Source) sameFile(st *unix.Stat_t) Generation {
	return s.options.generation(cache.Identity{Dev: st.Dev, Ino: st.Ino}, false)
}

// under adds to what is known of an image what is known of the files under it.
func (s *Source) under(ctx context.Context, who *Caller, p string, st *unix.Stat_t, i *Info) {
	top := &image{gate: s.engine.host.Gate, fd: -1, name: s.label(p), st: *st}
	top.held.Store(1)
	c := &chain{engine: s.engine, options: s.options, nodes: []*node{{image: top, at: s.place(p)}}}
	defer c.close()
	// An error is part of the generation, and told when the image is mapped.
	if err := c.follow(ctx, s.engine.seer()); err != nil {
		i.Mode &^= 0o444 // there is no map for anybody
	}
	i.Generation, i.Alone = c.reached, false
	hidden := s.engine.mayRead(ctx, who, c.steps(), false) != nil
	for _, n := range c.files()[1:] {
		if t := time.Unix(n.st.Mtim.Unix()); t.After(i.MTime) && !hidden {
			i.MTime = t
		}
		i.Mode = shared(i, &n.st)
		if open, err := s.engine.openToAll(ctx, n.at, 0); !open || err != nil {
			i.Mode &^= 0o444
		}
	}
}

// shared is the mode of a map that shows another file too: what a class of the image's users may
// read of both for certain.
func shared(i *Info, st *unix.Stat_t) uint32 {
	const user, group, other = 0o400, 0o040, 0o004
	may := func(bits uint32) bool { return st.Mode&bits == bits }
	mode := i.Mode
	if i.UID == st.Uid && !may(user) || i.UID != st.Uid && !may(group|other) {
		mode &^= user
	}
	if !may(user|group) || i.GID != st.Gid && !may(other) {
		mode &^= group
	}
	if !may(user | group | other) {
		mode &^= other
	}
	return mode
}

// Cached returns the map of a generation of an image if it is at hand. Who may have it, Check
// tells.
func (s *Source) Cached(p string, g Generation) (*extent.Map, bool) {
	name := s.label(p)
	if v, _ := s.engine.maps.Get(key{generation: g}); v.layer != nil && len(v.layer.References) == 0 {
		r, err := v.layer.result(name)
		if err != nil || r.Failed != nil {
			return nil, false
		}
		return r.Map, true
	}
	v, _ := s.engine.maps.Get(key{g, name})
	if v.result == nil || v.result.Failed != nil {
		return nil, false
	}
	return v.result.Map, true
}

// Map returns the map of an image as it is now, and the generation that it is the map of.
func (s *Source) Map(ctx context.Context, who *Caller, p string) (*extent.Map, Generation, error) {
	r, g, err := s.engine.mapOpened(ctx, s.label(p), s.options, who, func() (*node, error) { return s.openImage(ctx, who, p) })
	if err != nil {
		return nil, g, err
	}
	if r.Failed != nil {
		return nil, g, failure(s.label(p), r.Failed) // half a map is no file
	}
	return r.Map, g, nil
}

// openImage opens a regular file of the tree, as somebody.
func (s *Source) openImage(ctx context.Context, who *Caller, p string) (*node, error) {
	f, u, err := s.findImage(ctx, who, p)
	if err != nil {
		return nil, err
	}
	n, err := s.engine.openFound(ctx, u, f, s.place(p), s.label(p))
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return n, nil
}

// lookAt opens a regular file of the tree, as somebody, and gives it to look.
func (s *Source) lookAt(ctx context.Context, who *Caller, p string, look func(fd int) error) error {
	f, u, err := s.findImage(ctx, who, p)
	if err != nil {
		return err
	}
	return s.engine.host.Look(ctx, u, f, look)
}

// findImage finds a regular file of the tree, which who may read or which is to be opened with the
// rights of u. A link leads to a file in a directory that is allowed, as far as the owner of the
// link could follow it: where a link to a file in the tree leads is for the reader of the mount to
// find out.
func (s *Source) findImage(ctx context.Context, who *Caller, p string) (f *files.File, u *gate.User, err error) {
	if f, err = s.find(ctx, who, p, false); err != nil {
		return nil, nil, fmt.Errorf("open: %w", err)
	}
	if f.Stat.Mode&unix.S_IFMT == unix.S_IFLNK {
		link := f
		f, err = s.follow(ctx, linkReader(who), p, link)
		link.Close()
		if err != nil {
			return nil, nil, err
		}
		err = s.engine.read(ctx, who, s.place(p), &f.Stat, nil)
	} else {
		u = who.user()
		err = s.engine.everybody(ctx, who, s.place(p), 0o444)
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("open: %w", err)
	}
	return f, u, nil
}

// errnoOf takes the error number out of what package os wraps it in, path and all.
func errnoOf(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
