package image

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/vmm/files"
	"instarfs/vmm/gate"
)

// openNamed opens a new file with some text.
func openNamed(t *testing.T, text string) (*File, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	tree, err := files.OpenPath(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	h := files.NewHost(files.Policy{}, gate.DefaultCallTime)
	f, err := OpenNamed(t.Context(), h, name, files.Place{Tree: tree, Path: "file"})
	if err != nil {
		t.Fatal(err)
	}
	return f, name
}

func TestFile(t *testing.T) {
	i, name := openNamed(t, "content")
	if i.Name() != name || i.Place().Path != "file" || i.Size() != 7 || i.Stat().Size != 7 {
		t.Errorf("%q, %+v, %d bytes", i.Name(), i.Place(), i.Size())
	}
	b := make([]byte, 5)
	if n, err := i.ReadAt(t.Context(), b, 2); n != 5 || err != nil || string(b) != "ntent" {
		t.Errorf("%d, %v, %q", n, err, b)
	}
	if n, err := i.ReadAt(t.Context(), b, 5); n != 2 || err != io.EOF {
		t.Errorf("past the end: %d, %v", n, err)
	}
	if !i.Peek(b, 1) || string(b) != "onten" {
		t.Errorf("peek: %q", b)
	}
	if i.Peek(b, 5) {
		t.Error("peek past the end")
	}
	if !i.Retain() {
		t.Error("an open image was not retained")
	}
	i.Close()
	if _, err := i.ReadAt(t.Context(), b, 0); err != nil {
		t.Errorf("while it is retained: %v", err)
	}
	i.Close()
	if _, err := i.ReadAt(t.Context(), b, 0); err != ErrClosed || i.Retain() {
		t.Errorf("after the last close: %v", err)
	}
}

// TestChanged checks which changes of a file are changes of its content.
func TestChanged(t *testing.T) {
	i, name := openNamed(t, "content")
	defer i.Close()
	for _, step := range []struct {
		what string
		do   func() error
		want bool
	}{
		{"nothing", func() error { return nil }, false},
		{"another link", func() error { return os.Link(name, name+".link") }, false},
		{"one link less", func() error { return os.Remove(name + ".link") }, false},
		{"other times", func() error { return unix.Utimes(name, make([]unix.Timeval, 2)) }, true},
		{"more bytes", func() error { return os.Truncate(name, 100) }, true},
		{"replaced", func() error { return os.Remove(name) }, false},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got, err := i.Changed(t.Context()); got != step.want || err != nil {
			t.Errorf("%s: changed %v, %v", step.what, got, err)
		}
	}
	if i.Size() != 100 {
		t.Errorf("%d bytes", i.Size())
	}
}

// seeker answers lseek(2) with data and holes that end at the given bytes in turn.
type seeker struct {
	data, hole int64
	err        error
}

func (s seeker) Seek(_ int64, whence int) (int64, error) {
	if whence == unix.SEEK_DATA {
		return s.data, s.err
	}
	return s.hole, s.err
}

func TestSpansOf(t *testing.T) {
	for name, test := range map[string]struct {
		f    seeker
		want []Span
	}{
		"no data after it":       {seeker{err: unix.ENXIO}, []Span{{true, endOfTime}}},
		"no interface for holes": {seeker{err: unix.EINVAL}, []Span{{false, endOfTime}}},
		"data before it":         {seeker{data: 4, hole: 9}, []Span{{false, endOfTime}}},
		"hole before it":         {seeker{data: 5, hole: 5}, []Span{{false, endOfTime}}},
		"data up to a hole":      {seeker{data: 5, hole: 9}, []Span{{false, 9}}},
		"hole up to data":        {seeker{data: 9, hole: 9}, []Span{{true, 9}}},
	} {
		if got := SpansOf(test.f, 5, 9); !slices.Equal(got, test.want) {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

// openWritable opens an empty image, and its file for writing, until the test ends.
func openWritable(t *testing.T) (*File, *os.File) {
	t.Helper()
	i, name := openNamed(t, "")
	t.Cleanup(i.Close)
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return i, f
}

// TestSpans looks for the holes of a file.
func TestSpans(t *testing.T) {
	i, f := openWritable(t)
	const block = 1 << 16
	if _, err := f.WriteAt(make([]byte, block), block); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(3 * block); err != nil {
		t.Fatal(err)
	}
	want := []Span{{true, block}, {false, 2 * block}, {true, endOfTime}}
	if got, err := i.Spans(t.Context(), 0, 3*block); err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := i.Spans(t.Context(), 10, 20); err != nil || !slices.Equal(got, want[:1]) {
		t.Errorf("up to the limit: %+v, %v", got, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("nobody waits")
	cancel(cause)
	if _, err := i.Spans(ctx, 0, 1); err != cause {
		t.Error(err)
	}
}

// TestSpansOfExtents takes lists of extents for spans.
func TestSpansOfExtents(t *testing.T) {
	const off, limit, size = 100, 200, 1000
	extent := func(logical, length uint64, flags uint32) fiemapExtent {
		return fiemapExtent{logical: logical, length: length, flags: flags}
	}
	const unwritten, delayed = 1 << 11, 1 << 2
	for name, test := range map[string]struct {
		extents []fiemapExtent
		all     bool
		want    []Span
	}{
		"none":                {nil, true, []Span{{true, limit}}},
		"none were asked for": {nil, false, nil},
		"from before": {[]fiemapExtent{extent(90, 20, 0)}, true,
			[]Span{{false, 110}, {true, limit}}},
		"more follow": {[]fiemapExtent{extent(110, 20, 0)}, false,
			[]Span{{true, 110}, {false, 130}}},
		"past the limit": {[]fiemapExtent{extent(110, 200, 0)}, true,
			[]Span{{true, 110}, {false, 310}}},
		"last": {[]fiemapExtent{extent(110, 20, fiemapLast|fiemapMerged)}, true,
			[]Span{{true, 110}, {false, 130}, {true, endOfTime}}},
		"last, past the end of the file": {[]fiemapExtent{extent(110, 4096, fiemapLast)}, true,
			[]Span{{true, 110}, {false, size}, {true, endOfTime}}},
		"one after the other": {[]fiemapExtent{extent(100, 20, 0), extent(120, 9, 0)}, false,
			[]Span{{false, 129}}},
		"unwritten": {[]fiemapExtent{extent(110, 20, 0), extent(140, 9, unwritten)}, true,
			[]Span{{true, 110}, {false, 130}}},
		"delayed": {[]fiemapExtent{extent(110, 20, delayed)}, true, nil},
		"out of order": {[]fiemapExtent{extent(110, 20, 0), extent(100, 20, 0)}, true,
			[]Span{{true, 110}, {false, 130}}},
		"wraps around": {[]fiemapExtent{extent(110, ^uint64(0), 0)}, true, nil},
		"empty":        {[]fiemapExtent{extent(100, 0, 0)}, true, nil},
		"more after the last": {[]fiemapExtent{extent(110, 9, fiemapLast), extent(130, 9, 0)}, true,
			[]Span{{true, 110}, {false, 119}}},
	} {
		got := spansOfExtents(test.extents, off, limit, size, test.all)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

// TestSpansListed compares the two ways to find the spans of a file with every kind of extent:
// data, holes, what was reserved and never written, and what is not written back yet.
func TestSpansListed(t *testing.T) {
	i, f := openWritable(t)
	const block, blocks = 4096, 20000
	random := rand.New(rand.NewPCG(1, 2))
	for n := range int64(blocks) {
		var err error
		switch k := random.IntN(100); {
		case k < 45:
			_, err = f.WriteAt([]byte{1}, n*block)
		case k < 47: // some file systems cannot reserve
			if err = unix.Fallocate(int(f.Fd()), 0, n*block, block); err == unix.EOPNOTSUPP {
				err = nil
			}
		case k < 48 && n < blocks/2:
			err = f.Sync()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(blocks*block + 5); err != nil {
		t.Fatal(err)
	}
	i.size = blocks*block + 5
	const limit = blocks * block
	all := func(next func(off uint64) []Span) (list []Span) {
		for off := uint64(0); off < limit; {
			for _, s := range next(off) {
				if s.End = min(s.End, limit); len(list) > 0 && list[len(list)-1].Hole == s.Hole {
					list[len(list)-1].End = s.End
				} else {
					list = append(list, s)
				}
				off = s.End
			}
		}
		return list
	}
	want := all(func(off uint64) []Span { return SpansOf(i, off, off+1) })
	got := all(func(off uint64) []Span {
		list, err := i.Spans(t.Context(), off, limit)
		if err != nil {
			t.Fatal(err)
		}
		return list
	})
	if !slices.Equal(got, want) {
		t.Errorf("%d spans, want %d", len(got), len(want))
	}
	if onExt4(i.fd) && !i.listed.Load() {
		t.Error("the kernel was not asked for a list")
	}
}
