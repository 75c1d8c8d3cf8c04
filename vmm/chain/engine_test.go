package chain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/guest/show"
	"instarfs/vmm/chaintest"
	"instarfs/vmm/compose"
	"instarfs/vmm/failure"
	"instarfs/vmm/files"
	"instarfs/vmm/image"
	"instarfs/vmm/session"
)

// newEngine is an engine over a fake runner, and a file to map.
func newEngine(t *testing.T,
	during func(n int32, job *session.Job) (*session.Layer, error)) (*Engine, *fakeRunner, string) {
	t.Helper()
	openFiles(t)
	r := &fakeRunner{T: t, During: during}
	name := filepath.Join(t.TempDir(), "disk.raw")
	write(t, name, "image")
	return NewEngine(r, Access{}, Limits{Cache: 1 << 20}), r, name
}

func TestJob(t *testing.T) {
	var got session.Job
	e, r, name := newEngine(t, func(_ int32, job *session.Job) (*session.Layer, error) {
		got = *job
		b := make([]byte, 5)
		if n, err := job.Image.ReadAt(t.Context(), b, 0); n != 5 ||
			err != nil || string(b) != "image" {
			t.Error(n, err, b)
		}
		return nil, nil
	})
	dmg := filepath.Join(filepath.Dir(name), "disk.dmg")
	if err := os.Rename(name, dmg); err != nil {
		t.Fatal(err)
	}
	o := Options{Format: "qcow2", Window: img.Window{Start: 7, End: 15},
		SectorSize: 512, Release: 8<<16 | 2}
	res, err := e.MapFile(t.Context(), dmg, o)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(dmg, &st); err != nil {
		t.Fatal(err)
	}
	got.Image = nil
	want := session.Job{Size: 5, Allocated: uint64(st.Blocks) * 512, Format: 2, SectorSize: 512,
		Window: img.Window{Start: 7, End: 15}, DmgName: true, Release: 8<<16 | 2}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if res.Format != "qcow2" || res.VirtualSize != 512 ||
		res.Map.Files()[0] != dmg || res.Failed != nil {
		t.Errorf("%+v", res)
	}
	r.Count(1)
}

func TestCached(t *testing.T) {
	e, r, name := newEngine(t, nil)
	first, err := e.MapFile(t.Context(), name, whole)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := e.MapFile(t.Context(), name, whole); err != nil || again != first {
		t.Error(again, err)
	}
	r.Count(1)
	if n := int(e.CacheBytes()) - first.Map.Bytes(); n <= 0 || n > compose.Overhead {
		t.Errorf("%d bytes are charged, %d used", e.CacheBytes(), first.Map.Bytes())
	}
	write(t, name, "other")
	if again, err := e.MapFile(t.Context(), name, whole); err != nil || again == first {
		t.Error("a changed file has its old map:", err)
	}
	r.Count(2)
	// Each of these is another question.
	for i, o := range []Options{{Format: "raw"}, {Format: "qcow2"},
		{Window: img.Window{Start: 1, End: 2}}, {Window: img.Window{End: 1}},
		{Window: img.Window{Start: 1, End: 1}}, {SectorSize: 512}, {Release: 6 << 16},
		{Release: 6<<16 | 1}} {
		for range 2 {
			if _, err := e.MapFile(t.Context(), name, o); err != nil {
				t.Fatal(err)
			}
		}
		r.Count(int32(3 + i))
	}
	// The same file by another name is another map, for it shows the name, but not another run.
	link := name + ".link"
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	if res, err := e.MapFile(t.Context(), link, whole); err != nil || res.Map.Files()[0] != link {
		t.Error(res, err)
	}
	r.Count(10)
}

// TestOneRunForMany: sixteen callers at once share a run, and each closes what it opened.
func TestOneRunForMany(t *testing.T) {
	release := make(chan struct{})
	e, r, name := newEngine(t,
		func(int32, *session.Job) (*session.Layer, error) { <-release; return nil, nil })
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[*Result]int{}
	for range 16 {
		wg.Go(func() {
			res, err := e.MapFile(t.Context(), name, whole)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[res]++
		})
	}
	close(release)
	wg.Wait()
	if len(seen) != 1 {
		t.Errorf("%d different results", len(seen))
	}
	r.Count(1)
}

