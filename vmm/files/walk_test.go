package files

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/needs"
	"instarfs/vmm/gate"
)

// walkTree is a directory with two trees in it, "in" and "also", what lies in them, and links.
func walkTree(t *testing.T) (in, also *Tree, base string) {
	t.Helper()
	base = t.TempDir()
	path := func(name string) string { return filepath.Join(base, name) }
	var errs []error
	for _, dir := range []string{"in/a/b", "in/other", "also/deep", "out", "link-to"} {
		errs = append(errs, os.MkdirAll(path(dir), 0o755))
	}
	for _, file := range []string{"in/top", "in/a/b/leaf", "in/other/file",
		"also/deep/base", "out/secret"} {
		errs = append(errs, os.WriteFile(path(file), []byte(file), 0o644))
	}
	links := map[string]string{
		"in/a/rel": "../top", "in/a/abs": path("in/top"), "in/also": path("also/deep/base"),
		"in/dir": "a/b", "in/absdir": path("in/a"),
		"in/chain": "a/abs", "in/loop": "loop", "in/out": "../out/secret",
		"in/absout": path("out/secret"), "in/gone": path("out/nothing"),
		"in/magic": "/proc/self/root" + path("in/top"), "also/back": path("in/a/b/leaf"),
		"in/a/b/up":  "../../top",
		"link-to/in": path("in"),
	}
	for name, target := range links {
		errs = append(errs, os.Symlink(target, path(name)))
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	// By a link, so that its name and its place differ.
	in, err := OpenTree(path("link-to/in"))
	if err != nil {
		t.Fatal(err)
	}
	if also, err = OpenPath(path("also")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); also.Close() })
	return in, also, base
}

func TestFind(t *testing.T) {
	in, also, base := walkTree(t)
	h := NewHost(Policy{}, gate.DefaultCallTime)
	for _, test := range []struct {
		path string
		want string // the content, or a type
		err  error
	}{
		{"top", "in/top", nil}, {"a/b/leaf", "in/a/b/leaf", nil},
		{"./a/./b//leaf", "in/a/b/leaf", nil}, {"a/../top", "in/top", nil},
		{"a/rel", "in/top", nil}, {"a/abs", "in/top", nil}, {"chain", "in/top", nil},
		{"also", "also/deep/base", nil},
		{"dir/leaf", "in/a/b/leaf", nil}, {"dir/up", "in/top", nil},
		{"absdir/b/leaf", "in/a/b/leaf", nil}, {"absdir/b/../abs", "in/top", nil},
		{".", "dir", nil}, {"a", "dir", nil}, {"a/", "dir", nil}, {"absdir", "dir", nil},
		{"absdir/.", "dir", nil}, {"a/b/../..", "dir", nil},
		{"../in/top", "in/top", nil}, {"a/../../in/top", "in/top", nil},
		{"../also/deep/base", "also/deep/base", nil},
		{"out", "", ErrOutside}, {"absout", "", ErrOutside}, {"gone", "", ErrOutside},
		{"magic", "", ErrOutside}, {"..", "", ErrOutside},
		{"../out/secret", "", ErrOutside}, {"../nothing", "", ErrOutside},
		{"a/../../out/secret", "", ErrOutside},
		{filepath.Join(base, "in/top"), "", ErrOutside},
		{"/etc/passwd", "", ErrOutside}, {"/", "", ErrOutside},
		{"", "", unix.ENOENT}, {"nothing", "", unix.ENOENT}, {"absdir/nothing", "", unix.ENOENT},
		{"top/x", "", unix.ENOTDIR}, {"a/abs/x", "", unix.ENOTDIR},
		{"loop", "", unix.ELOOP}, {"absdir/../loop", "", unix.ELOOP},
		{strings.Repeat("x", 256), "", unix.ENAMETOOLONG},
		{"absdir/" + strings.Repeat("x", 256), "", unix.ENAMETOOLONG},
	} {
		f, err := h.Find(t.Context(), nil, Place{in, test.path}, []*Tree{also}, true)
		if !errors.Is(err, test.err) || err == nil != (test.err == nil) {
			t.Errorf("%q: %v, want %v", test.path, err, test.err)
		}
		if err != nil {
			continue
		}
		if got := read(t, h, f); got != test.want {
			t.Errorf("%q is %q, want %q", test.path, got, test.want)
		}
	}
	// The last link is not followed unless that is asked for.
	for _, name := range []string{"out", "a/abs", "absdir/abs", "absdir/rel"} {
		f, err := h.Find(t.Context(), nil, Place{in, name}, nil, false)
		if err != nil || f.Stat.Mode&unix.S_IFMT != unix.S_IFLNK {
			t.Errorf("%q: %+v, %v", name, f, err)
			continue
		}
		target, err := h.ReadLink(t.Context(), f)
		real := strings.Replace(name, "absdir", "a", 1)
		want, werr := os.Readlink(filepath.Join(base, "in", real))
		if err != nil || werr != nil || target != want {
			t.Errorf("%q -> %q, %v; want %q", name, target, err, want)
		}
		f.Close()
	}
}

