package chain

import (
	"errors"

	"golang.org/x/sys/unix"

	"instarfs/guest/extent"
)

// holes tells where a file has data. *os.File's Seek would do, were it not for the errors it wraps on this path.
type holes interface {
	// Seek is lseek(2) with unix.SEEK_DATA or unix.SEEK_HOLE.
	Seek(off int64, whence int) (int64, error)
}

// regions remembers the run of data or the hole of the file that was looked at last: extents that follow each other in the
// file need one question together, not one each.
type regions struct {
	file       holes
	pace       *pace
	start, end uint64 // bytes of the file; empty at first
	hole       bool
}

// at returns whether byte off of the file lies in a hole, and up to where that is so at least.
func (r *regions) at(off uint64) (hole bool, end uint64, err error) {
	if off < r.start || off >= r.end {
		r.start = off
		err = r.pace.ask(func() { r.hole, r.end = r.ask(off) })
	}
	return r.hole, r.end, err
}

const endOfTime = 1<<63 - 1

// ask follows qemu's order of questions (find_allocation in block/file-posix.c): data first, and a file system that does
// not know is taken for one without holes.
func (r *regions) ask(off uint64) (hole bool, end uint64) {
	data, err := r.file.Seek(int64(off), unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return true, endOfTime
	case err != nil || data < int64(off):
		return false, endOfTime
	case data > int64(off):
		return true, uint64(data)
	}
	next, err := r.file.Seek(int64(off), unix.SEEK_HOLE)
	if err != nil || next <= int64(off) {
		// The file lost the data between the two questions. Its identity has changed, and the map is made again.
		return false, endOfTime
	}
	return false, uint64(next)
}

// split gives the pieces of an extent whose file's holes show through, in order. In a hole the extent is Zero; a Bare one
// is then not Data.
func (r *regions) split(e extent.Extent, emit func(extent.Extent) error) error {
	for {
		hole, end, err := r.at(e.Offset)
		if err != nil {
			return err
		}
		piece := e
		piece.Length = min(e.Length, end-e.Offset)
		if hole {
			piece.Flags |= extent.Zero
			if e.Flags&extent.Bare != 0 {
				piece.Flags &^= extent.Data
			}
		}
		if err := emit(piece); err != nil {
			return err
		}
		if piece.Length == e.Length {
			return nil
		}
		e = e.Skip(piece.Length)
	}
}
