package source

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/needs"
	"instarfs/vmm/chain"
	"instarfs/vmm/chaintest"
	"instarfs/vmm/failure"
	"instarfs/vmm/files"
	"instarfs/vmm/vmmtest"
)

// newSource is a source over a directory with all that can be in one, beside files that are not
// beneath it.
func newSource(t *testing.T) (*Source, *fakeRunner, string) {
	t.Helper()
	needs.Root(t)
	openFiles(t)
	base := t.TempDir()
	root := filepath.Join(base, "tree")
	write(t, filepath.Join(base, "secret.img"), "secret")
	write(t, filepath.Join(root, "disk.img"), "disk")
	write(t, filepath.Join(root, "sub", "deep.img"), "deep")
	write(t, filepath.Join(root, "sub", "a b\n.img"), "odd")
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("disk.img", "inside")
	link("../disk.img", "sub/up")
	link("sub", "dirlink")
	link("../secret.img", "outside")
	link(filepath.Join(root, "disk.img"), "absolute")
	link("sub/../../tree/disk.img", "out and in")
	link("/proc/self/exe", "magic")
	link("nothing", "dangling")
	link("loop", "loop")
	for name, mode := range map[string]uint32{"fifo": unix.S_IFIFO, "socket": unix.S_IFSOCK} {
		if err := unix.Mknod(filepath.Join(root, name), mode|0o644, 0); err != nil {
			t.Fatal(err)
		}
	}
	err := unix.Mknod(filepath.Join(root, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3)))
	if err != nil {
		t.Fatalf("a device node: %v", err)
	}
	tree, err := files.OpenTree(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	r := &fakeRunner{T: t, During: func(_ int32, job *chaintest.Job) (*chaintest.Layer, error) {
		return layerOf(t, ext(0, job.Size, present|zero, 0)), nil
	}}
	return New(tree, chain.NewEngine(r, chain.Access{}, chain.Limits{Cache: 1 << 20}),
		options), r, root
}

// mustEnd fails the test when f blocks, as the open of a FIFO without a writer would.
func mustEnd(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(chaintest.GiveUp):
		t.Fatal("blocks")
	}
}

func TestPaths(t *testing.T) {
	s, r, root := newSource(t)
	long := strings.Repeat("x", 256)
	tests := []struct {
		path string
		stat error // of Stat
		open error // of Map
	}{
		{"disk.img", nil, nil}, {"sub/deep.img", nil, nil}, {"sub/a b\n.img", nil, nil},
		{"inside", nil, nil}, {"sub/up", nil, nil}, {"dirlink/deep.img", nil, nil},
		{"sub/../disk.img", nil, nil},
		{".", nil, files.ErrNotRegular}, {"sub", nil, files.ErrNotRegular},
		{"dirlink", nil, unix.ENOENT}, {"sub/..", nil, files.ErrNotRegular},
		{"..", unix.ENOENT, unix.ENOENT}, {"../secret.img", unix.ENOENT, unix.ENOENT},
		{"sub/../../secret.img", unix.ENOENT, unix.ENOENT},
		{"../tree/disk.img", nil, nil}, {"/", unix.ENOENT, unix.ENOENT},
		{filepath.Join(root, "disk.img"), unix.ENOENT, unix.ENOENT},
		{"/etc/passwd", unix.ENOENT, unix.ENOENT},
		{"outside", unix.ENOENT, unix.ENOENT}, {"absolute", nil, nil}, {"out and in", nil, nil},
		{"magic", unix.ENOENT, unix.ENOENT}, {"dangling", nil, unix.ENOENT},
		{"loop", nil, unix.ENOENT},
		{"fifo", unix.ENOENT, files.ErrNotRegular}, {"socket", unix.ENOENT, files.ErrNotRegular},
		{"null", unix.ENOENT, files.ErrNotRegular},
		{"", unix.ENOENT, unix.ENOENT}, {"disk.img/x", unix.ENOTDIR, unix.ENOTDIR},
		{long, unix.ENAMETOOLONG, unix.ENAMETOOLONG},
	}
	for _, test := range tests {
		mustEnd(t, func() {
			if _, err := s.Stat(t.Context(), nil, test.path); !errors.Is(err, test.stat) {
				t.Errorf("stat of %q: %v, want %v", test.path, err, test.stat)
			}
			runs := r.Runs.Load()
			m, _, err := s.Map(t.Context(), nil, test.path)
			if !errors.Is(err, test.open) || (err == nil) != (m != nil) {
				t.Errorf("map of %q: %v, want %v", test.path, err, test.open)
			}
			if err == nil && m.Files()[0] != root+"/"+test.path {
				t.Errorf("%q is shown as %q", test.path, m.Files()[0])
			}
			if err != nil {
				oneLine(t, err, "map ")
				if r.Runs.Load() != runs {
					t.Errorf("%q: a guest ran", test.path)
				}
			}
		})
	}
}

