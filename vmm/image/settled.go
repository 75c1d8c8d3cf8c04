package image

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// quiet is how long ago a file must have changed before it is read. The kernel notes the time of a
// write before it copies the bytes, and its clock has ticks of some milliseconds: a read that comes
// too soon may miss bytes of the identity that it is kept for. No write of a disk image's metadata
// takes longer.
const quiet = 30 * time.Millisecond

// WaitForWriter waits until everything that is read from now on belongs to the identity that the
// file has: later changes will show in its times. A write that is under way, however long it takes,
// holds the file's lock, for which lseek(2) waits on most file systems. The error is the cause of
// ctx.
func (f *File) WaitForWriter(ctx context.Context) error {
	_, _ = call(ctx, f, func() (int64, error) { return f.Seek(0, unix.SEEK_DATA) })
	wait := unsettled(&f.st, time.Now())
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// unsettled is how long after now a change of the file may still leave the times that it has in st.
// Both times count: programs set the first, and some file systems lack the second. A time in the
// future means nothing, but after a whole tick no change can have the old one.
func unsettled(st *unix.Stat_t, now time.Time) time.Duration {
	last := time.Unix(st.Mtim.Unix())
	if ctime := time.Unix(st.Ctim.Unix()); ctime.After(last) {
		last = ctime
	}
	limit := tick(st) + quiet
	return min(limit-now.Sub(last), limit)
}

// tick is the resolution of a file's times, as far as they show it; 0 is less than quiet. Where
// only whole seconds are stored (ext4 with inodes of 128 bytes, ext3, FAT with two seconds, servers
// of NFS, SFTP and SMB that have such a disk), both times have no nanoseconds. With a better clock
// the kernel's own time has some, except once in a billion.
func tick(st *unix.Stat_t) time.Duration {
	mtime, ctime := st.Mtim, st.Ctim
	switch {
	case mtime.Nsec != 0 || ctime.Nsec != 0:
		return 0
	case mtime.Sec%2 == 0 && ctime.Sec%2 == 0:
		return 2 * time.Second
	}
	return time.Second
}
