package chain

import (
	"context"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/vmm/files"
)

// A symbolic link to something in the tree is shown as a link: whoever follows it goes the whole way himself, so that no directory
// on it can be passed over. One to an image in a directory that is allowed is shown as that image. Other links do not exist.

// statLink describes the link that f holds.
func (s *Source) statLink(ctx context.Context, who *Caller, p string, f *files.File) (Info, error) {
	target, err := s.engine.gate.ReadLink(ctx, f)
	if err != nil {
		return Info{}, err
	}
	st := &f.Stat
	if link, ok := relink(s.tree, p, target); ok {
		return Info{
			Mode: st.Mode, UID: st.Uid, GID: st.Gid, MTime: time.Unix(st.Mtim.Unix()),
			Generation: s.options.generation(identity(st), false), Link: link, LinkType: s.linkType(ctx, p, f),
		}, nil
	}
	to, err := s.follow(ctx, p, f)
	if err != nil {
		return Info{}, err
	}
	defer to.Close()
	i := s.info(ctx, who, p, &to.Stat, to.List)
	i.Alone = false // the way to it is not the way to the link
	return i, nil
}

// linkType is the type of what the owner of a link reaches in the tree by it.
func (s *Source) linkType(ctx context.Context, p string, f *files.File) uint32 {
	to, err := s.engine.gate.Find(ctx, s.engine.rightsOf(&f.Stat), s.place(p), nil, true)
	if err != nil {
		return 0
	}
	defer to.Close()
	return to.Stat.Mode & unix.S_IFMT
}

// follow finds the regular file in an allowed directory that a link leads to, with the rights of the link's owner.
func (s *Source) follow(ctx context.Context, p string, f *files.File) (*files.File, error) {
	e := s.engine
	if e.access.References == None {
		return nil, unix.ENOENT
	}
	to, err := e.gate.Find(ctx, e.rightsOf(&f.Stat), s.place(p), e.access.Allow, true)
	if err != nil {
		return nil, unix.ENOENT
	}
	if to.Stat.Mode&unix.S_IFMT != unix.S_IFREG {
		to.Close()
		return nil, unix.ENOENT
	}
	return to, nil
}

// relink is the target of the link at p, if it stays in the tree, as a target that leads to the same file of any directory that
// mirrors the tree.
func relink(t *files.Tree, p, target string) (string, bool) {
	dir := path.Dir(p)
	if !filepath.IsAbs(target) && staysBeneath(dir, target) {
		return target, target != ""
	}
	abs := target
	if !filepath.IsAbs(target) {
		abs = files.Place{Tree: t, Path: dir}.Real() + "/" + target
	}
	to, ok := t.Inside(filepath.Clean(abs))
	if !ok {
		return "", false
	}
	link, err := filepath.Rel("/"+dir, "/"+to)
	return link, err == nil
}

// staysBeneath reports whether a relative target, seen from a directory of a tree, never leads above it by its names.
func staysBeneath(dir, target string) bool {
	depth := 0
	if dir != "." {
		depth = strings.Count(dir, "/") + 1
	}
	for _, name := range strings.Split(target, "/") {
		switch name {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return false
			}
		default:
			depth++
		}
	}
	return true
}
