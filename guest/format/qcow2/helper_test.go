package qcow2_test

import (
	"bytes"
	"io"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qcow2"
	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/guest/img"
)

func window(start, end uint64) img.Window { return img.Window{Start: start, End: end} }

// walk runs the walker, and fails the test if it breaks the contract.
func walk(t testing.TB, r io.ReaderAt, size, allocated uint64, w img.Window) (*formattest.Result,
	*fault.Fault) {
	t.Helper()
	dev := formattest.NewDevice(r, size)
	res, f, err := formattest.Run(&qcow2.Driver, &format.Params{Dev: dev, Allocated: allocated}, w)
	if err != nil {
		t.Fatal(err)
	}
	return res, f
}

// agree compares a window of a valid image with the model.
func agree(t testing.TB, r io.ReaderAt, size, allocated uint64, w img.Window) *formattest.Result {
	t.Helper()
	res, f := walk(t, r, size, allocated, w)
	if f != nil {
		t.Fatalf("fault %v", f)
	}
	model := qcow2test.NewModel(r, size, allocated)
	sink := formattest.NewSink(res.Map.Start(), res.Map.End())
	model.Walk(res.Map.Start(), res.Map.End(), sink)
	want, err := sink.Map()
	if err != nil {
		t.Fatalf("model: %v", err)
	}
	same(t, res, formattest.Extents(want), sink.Faults)
	return res
}

// same compares a result with the extents and faults wanted.
func same(t testing.TB, got *formattest.Result, want []extent.Extent, faults []*fault.Fault) {
	t.Helper()
	g := formattest.Extents(got.Map)
	for i := range max(len(g), len(want)) {
		switch {
		case i >= len(g):
			t.Fatalf("extent %d is missing: %+v", i, want[i])
		case i >= len(want):
			t.Fatalf("extent %d is too many: %+v", i, g[i])
		case g[i] != want[i]:
			t.Fatalf("extent %d is\n%+v, want\n%+v", i, g[i], want[i])
		}
	}
	if len(got.Faults) != len(faults) {
		t.Fatalf("%d faults, want %d", len(got.Faults), len(faults))
	}
	for i, f := range got.Faults {
		if f.Error() != faults[i].Error() {
			t.Fatalf("fault %d is %v, want %v", i, f, faults[i])
		}
	}
}

// inMemory returns the file of a built image, which may be sparse, and its size.
func inMemory(t testing.TB, q *qcow2test.Image) (*formattest.Sparse, uint64) {
	t.Helper()
	var f formattest.Sparse
	if _, err := q.Write(&f); err != nil {
		t.Fatal(err)
	}
	return &f, f.Size
}

// image returns a built image in memory, and its size.
func image(q *qcow2test.Image) (*bytes.Reader, uint64) {
	b := q.Bytes()
	return bytes.NewReader(b), uint64(len(b))
}