func TestReadDir(t *testing.T) {
	s, r, root := newSource(t)
	for path, want := range map[string]string{
		".": "absolute -> disk.img, dangling -> nothing, dirlink -> sub/, disk.img, " +
			"inside -> disk.img, loop -> loop, (magic), out and in -> disk.img, (outside), sub/",
		"sub": "a b\n.img, deep.img, up -> ../disk.img",
	} {
		mustEnd(t, func() {
			list, err := s.ReadDir(t.Context(), nil, path)
			if got := described(t, s, path, list); err != nil || got != want {
				t.Errorf("%s: %s, %v; want %s", path, got, err, want)
			}
		})
	}
	for path, want := range map[string]error{"dirlink": unix.ENOTDIR, "..": unix.ENOENT,
		"/": unix.ENOENT, "disk.img": unix.ENOTDIR, "fifo": unix.ENOTDIR, "nothing": unix.ENOENT} {
		mustEnd(t, func() {
			if list, err := s.ReadDir(t.Context(), nil, path); err != want || list != nil {
				t.Errorf("%s: %v, %v", path, list, err)
			}
		})
	}
	// The tree is the directory that was opened, whatever its name means now.
	if err := os.Rename(root, root+"-moved"); err != nil {
		t.Fatal(err)
	}
	if list, err := s.ReadDir(t.Context(), nil, "."); err != nil || len(list) != 10 {
		t.Error(list, err)
	}
	if _, _, err := s.Map(t.Context(), nil, "sub/deep.img"); err != nil {
		t.Error(err)
	}
	r.Count(1)
	// Nothing is listed of a tree that was removed: not that it is empty, for who copies it.
	if err := os.RemoveAll(root + "-moved"); err != nil {
		t.Fatal(err)
	}
	if list, err := s.ReadDir(t.Context(), nil, "."); err != unix.ESTALE || list != nil {
		t.Errorf("a tree that was removed: %v, %v", list, err)
	}
}

// described is a listing in words. It checks that stat says the same.
func described(t *testing.T, s *Source, dir string, list []DirEntry) string {
	var words []string
	for _, e := range list {
		if e.Hidden != "" {
			words = append(words, "("+e.Name+")")
			if info, err := s.Stat(t.Context(), nil, path.Join(dir, e.Name)); err != unix.ENOENT {
				t.Errorf("%s is hidden, and stat says %+v, %v", e.Name, info, err)
			}
			continue
		}
		word := e.Name
		if e.Type == unix.S_IFLNK {
			word += " -> " + e.Info.Link
		}
		if e.Type == unix.S_IFDIR || e.Info.LinkType == unix.S_IFDIR {
			word += "/"
		}
		words = append(words, word)
		info, err := s.Stat(t.Context(), nil, path.Join(dir, e.Name))
		if err != nil || !e.Known || info != e.Info || info.Mode&unix.S_IFMT != e.Type {
			t.Errorf("%s: listed as %+v, stat says %+v, %v", e.Name, e, info, err)
		}
	}
	return strings.Join(words, ", ")
}

