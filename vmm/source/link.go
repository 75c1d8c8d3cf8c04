package source

import (
	"context"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"instarfs/vmm/files"
	"instarfs/vmm/gate"
)

// A symbolic link to something in the tree is shown as a link: the caller who follows it goes the
// whole way, and passes over no directory on it. A link to an image in an allowed directory is
// shown as that image. Other links do not exist.

// anybody is a user of whom nothing is known.
var anybody = &gate.User{UID: 65534, GID: 65534, Above: true}

// linkReader returns who must be able to follow a link that is looked up for who; nil is this
// process.
func linkReader(who *files.Caller) *gate.User {
	switch {
	case who == nil || !gate.CanBecome():
		return nil
	case who.Known:
		return who.User()
	}
	return anybody
}

// listReader returns who must be able to follow a link that is listed: the kernel shows a listing
// that it keeps to all who may list the directory.
func (s *Source) listReader() *gate.User {
	if s.options.Shared && gate.CanBecome() {
		return anybody
	}
	return nil
}

// linkTarget finds what the link at p, which f holds, leads to in the tree or in roots. Both its
// owner and reader must be able to follow it: the owner decides what is shown, and no more than a
// reader can find out anyway.
func (s *Source) linkTarget(
	ctx context.Context, reader *gate.User, p string, f *files.File, roots []*files.Tree,
) (*files.File, error) {
	if reader != nil {
		seen, err := s.host.Find(ctx, reader, s.place(p), roots, true)
		if err != nil {
			return nil, err
		}
		seen.Close()
	}
	return s.host.Find(ctx, s.host.RightsOf(&f.Stat), s.place(p), roots, true)
}

// linkType returns the type of what the owner of a link and its reader reach in the tree by it, 0
// if that is nothing that is shown.
func (s *Source) linkType(
	ctx context.Context, reader *gate.User, p string, f *files.File,
) uint32 {
	to, err := s.linkTarget(ctx, reader, p, f, nil)
	if err != nil {
		return 0
	}
	defer to.Close()
	if t := to.Stat.Mode & unix.S_IFMT; t == unix.S_IFDIR || s.admit(to) {
		return t
	}
	return 0
}

// linkedImage finds the image in an allowed directory that a link leads to.
func (s *Source) linkedImage(
	ctx context.Context, reader *gate.User, p string, f *files.File,
) (*files.File, error) {
	policy := &s.host.Policy
	if policy.References == files.None {
		return nil, unix.ENOENT
	}
	to, err := s.linkTarget(ctx, reader, p, f, policy.Allow)
	if err != nil {
		return nil, unix.ENOENT
	}
	if !s.admit(to) {
		to.Close()
		return nil, unix.ENOENT
	}
	return to, nil
}

// relink returns the target of the link at p, if it stays in the tree, as a target that leads to
// the same file from any directory that mirrors the tree.
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