// TestLeaving: callers come and go while runs start. Who stays gets the map, never somebody else's
// interruption.
func TestLeaving(t *testing.T) {
	e, _, name := newEngine(t, nil)
	for i := range 300 {
		o := Options{Window: img.Window{Start: uint64(i), End: img.Whole.End}}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				go cancel()
				if _, err := e.MapFile(ctx, name, o); err != nil &&
					!errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if _, err := e.MapFile(t.Context(), name, o); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

// left is a context that ends between the first look at it and the second.
type left struct {
	context.Context
	done   chan struct{}
	looked *bool
}

func (l left) Done() <-chan struct{} { return l.done }

func (l left) Err() error {
	if !*l.looked {
		*l.looked = true
		return nil
	}
	return context.Canceled
}

// TestAbandonedRun: Ann starts a run and leaves before it has begun, with the file that it was to
// read. Bob joins what she left behind, and gets the map of a run of his own. One processor makes
// sure that Bob comes before the run begins.
func TestAbandonedRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	e, r, name := newEngine(t, nil)
	ann := left{t.Context(), make(chan struct{}), new(bool)}
	close(ann.done)
	tree, err := files.OpenTree(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	for i := range 100 {
		o := Options{Window: img.Window{Start: uint64(i), End: img.Whole.End}}
		*ann.looked = false
		f, err := image.OpenNamed(t.Context(), e.host, name,
			files.Place{Tree: tree, Path: "disk.raw"})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = e.layerOf(ann, f, o)
		f.Close()
		if _, err := e.MapFile(t.Context(), name, o); err != nil {
			t.Fatal(err)
		}
	}
	r.Count(100)
}

// TestChanging: a file that changed during its run is run again, three times at most; then nothing
// is kept.
func TestChanging(t *testing.T) {
	for changes := range int32(5) {
		t.Run(fmt.Sprint(changes), func(t *testing.T) {
			var name string
			var e *Engine
			var r *fakeRunner
			e, r, name = newEngine(t, func(n int32, _ *session.Job) (*session.Layer, error) {
				if n <= changes {
					write(t, name, fmt.Sprint("change ", n))
					if n == 1 {
						// What a run over a file that changes finds does not count, not even as a
						// failure.
						return nil, fault.New(fault.Qcow2Magic, 0)
					}
				}
				return nil, nil
			})
			_, err := e.MapFile(t.Context(), name, whole)
			r.Count(min(changes+1, 3))
			if changes < 3 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var named *failure.Error
			if !errors.Is(err, failure.ErrChanging) || !errors.As(err, &named) ||
				named.Errno() != unix.EBUSY {
				t.Error(err)
			}
			oneLine(t, err, name, "changes while it is mapped", "try again")
			if e.CacheBytes() != 0 {
				t.Errorf("%d bytes are kept", e.CacheBytes())
			}
		})
	}
}

// TestReplaced: a file whose name means another one after its run has the content that it had,
// though it lost a link; the next map is that of the new one.
func TestReplaced(t *testing.T) {
	var e *Engine
	var r *fakeRunner
	var name string
	e, r, name = newEngine(t, func(n int32, job *session.Job) (*session.Layer, error) {
		if n == 1 {
			write(t, name+".new", "longer image")
			if err := os.Rename(name+".new", name); err != nil {
				t.Error(err)
			}
		}
		return layerOf(t, ext(0, job.Size, present|zero, 0)), nil
	})
	for _, want := range []uint64{5, 12} {
		res, err := e.MapFile(t.Context(), name, whole)
		if err != nil || res.Map.End() != want {
			t.Error(res, err)
		}
	}
	r.Count(2)
}

// TestFailures: what a person reads, and what qemu-img says of the same image. See also
// TestFailuresAreKept.
func TestFailures(t *testing.T) {
	bad := layerOf(t, ext(0, 512, extent.Bad, 0))
	chaintest.AddFault(bad, chaintest.Bad, fault.New(fault.Qcow2L2Unaligned, 40, 1, 2))
	for _, test := range []struct {
		name  string
		layer *session.Layer
		err   error
		errno unix.Errno
		text  string
		qemu  string
	}{
		{"image", nil, fault.New(fault.Qcow2L1Size, 36), unix.EFBIG,
			"l1_size at offset 36: Active L1 table too large", "Active L1 table too large"},
		{"guest", nil, &session.GuestError{Kind: session.KindDeadline, What: "x"}, unix.ETIMEDOUT,
			"map guest: time limit: x", ""},
		{"disk", nil, fmt.Errorf("read of 1 bytes at offset 2: %w", unix.EIO), unix.EIO,
			"at offset 2: input/output error", "Could not open '%s': Input/output error"},
		{"walk", bad, nil, unix.EIO, "L2 table offset 0x1 unaligned",
			"L2 table offset 0x1 unaligned (L1 index: 0x2)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, r, name := newEngine(t, func(n int32, _ *session.Job) (*session.Layer, error) {
				if n == 1 {
					return test.layer, test.err
				}
				return nil, nil
			})
			_, err := e.MapFile(t.Context(), name, whole)
			oneLine(t, err, "map "+name+": ", test.text)
			var named *failure.Error
			if !errors.As(err, &named) || named.Errno() != test.errno || test.err != nil &&
				!errors.Is(err, test.err) {
				t.Errorf("%v", err)
			} else if want := test.qemu; named.QemuText() != want &&
				named.QemuText() != fmt.Sprintf(want, name) {
				t.Errorf("as qemu-img: %q, want %q", named.QemuText(), want)
			}
			write(t, name, "mended")
			if _, err := e.MapFile(t.Context(), name, whole); err != nil {
				t.Error("the failure outlived the file:", err)
			}
			r.Count(2)
		})
	}
}