// TestGenerations: stat and map agree on what a file is, without a guest for stat; a change is
// another generation.
func TestGenerations(t *testing.T) {
	s, r, root := newSource(t)
	before, err := s.Stat(t.Context(), nil, "disk.img")
	if err != nil || before.Mode&unix.S_IFMT != unix.S_IFREG {
		t.Fatal(before, err)
	}
	if m, ok := s.Cached("disk.img", before.Generation); m != nil || ok {
		t.Error("a map that nobody made is at hand")
	}
	r.Count(0)
	m, g, err := s.Map(t.Context(), nil, "disk.img")
	if err != nil || g != before.Generation {
		t.Error(g, before.Generation, err)
	}
	if again, ok := s.Cached("disk.img", g); !ok || again != m {
		t.Error("the map is not at hand")
	}
	if _, linked, err := s.Map(t.Context(), nil, "inside"); err != nil || linked != g {
		t.Error("a link leads to another file:", err)
	}
	write(t, filepath.Join(root, "disk.img"), "changed")
	after, err := s.Stat(t.Context(), nil, "disk.img")
	if err != nil || after.Generation == before.Generation {
		t.Error("a changed file has its old generation:", err)
	}
	if _, ok := s.Cached("disk.img", g); !ok {
		t.Error("the map of the old generation is gone")
	}
	r.Count(1)
}

// TestHalfAMap: what qemu-img would print of a walk that fails is no file.
func TestHalfAMap(t *testing.T) {
	s, r, _ := newSource(t)
	s.options.Release = 7<<16 | 2
	l, f := badLayer(t)
	r.During = func(int32, *chaintest.Job) (*chaintest.Layer, error) { return l, nil }
	m, g, err := s.Map(t.Context(), nil, "disk.img")
	if m != nil || !errors.Is(err, error(f)) || g == (chain.Generation{}) {
		t.Error(m, err)
	}
	if _, ok := s.Cached("disk.img", g); ok {
		t.Error("half a map is at hand")
	}
}

// TestCancelledMap: who has left gets its own error, and the tree is as before.
func TestCancelledMap(t *testing.T) {
	s, _, _ := newSource(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := s.Map(ctx, nil, "disk.img")
	var named *failure.Error
	if !errors.Is(err, context.Canceled) || !errors.As(err, &named) || named.Errno() != unix.EINTR {
		t.Error(err)
	}
}

// TestBaseReplacedBetweenStatAndCheck: a base that was replaced after the overlay was looked at is
// no reason to refuse the map to anybody. It is another map, which Map makes.
func TestBaseReplacedBetweenStatAndCheck(t *testing.T) {
	for name, replace := range map[string]func(base, other string) error{
		"rename": func(base, other string) error { return os.Rename(other, base) },
		"remove": func(base, other string) error { return os.Remove(base) },
	} {
		dir := t.TempDir()
		base, other := filepath.Join(dir, "base"), filepath.Join(dir, "other")
		qcow2(t, base, "", "", 1)
		qcow2(t, other, "", "", 2)
		qcow2(t, filepath.Join(dir, "over"), "base", "qcow2", 3)
		for _, file := range []string{base, other} {
			if err := os.Chmod(file, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		tree, err := files.OpenTree(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Close()
		s := New(tree, chain.NewEngine(vmmtest.Walker{}, chain.Access{},
			chain.Limits{Cache: 1 << 20}), options)
		_, g, err := s.Map(t.Context(), nil, "over")
		if err != nil {
			t.Fatal(err)
		}
		if known, err := s.Check(t.Context(), nil, "over", g); !known || err != nil {
			t.Errorf("%s: before: known %v, %v", name, known, err)
		}
		if err := replace(base, other); err != nil {
			t.Fatal(err)
		}
		if known, err := s.Check(t.Context(), nil, "over", g); known || err != nil {
			t.Errorf("%s: known %v, %v", name, known, err)
		}
		_, after, err := s.Map(t.Context(), nil, "over")
		if name == "rename" && (err != nil || after == g) || name == "remove" &&
			!errors.Is(err, unix.ENOENT) {
			t.Errorf("%s: the same generation: %v, %v", name, after == g, err)
		}
	}
}
