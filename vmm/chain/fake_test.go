package chain

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/vmm/session"
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

func (f *fakeHoles) spans(_ context.Context, off, limit uint64) ([]span, error) {
	f.calls++
	return spansOf(f, off, limit), nil
}

// noHoles is a file system without the interface.
type noHoles struct{ err error }

func (f noHoles) Seek(int64, int) (int64, error) { return 0, f.err }

func (f noHoles) spans(_ context.Context, off, limit uint64) ([]span, error) {
	return spansOf(f, off, limit), nil
}

// noFile must not be asked.
type noFile struct{ t *testing.T }

func (f noFile) spans(context.Context, uint64, uint64) ([]span, error) {
	f.t.Error("the file was asked for its holes")
	return nil, unix.EINVAL
}

const (
	present, zero, data, offset = extent.Present, extent.Zero, extent.Data, extent.Offset
	stored                      = present | data | offset
)

// ext is short for an extent of File 0 and Depth 0.
func ext(start, length uint64, f extent.Flags, off uint64) extent.Extent {
	return extent.Extent{Start: start, Length: length, Offset: off, State: extent.State{Flags: f}}
}

// layerOf is a layer of those extents.
func layerOf(t testing.TB, es ...extent.Extent) *session.Layer {
	t.Helper()
	var start, end uint64
	if len(es) > 0 {
		start, end = es[0].Start, es[len(es)-1].End()
	}
	b := extent.NewBuilder(start, end, 0)
	for _, e := range es {
		if err := b.Add(e); err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
	}
	m, err := b.Finish(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &session.Layer{Map: m, Format: 2, VirtualSize: end}
}

// badLayer is a layer whose second half cannot be told, and why.
func badLayer(t testing.TB) (*session.Layer, *fault.Fault) {
	f := fault.New(fault.Qcow2L2Unaligned, 40, 1, 2)
	l := layerOf(t, ext(0, 512, present|zero, 0), ext(512, 512, 0, 0), ext(1024, 512, extent.Bad, 0))
	l.Faults = []abi.RoleFault{{Role: abi.RoleBad, Fault: f}}
	return l, f
}

func extents(m *extent.Map) (es []extent.Extent) {
	for i := range m.Len() {
		es = append(es, m.At(i))
	}
	return es
}

// fakeRunner counts runs and does what a test wants in each.
type fakeRunner struct {
	t      testing.TB
	runs   atomic.Int32
	during func(n int32, job *session.Job) (*session.Layer, error)
}

func (r *fakeRunner) Run(ctx context.Context, job *session.Job) (*session.Layer, error) {
	n := r.runs.Add(1)
	if r.during != nil {
		if l, err := r.during(n, job); l != nil || err != nil {
			return l, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	return layerOf(r.t, ext(0, 512, present|zero, 0)), nil
}

func (r *fakeRunner) count(want int32) {
	r.t.Helper()
	if got := r.runs.Load(); got != want {
		r.t.Errorf("%d runs, want %d", got, want)
	}
}

// write makes or changes a file so that its identity is surely another.
func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1_000_000_000+changes.Add(1), 0)
	if err := os.Chtimes(name, old, old); err != nil {
		t.Fatal(err)
	}
}

var changes atomic.Int64

// openFiles checks at the end of the test that no descriptor is open that was not open when it was called.
func openFiles(t *testing.T) {
	t.Helper()
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := count()
	t.Cleanup(func() {
		// A run may outlive who asked for it by a moment.
		for end := time.Now().Add(giveUp); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if count() <= before {
				return
			}
		}
		t.Errorf("%d descriptors are open, %d were", count(), before)
	})
}

// oneLine checks that an error is one line that names what it is about.
func oneLine(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q does not say %q", err, p)
		}
	}
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Errorf("%q is not one printable line", err)
	}
}