// read returns what a file holds, and closes it.
func read(t *testing.T, h *Host, f *File) string {
	t.Helper()
	if f.Stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		f.Close()
		return "dir"
	}
	fd, err := h.Open(t.Context(), nil, f)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	b := make([]byte, 100)
	n, err := unix.Read(fd, b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// TestFindAgrees: the way that the kernel knows by heart and the way step by step lead to the same.
func TestFindAgrees(t *testing.T) {
	in, also, _ := walkTree(t)
	h := NewHost(Policy{}, gate.DefaultCallTime)
	for _, path := range []string{"top", "a", "a/b", "a/b/leaf", "a/..", ".", "a/.", "dir/leaf",
		"a/rel", "chain", "nothing", "top/x", "a/b/../../top"} {
		fast, ferr := h.Find(t.Context(), nil, Place{in, path}, []*Tree{also}, true)
		w := &walk{gate: h.Gate, ctx: t.Context(), roots: []*Tree{in, also}, follow: true}
		slow, serr := w.run(Place{in, path})
		if !errors.Is(serr, ferr) || (serr == nil) != (ferr == nil) {
			t.Errorf("%q: %v, step by step %v", path, ferr, serr)
		}
		if ferr != nil || serr != nil {
			continue
		}
		if slow, serr = h.look(t.Context(), nil, slow); serr != nil ||
			slow.Stat.Ino != fast.Stat.Ino || slow.Dev != fast.Dev {
			t.Errorf("%q: %+v, step by step %+v, %v", path, fast, slow, serr)
		}
		fast.Close()
		slow.Close()
	}
}

// TestFindKeepsNothingOpen: neither what was found on the way, nor what led nowhere.
func TestFindKeepsNothingOpen(t *testing.T) {
	in, also, _ := walkTree(t)
	h := NewHost(Policy{}, gate.DefaultCallTime)
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := count()
	for range 20 {
		for _, path := range []string{"absdir/b/../abs", "absdir/nothing", "top/x", "absdir/abs/x",
			"out", "absdir/b/../../out", "loop", "absdir/b/leaf"} {
			f, err := h.Find(t.Context(), nil, Place{in, path}, []*Tree{also}, true)
			if err == nil {
				f.Close()
			}
		}
	}
	if after := count(); after > before+2 { // others of the program open files too
		t.Errorf("%d files are open, %d were", after, before)
	}
}

// TestPassAbove: who may search a tree, but not the directories above it, may not see what is in
// it.
func TestPassAbove(t *testing.T) {
	needs.Root(t)
	base := t.TempDir()
	name := filepath.Join(base, "closed", "tree", "file")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	err := errors.Join(os.WriteFile(name, nil, 0o644),
		os.Chmod(filepath.Dir(base), 0o755), os.Chmod(base, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := OpenTree(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	h := NewHost(Policy{}, gate.DefaultCallTime)
	for _, mode := range []os.FileMode{0o755, 0o700} {
		if err := os.Chmod(filepath.Join(base, "closed"), mode); err != nil {
			t.Fatal(err)
		}
		for _, above := range []bool{false, true} {
			may := mode == 0o755 || !above
			u := &gate.User{UID: 2001, GID: 2001, Above: above}
			f, err := h.Find(t.Context(), u, Place{tree, "file"}, nil, true)
			if (err == nil) != may {
				t.Errorf("mode %o, above %v: %v", mode, above, err)
			}
			var st unix.Stat_t
			if serr := unix.Stat(name, &st); serr != nil {
				t.Fatal(serr)
			}
			err = h.Read(t.Context(), u, Place{tree, "file"}, &st, func(int) error { return nil })
			if (err == nil) != may {
				t.Errorf("mode %o, above %v: read: %v", mode, above, err)
			}
			if f != nil {
				f.Close()
			}
		}
		if open, err := h.AboveOpen(t.Context(), tree); err != nil || open != (mode == 0o755) {
			t.Errorf("mode %o: open to all %v, %v", mode, open, err)
		}
	}
}

// TestReadRefusesAnotherFile: another file may have been moved to the place.
func TestReadRefusesAnotherFile(t *testing.T) {
	in, _, base := walkTree(t)
	h := NewHost(Policy{}, gate.DefaultCallTime)
	f, err := h.Find(t.Context(), nil, Place{in, "top"}, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = os.Rename(filepath.Join(base, "in/other/file"), filepath.Join(base, "in/top"))
	if err != nil {
		t.Fatal(err)
	}
	looked := false
	err = h.Read(t.Context(), nil, Place{in, "top"}, &f.Stat,
		func(int) error { looked = true; return nil })
	if !errors.Is(err, ErrReplaced) || looked {
		t.Errorf("%v, looked %v", err, looked)
	}
}
