package source

import (
	"context"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"instarfs/vmm/files"
	"instarfs/vmm/gate"
)

// name is a name in a directory.
type name struct {
	name  string
	mode  uint32 // type bits of st_mode
	known bool   // st and list are set
	st    unix.Stat_t
	list  []byte // see files.Narrow
	// hidden is why the name is not shown although it may be that of an image; empty for others
	hidden string
}

// aDevice says why a device is not shown.
const aDevice = "it is a block device; --include-devices lists it, and instarfs map prints its map"

// names returns the names in the directory that f holds, in order, and their types: those of
// regular files, directories and links, and those of block devices, which may be hidden.
func (s *Source) names(ctx context.Context, who *files.Caller, f *files.File) ([]name, error) {
	held, err := f.Dup()
	if err != nil {
		return nil, err
	}
	on := gate.On{Device: f.Dev, User: who.User(), Release: held.Close}
	return gate.Do(ctx, s.host.Gate, on, nil, func() ([]name, error) {
		// Where a file system does not say the types of entries, package os asks for each by this
		// name and its own.
		d, err := os.Open(files.ProcFD(held.FD))
		if err != nil {
			return nil, files.Errno(err)
		}
		defer d.Close()
		list, err := d.ReadDir(-1)
		if err != nil {
			return nil, files.Errno(err)
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
			case os.ModeDevice:
				n := name{name: e.Name(), mode: unix.S_IFBLK, hidden: aDevice}
				if s.options.Devices {
					n.hidden = ""
				}
				entries = append(entries, n)
			}
		}
		slices.SortFunc(entries, func(a, b name) int { return strings.Compare(a.name, b.name) })
		return entries, nil
	})
}

// statFiles calls stat(2) for the files and directories in the directory that f holds, all in one
// call: ten thousand calls would wake as many threads. The result is without the names that
// vanished. What is mounted there is left alone: its file system is another one, and may not
// answer.
func (s *Source) statFiles(ctx context.Context, f *files.File, names []name) ([]name, error) {
	held, err := f.Dup()
	if err != nil {
		return nil, err
	}
	on := gate.On{Device: f.Dev, Release: held.Close}
	return gate.Do(ctx, s.host.Gate, on, nil, func() ([]name, error) {
		left := make([]name, 0, len(names))
		for _, n := range names {
			if n.mode == unix.S_IFLNK || n.hidden != "" ||
				n.mode == unix.S_IFDIR && files.MountedAt(held.FD, n.name, f.Dev) {
				left = append(left, n)
				continue
			}
			err := unix.Fstatat(held.FD, n.name, &n.st, unix.AT_SYMLINK_NOFOLLOW)
			if err == unix.ENOENT || err == nil && n.st.Mode&unix.S_IFMT != n.mode {
				continue
			}
			n.known = err == nil
			if n.known {
				files.AgeDevice(&n.st)
				n.list, err = files.ListedAt(held.FD, n.name, n.st.Mode)
				n.known = err == nil
			}
			left = append(left, n)
		}
		return left, nil
	})
}
