package chain

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/extent"
)

// holes tells where a file has data.
type holes interface {
	// spans are the runs of data and the holes of the file from byte off on, in order: the first
	// one, and as many as it takes no time to tell until one reaches limit. It returns the cause of
	// ctx as soon as that ends, whatever the file system does.
	spans(ctx context.Context, off, limit uint64) ([]span, error)
}

// span is a part of a file that is a hole or is none.
type span struct {
	hole bool
	end  uint64 // bytes of the file; it begins where the one before ends
}

// seeker is what a file answers lseek(2) with, for unix.SEEK_DATA and unix.SEEK_HOLE. *os.File
// would do, were it not for the errors that it wraps on this path.
type seeker interface {
	Seek(off int64, whence int) (int64, error)
}

// spans implements holes.
func (f *image) spans(ctx context.Context, off, limit uint64) ([]span, error) {
	return do(ctx, f, func() ([]span, error) { return spansOf(f, off, limit), nil })
}

const (
	// maxSpans is how many are told at once: an extent of a raw file may have millions, and a
	// question of its own for each would take longer than to find the answers.
	maxSpans = 256
	// spansTime ends that early where each takes long: the limits of time are looked at in between.
	spansTime = 5 * time.Millisecond
)

// spansOf looks for the spans of a file.
func spansOf(f seeker, off, limit uint64) (list []span) {
	for begun := time.Now(); ; off = list[len(list)-1].end {
		s := spanAt(f, off)
		list = append(list, s)
		if s.end >= limit || len(list) == maxSpans || time.Since(begun) > spansTime {
			return list
		}
	}
}

// regions remembers the regions of the file that were looked at last: extents that follow each
// other in the file need one question together, not one each.
type regions struct {
	file  holes
	pace  *pace
	start uint64 // bytes of the file
	spans []span // from start on
}

// at returns whether byte off of the file lies in a hole, and up to where that is so at least. What
// lies between off and limit is going to be asked for next.
func (r *regions) at(off, limit uint64) (s span, err error) {
	if off < r.start {
		r.spans = nil
	}
	for len(r.spans) > 0 && r.spans[0].end <= off {
		r.spans = r.spans[1:]
	}
	if len(r.spans) == 0 {
		err = r.pace.ask(func() (err error) {
			r.spans, err = r.file.spans(r.pace.ctx, off, limit)
			return err
		})
		if err != nil {
			return span{}, err
		}
	}
	r.start = off
	return r.spans[0], nil
}

const endOfTime = 1<<63 - 1

// spanAt follows qemu's order of questions (find_allocation in block/file-posix.c): data first, and
// a file system that does not know is taken for one without holes.
func spanAt(f seeker, off uint64) span {
	data, err := f.Seek(int64(off), unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return span{true, endOfTime}
	case err != nil || data < int64(off):
		return span{false, endOfTime}
	case data > int64(off):
		return span{true, uint64(data)}
	}
	next, err := f.Seek(int64(off), unix.SEEK_HOLE)
	if err != nil || next <= int64(off) {
		// The file lost the data between the two questions. Its identity has changed, and the map
		// is made again.
		return span{false, endOfTime}
	}
	return span{false, uint64(next)}
}

// split gives the pieces of an extent whose file's holes show through, in order. In a hole the
// extent is Zero; a Bare one is then not Data.
func (r *regions) split(e extent.Extent, emit func(extent.Extent) error) error {
	for {
		s, err := r.at(e.Offset, e.Offset+e.Length)
		if err != nil {
			return err
		}
		piece := e
		piece.Length = min(e.Length, s.end-e.Offset)
		if s.hole {
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
