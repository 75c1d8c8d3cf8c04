package compose

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/vmm/chaintest"
	"instarfs/vmm/image"
)

// Short names for what the tests of this package use most.
const (
	present, zero, data, offset = chaintest.Present, chaintest.Zero,
		chaintest.Data, chaintest.Offset

	stored = chaintest.Stored
)

var (
	ext     = chaintest.Ext
	extents = chaintest.Extents
	layerOf = chaintest.NewLayer
)

// region is a run of data or a hole of a fake file.
type region struct {
	end  int64
	hole bool
}

// fakeHoles answers lseek(2) like a file of those regions, and counts the questions.
type fakeHoles struct {
	regions []region
	asked   int
	calls   int // in which the questions came
}

func (f *fakeHoles) Seek(off int64, whence int) (int64, error) {
	f.asked++
	size := f.regions[len(f.regions)-1].end
	if off >= size {
		return 0, unix.ENXIO
	}
	start := int64(0)
	for _, r := range f.regions {
		if off < r.end && r.hole == (whence == unix.SEEK_HOLE) {
			return max(off, start), nil
		}
		start = r.end
	}
	if whence == unix.SEEK_HOLE {
		return size, nil
	}
	return 0, unix.ENXIO
}

func (f *fakeHoles) Spans(_ context.Context, off, limit uint64) ([]image.Span, error) {
	f.calls++
	return image.SpansOf(f, off, limit), nil
}

// noHoles is a file system without the interface.
type noHoles struct{ err error }

func (f noHoles) Seek(int64, int) (int64, error) { return 0, f.err }

func (f noHoles) Spans(_ context.Context, off, limit uint64) ([]image.Span, error) {
	return image.SpansOf(f, off, limit), nil
}

// noFile must not be asked.
type noFile struct{ t *testing.T }

func (f noFile) Spans(context.Context, uint64, uint64) ([]image.Span, error) {
	f.t.Error("the file was asked for its holes")
	return nil, unix.EINVAL
}

// manyHoles is a file where every other byte is a hole.
type manyHoles struct{}

func (manyHoles) Seek(off int64, whence int) (int64, error) {
	if hole := off%2 == 1; hole == (whence == unix.SEEK_HOLE) {
		return off, nil
	}
	return off + 1, nil
}

func (f manyHoles) Spans(_ context.Context, off, limit uint64) ([]image.Span, error) {
	return image.SpansOf(f, off, limit), nil
}
