package image

import "golang.org/x/sys/unix"

// Flags of struct fiemap_extent in linux/fiemap.h.
const (
	fiemapLast   = 1 << 0  // FIEMAP_EXTENT_LAST
	fiemapMerged = 1 << 12 // FIEMAP_EXTENT_MERGED
)

// onExt4 reports whether a file lies on ext4, where FIEMAP and lseek(2) tell of the same extents,
// of those that are neither delayed nor unwritten. Other file systems have holes of which only one
// of the two tells.
func onExt4(fd int) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(fd, &st) == nil && st.Type == unix.EXT4_SUPER_MAGIC
}

// spansOfExtents returns the spans from byte off on of a file of size bytes that has extents
// there. all says that there are no more of them before limit. The list ends at an extent of which
// lseek(2) might say something else: whether it is data depends on the page cache.
func spansOfExtents(extents []fiemapExtent, off, limit, size uint64, all bool) (list []Span) {
	pos, last := off, false
	for _, e := range extents {
		end := e.logical + e.length
		if last || e.flags&^(fiemapLast|fiemapMerged) != 0 || end < e.logical || end <= pos ||
			pos >= size {
			return list
		}
		if e.logical > pos {
			list = append(list, Span{Hole: true, End: e.logical})
		}
		pos, last = min(end, size), e.flags&fiemapLast != 0
		if n := len(list); n > 0 && !list[n-1].Hole {
			list[n-1].End = pos
		} else {
			list = append(list, Span{End: pos})
		}
	}
	switch {
	case last:
		list = append(list, Span{Hole: true, End: endOfTime})
	case all && pos < limit:
		list = append(list, Span{Hole: true, End: limit})
	}
	return list
}
