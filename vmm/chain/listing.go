package chain

import (
	"context"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/vmm/files"
	"instarfs/vmm/gate"
)

// DirEntry is a name in a directory of the tree.
type DirEntry struct {
	Name  string
	Type  uint32 // the type bits of the mode
	Known bool   // Info is set; else there is such a file, and no more could be found out
	Info  Info
}

// listTime is how long a listing looks at files that images name and at what links lead to, all
// together: these may lie on a file system that does not answer, and a name can be listed without.
const listTime = time.Second

// ReadDir lists what Stat describes in a directory, sorted by name. Who may list it is who may read
// it.
func (s *Source) ReadDir(ctx context.Context, who *Caller, dir string) ([]DirEntry, error) {
	f, err := s.openDir(ctx, who, dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := s.engine.names(ctx, who, f)
	if err != nil {
		return nil, err
	}
	entries, err := s.engine.statFiles(ctx, f, names)
	if err != nil {
		return nil, err
	}
	aside, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	list := make([]DirEntry, 0, len(entries))
	for _, e := range entries {
		p := path.Join(dir, e.name)
		var i Info
		if e.mode == unix.S_IFLNK {
			i, err = s.stat(aside, nil, s.engine.listReader(), p)
			if err == unix.ENOENT {
				continue // nothing that is shown, or it vanished
			}
			e.known = err == nil && aside.Err() == nil
		} else if e.known {
			i = s.info(aside, nil, p, &e.st, e.list)
			e.known = i.Alone || aside.Err() == nil
		}
		if e.known {
			list = append(list, DirEntry{e.name, i.Mode & unix.S_IFMT, true, i})
		} else {
			list = append(list, DirEntry{Name: e.name, Type: e.mode})
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return list, nil
}

// CheckDir reports why who may not list a directory.
func (s *Source) CheckDir(ctx context.Context, who *Caller, dir string) error {
	f, err := s.openDir(ctx, who, dir)
	if err == nil {
		f.Close()
	}
	return err
}

// openDir finds a directory that who may list.
func (s *Source) openDir(ctx context.Context, who *Caller, dir string) (*files.File, error) {
	f, err := s.find(ctx, who, dir, false)
	if err != nil {
		return nil, err
	}
	if f.Stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		f.Close()
		return nil, unix.ENOTDIR
	}
	if err := s.engine.everybody(ctx, who, s.place(dir), 0o555); err != nil {
		f.Close()
		return nil, err
	}
	if who == nil {
		return f, nil // to read it will show
	}
	if err := s.engine.host.MayList(ctx, who.user(), f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// name is a name in a directory.
type name struct {
	name  string
	mode  uint32 // type bits of st_mode
	known bool   // st and list are set
	st    unix.Stat_t
	list  []byte
}

// names reads the names of a directory and their types, in order: those of regular files,
// directories and links.
func (e *Engine) names(ctx context.Context, who *Caller, f *files.File) ([]name, error) {
	held, err := f.Dup()
	if err != nil {
		return nil, err
	}
	on := gate.On{Device: f.Dev, User: who.user(), Release: held.Close}
	return gate.Do(ctx, e.host.Gate, on, nil, func() ([]name, error) {
		// Where a file system does not tell the types of entries, package os asks for each by this
		// name and its own.
		d, err := os.Open(files.ProcFD(held.FD))
		if err != nil {
			return nil, errnoOf(err)
		}
		defer d.Close()
		list, err := d.ReadDir(-1)
		if err != nil {
			return nil, errnoOf(err)
		}
		entries := make([]name, 0, len(list))
		for _, e := range list {
			switch e.Type() {
			case 0:
				entries = append(entries, name{name: e.Name(), mode: unix.S_IFREG})
			case os.ModeDir:
				entries = append(entries, name{name: e.Name(), mode: unix.S_IFDIR})
			case os.ModeSymlink:
				entries = append(entries, name{name: e.Name(), mode: unix.S_IFLNK})
			}
		}
		slices.SortFunc(entries, func(a, b name) int { return strings.Compare(a.name, b.name) })
		return entries, nil
	})
}

// statFiles looks at the files and directories in a directory, all in one call: ten thousand would
// take as many threads to wake. The result is without those that vanished. What is mounted there is
// left alone: its file system is another, and may not answer.
func (e *Engine) statFiles(ctx context.Context, f *files.File, names []name) ([]name, error) {
	held, err := f.Dup()
	if err != nil {
		return nil, err
	}
	on := gate.On{Device: f.Dev, Release: held.Close}
	return gate.Do(ctx, e.host.Gate, on, nil, func() ([]name, error) {
		left := make([]name, 0, len(names))
		for _, n := range names {
			if n.mode == unix.S_IFLNK {
				left = append(left, n)
				continue
			}
			if n.mode == unix.S_IFDIR && files.MountedAt(held.FD, n.name, f.Dev) {
				left = append(left, n)
				continue
			}
			err := unix.Fstatat(held.FD, n.name, &n.st, unix.AT_SYMLINK_NOFOLLOW)
			if err == unix.ENOENT || err == nil && n.st.Mode&unix.S_IFMT != n.mode {
				continue
			}
			n.known = err == nil
			if n.known {
				n.list, err = files.ListedAt(held.FD, n.name, n.st.Mode)
				n.known = err == nil
			}
			left = append(left, n)
		}
		return left, nil
	})
}
