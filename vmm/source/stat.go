package source

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/vmm/files"
	"instarfs/vmm/gate"
)

// Stat describes an image, a directory, or a symbolic link to something in the tree. It never runs
// a guest. Everything else is unix.ENOENT.
func (s *Source) Stat(ctx context.Context, who *files.Caller, p string) (Info, error) {
	return s.stat(ctx, who, linkReader(who), p)
}

// stat is Stat, where a link shows only what reader can find out too.
func (s *Source) stat(
	ctx context.Context, who *files.Caller, reader *gate.User, p string,
) (Info, error) {
	f, err := s.find(ctx, who, p)
	if err != nil {
		return Info{}, err
	}
	defer f.Close()
	switch t := f.Stat.Mode & unix.S_IFMT; {
	case t == unix.S_IFLNK:
		return s.statLink(ctx, who, reader, p, f)
	case t == unix.S_IFDIR, s.admit(f):
		return s.info(ctx, who, p, &f.Stat, f.List), nil
	}
	return Info{}, unix.ENOENT
}

// statLink describes the link that f holds. It shows where the link leads only if reader can follow
// it; nil is this process.
func (s *Source) statLink(
	ctx context.Context, who *files.Caller, reader *gate.User, p string, f *files.File,
) (Info, error) {
	target, err := s.host.ReadLink(ctx, f)
	if err != nil {
		return Info{}, err
	}
	st := &f.Stat
	if link, ok := relink(s.tree, p, target); ok {
		to := s.linkType(ctx, reader, p, f)
		return Info{
			Mode: st.Mode, UID: st.Uid, GID: st.Gid,
			MTime: time.Unix(st.Mtim.Unix()), CTime: time.Unix(st.Ctim.Unix()),
			Generation: s.options.LinkGeneration(st),
			Link:       link, LinkType: shownType(to), Device: to == unix.S_IFBLK,
		}, nil
	}
	to, err := s.linkedImage(ctx, reader, p, f)
	if err != nil {
		return Info{}, err
	}
	defer to.Close()
	i := s.info(ctx, who, p, &to.Stat, to.List)
	i.Alone = false // the way to it is not the way to the link
	return i, nil
}
