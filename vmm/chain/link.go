package chain

import (
	"context"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/vmm/files"
	"instarfs/vmm/gate"
)

// A symbolic link to something in the tree is shown as a link: whoever follows it goes the whole
// way himself, so that no directory on it can be passed over. One to an image in a directory that
// is allowed is shown as that image. Other links do not exist.

// statLink describes the link that f holds.
// reader is nil or somebody who could follow it, or is told nothing of where it leads.
func (s *Source) statLink(
	ctx context.Context, who *Caller, reader *gate.User, p string, f *files.File,
) (Info, error) {
	target, err := s.engine.host.ReadLink(ctx, f)
	if err != nil {
		return Info{}, err
	}
	st := &f.Stat
	if link, ok := relink(s.tree, p, target); ok {
		return Info{
			Mode: st.Mode, UID: st.Uid, GID: st.Gid, MTime: time.Unix(st.Mtim.Unix()),
			Generation: s.options.generation(identity(st), false), Link: link, LinkType: s.linkType(ctx, reader, p, f),
		}, nil
	}
	to, err := s.follow(ctx, reader, p, f)
	if err != nil {
		return Info{}, err
	}
	defer to.Close()
	i := s.info(ctx, who, p, &to.Stat, to.List)
	i.Alone = false // the way to it is not the way to the link
	return i, nil
}

// linkType is the type of what the owner of a link and its reader reach in the tree by it.
func (s *Source) linkType(ctx context.Context, reader *gate.User, p string, f *files.File) uint32 {
	to, err := s.target(ctx, reader, p, f, nil)
	if err != nil {
		return 0
	}
	defer to.Close()
	return to.Stat.Mode & unix.S_IFMT
}

// target finds what the link at p, which f holds, leads to in the tree or in roots. Both its owner
// and its reader must be able to follow it: who owns it says what is shown, and not more than a
// reader can find out by himself.
func (s *Source) target(
	ctx context.Context, reader *gate.User, p string, f *files.File, roots []*files.Tree,
) (*files.File, error) {
	h := s.engine.host
	if reader != nil {
		seen, err := h.Find(ctx, reader, s.place(p), roots, true)
		if err != nil {
			return nil, err
		}
		seen.Close()
	}
	return h.Find(ctx, s.engine.rightsOf(&f.Stat), s.place(p), roots, true)
}

// anybody is a user of whom nothing is known.
var anybody = &gate.User{UID: 65534, GID: 65534, Above: true}

// linkReader is who must be able to follow a link that is looked up for somebody.
func linkReader(who *Caller) *gate.User {
	switch {
	case who == nil || !gate.CanBecome():
		return nil
	case who.Known:
		return who.user()
	}
	return anybody
}

// listReader is who must be able to follow a link that is listed: the kernel shows a listing that
// it keeps to all who may list the directory.
func (e *Engine) listReader() *gate.User {
	if e.access.Shared && gate.CanBecome() {
		return anybody
	}
	return nil
}

// follow finds the regular file in an allowed directory that a link leads to.
func (s *Source) follow(
	ctx context.Context, reader *gate.User, p string, f *files.File,
) (*files.File, error) {
	e := s.engine
	if e.access.References == None {
		return nil, unix.ENOENT
	}
	to, err := s.target(ctx, reader, p, f, e.access.Allow)
	if err != nil {
		return nil, unix.ENOENT
	}
	if to.Stat.Mode&unix.S_IFMT != unix.S_IFREG {
		to.Close()
		return nil, unix.ENOENT
	}
	return to, nil
}

// relink is the target of the link at p, if it stays in the tree, as a target that leads to the
// same file of any directory that mirrors the tree.
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

// staysBeneath reports whether a relative target, seen from a directory of a tree, never leads
// above it by its names.
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
