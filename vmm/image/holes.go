package image

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Span is a part of a file that is a hole, or that is data. It begins where the span before it
// ends.
type Span struct {
	Hole bool
	End  uint64 // bytes of the file
}

// Seeker answers lseek(2) with unix.SEEK_DATA and unix.SEEK_HOLE. *os.File would do, but for the
// errors that it wraps on this path.
type Seeker interface {
	Seek(off int64, whence int) (int64, error)
}

const (
	// MaxSpans is how many spans SpansOf returns at most. An extent of a raw file may have
	// millions, and a call for each would take longer than finding the answers.
	MaxSpans = 256
	// spansTime ends a slow search early: the limits of time are looked at in between.
	spansTime = 5 * time.Millisecond
)

// SpansOf returns the spans of a file, see File.Spans.
func SpansOf(f Seeker, off, limit uint64) (list []Span) {
	isData := false // byte off is known to be data
	for begun := time.Now(); ; {
		s := spanAt(f, off, isData)
		list = append(list, s)
		if s.End >= limit || len(list) == MaxSpans || time.Since(begun) > spansTime {
			return list
		}
		off, isData = s.End, s.Hole
	}
}

// endOfTime ends a span that has no end.
const endOfTime = 1<<63 - 1

// spanAt asks in the order of qemu (find_allocation in block/file-posix.c): for data first. A file
// system that does not answer counts as one without holes. It skips the question for data where
// the answer is known.
func spanAt(f Seeker, off uint64, isData bool) Span {
	if !isData {
		data, err := f.Seek(int64(off), unix.SEEK_DATA)
		switch {
		case errors.Is(err, unix.ENXIO):
			return Span{true, endOfTime}
		case err != nil || data < int64(off):
			return Span{false, endOfTime}
		case data > int64(off):
			return Span{true, uint64(data)}
		}
	}
	next, err := f.Seek(int64(off), unix.SEEK_HOLE)
	if err != nil || next <= int64(off) {
		// The file lost the data between the two questions. Its identity has changed, and the map
		// will be made again.
		return Span{false, endOfTime}
	}
	return Span{false, uint64(next)}
}