func TestWarningsAndQemuCut(t *testing.T) {
	warning, corrupt := fault.New(fault.Qcow2RefblockUnaligned,
		1), fault.New(fault.Qcow2L2Unaligned, 2)
	l := layerOf(t, ext(0, 512, present|zero, 0), ext(512, 512, 0, 0),
		ext(1024, 512, extent.Bad, 1))
	chaintest.AddFault(l, chaintest.Warn, warning)
	chaintest.AddFault(l, chaintest.Bad, corrupt)
	e, r, name := newEngine(t, func(int32, *session.Job) (*session.Layer, error) { return l, nil })
	res, err := e.MapFile(t.Context(), name, Options{Window: img.Whole, Release: 7<<16 | 2})
	if err != nil || res.Failed != corrupt || len(res.Warnings) != 1 ||
		res.Warnings[0] != warning || res.Map.End() != 512 {
		t.Errorf("%+v, %v", res, err)
	}
	if _, err := e.MapFile(t.Context(), name, whole); !errors.Is(err, error(corrupt)) {
		t.Error(err)
	}
	r.Count(2)
}

// TestWhatCannotBeMapped: none of these blocks, starts a guest or leaves a descriptor.
func TestWhatCannotBeMapped(t *testing.T) {
	e, r, name := newEngine(t, nil)
	dir := filepath.Dir(name)
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		o     Options
		errno unix.Errno
		text  string
		qemu  string
	}{
		{name + "-not", whole, unix.ENOENT, "open: no such file or directory",
			"Could not open '%s': No such file or directory"},
		{name + "/x", whole, unix.ENOTDIR, "open: not a directory",
			"Could not open '%s': Not a directory"},
		{loop, whole, unix.ELOOP, "too many levels of symbolic links",
			"Could not open '%s': Too many levels of symbolic links"},
		{dir, whole, unix.EINVAL, "not a regular file or block device",
			"'file' driver requires '%s' to be a regular file"},
		{fifo, whole, unix.EINVAL, "not a regular file or block device",
			"'file' driver requires '%s' to be a regular file"},
		{"/dev/null", whole, unix.EINVAL, "not a regular file or block device",
			"'file' driver requires '%s' to be a regular file"},
		{name, Options{Window: img.Whole, Format: "vmdk\n"}, unix.EOPNOTSUPP,
			`unknown format "vmdk\x0a"`, ""},
		{dir + "/new\n\u009bline: x", whole, unix.ENOENT,
			`/new\x0a\xc2\x9bline: x": open: no such file`,
			"Could not open '%s': No such file or directory"},
	} {
		_, err := e.MapFile(t.Context(), test.name, test.o)
		oneLine(t, err, test.text)
		var named *failure.Error
		if !errors.As(err, &named) || named.Errno() != test.errno {
			t.Errorf("%s: %v", test.name, err)
		} else if test.qemu != "" &&
			named.QemuText() != fmt.Sprintf(test.qemu, show.Line(test.name)) {
			t.Errorf("%s: as qemu-img: %q", test.name, named.QemuText())
		}
	}
	r.Count(0)
}
