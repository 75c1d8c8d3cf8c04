package source

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/vmm/chain"
	"instarfs/vmm/files"
)

// Info is what a stat of a tree says.
type Info struct {
	Mode     uint32 // st_mode, narrowed to what whole classes of users may do, see files.Narrow
	UID, GID uint32
	// MTime and CTime are those of a directory or link. Of an image both are the newest of all
	// times of it and of its known layers, if the caller may read them all: a file that takes the
	// place of another may have an older mtime, and has a newer ctime. See Options.OwnTimes.
	MTime, CTime time.Time
	// Generation identifies the map of an image. For a directory or link it says which one it is.
	Generation chain.Generation
	Link       string // the target of a symbolic link that stays in the tree
	LinkType   uint32 // the type bits of what the owner of the link reaches by it, 0 if nothing
	Device     bool   // it is a block device, or a link to one
	Alone      bool   // no other file is under this image, which is known once it was mapped
}

// info returns what a stat by who says of an image or directory.
func (s *Source) info(
	ctx context.Context, who *files.Caller, p string, st *unix.Stat_t, list []byte,
) Info {
	i := Info{
		Mode: files.Narrow(st.Mode&^unix.S_IFMT, list) | shownType(st.Mode),
		UID:  st.Uid, GID: st.Gid,
		MTime: time.Unix(st.Mtim.Unix()), CTime: time.Unix(st.Ctim.Unix()),
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		i.Generation = s.options.FileGeneration(st)
		return i
	}
	i.Device = st.Mode&unix.S_IFMT == unix.S_IFBLK
	known := s.engine.Known(ctx, s.mapping(p), s.label(p), s.place(p), st)
	i.Generation, i.Alone = known.Generation, known.Alone
	if !s.options.OwnTimes {
		i.newest(st)
	}
	if known.Err != nil {
		i.Mode &^= 0o444 // there is no map for anybody
	}
	hidden := s.engine.CheckRights(ctx, who, known.Members) != nil
	for n := range known.Members {
		m := &known.Members[n]
		if !hidden && !s.options.OwnTimes {
			i.newest(&m.Stat)
		}
		i.Mode = shared(&i, &m.Stat)
		if open, err := s.host.OpenToAll(ctx, m.At, 0); !open || err != nil {
			i.Mode &^= 0o444
		}
	}
	return i
}

// newest takes over the times of a file that decides on the map, where they are newer.
func (i *Info) newest(st *unix.Stat_t) {
	for _, t := range []unix.Timespec{st.Mtim, st.Ctim} {
		if t := time.Unix(t.Unix()); t.After(i.MTime) {
			i.MTime = t
		}
	}
	i.CTime = i.MTime
}

// shared returns the mode of a map that shows another file too: what a class of the image's users
// may read of both for certain.
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
