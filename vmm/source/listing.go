package source

import (
	"context"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/vmm/files"
)

// DirEntry is a name in a directory of the tree.
type DirEntry struct {
	Name  string
	Type  uint32 // the type bits of the mode
	Known bool   // Info is set; otherwise there is such a file, and no more could be found out
	Info  Info
	// Hidden is why Stat and Map know no such file, although it may be meant as an image; empty for
	// all that they know.
	Hidden string
}

// listTime is how long a listing looks at the files that images name and at the targets of links,
// all together. They may lie on a file system that does not answer, and names can be listed without
// them.
const listTime = time.Second

// ReadDir lists what Stat describes in a directory, and what is hidden, sorted by name. A caller
// may list what it may read.
func (s *Source) ReadDir(ctx context.Context, who *files.Caller, dir string) ([]DirEntry, error) {
	f, err := s.openDir(ctx, who, dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := s.names(ctx, who, f)
	if err != nil {
		return nil, err
	}
	entries, err := s.statFiles(ctx, f, names)
	if err != nil {
		return nil, err
	}
	aside, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	list := make([]DirEntry, 0, len(entries))
	for _, e := range entries {
		p := path.Join(dir, e.name)
		var i Info
		if e.hidden != "" {
			list = append(list, DirEntry{Name: e.name, Type: e.mode, Hidden: e.hidden})
			continue
		}
		if e.mode == unix.S_IFLNK {
			i, err = s.stat(aside, nil, s.listReader(), p)
			if err == unix.ENOENT { // nothing that is shown, or it vanished
				list = append(list, DirEntry{Name: e.name, Type: e.mode, Hidden: deadLink})
				continue
			}
			e.known = err == nil && aside.Err() == nil
		} else if e.known {
			i = s.info(aside, nil, p, &e.st, e.list)
			e.known = i.Alone || aside.Err() == nil
		}
		if e.known {
			list = append(list,
				DirEntry{Name: e.name, Type: i.Mode & unix.S_IFMT, Known: true, Info: i})
		} else {
			list = append(list, DirEntry{Name: e.name, Type: shownType(e.mode)})
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return list, nil
}

// deadLink says why a link is not shown.
const deadLink = "it is a symbolic link that leads to no file or directory below the source"

// CheckDir reports why who may not list a directory.
func (s *Source) CheckDir(ctx context.Context, who *files.Caller, dir string) error {
	f, err := s.openDir(ctx, who, dir)
	if err == nil {
		f.Close()
	}
	return err
}

// openDir finds a directory, and checks that who may list it.
func (s *Source) openDir(ctx context.Context, who *files.Caller, dir string) (*files.File, error) {
	f, err := s.find(ctx, who, dir)
	if err != nil {
		return nil, err
	}
	switch {
	case f.Stat.Mode&unix.S_IFMT != unix.S_IFDIR:
		f.Close()
		return nil, unix.ENOTDIR
	case f.Stat.Nlink == 0:
		// It was removed, which only the root of the tree can be here. Linux lists nothing then:
		// who keeps a copy of the mount would empty it.
		f.Close()
		return nil, unix.ESTALE
	}
	if err := s.host.CheckUnknown(ctx, who, s.place(dir), 0o555); err != nil {
		f.Close()
		return nil, err
	}
	if who == nil {
		return f, nil // reading it will show
	}
	if err := s.host.MayList(ctx, who.User(), f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
