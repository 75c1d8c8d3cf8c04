package chain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/guest/img"
	"instarfs/vmm/files"
	"instarfs/vmm/session"
	"instarfs/vmm/vmmtest"
)

// countingWalker carries out runs in this process, and counts them.
type countingWalker struct{ runs atomic.Int32 }

func (c *countingWalker) Run(ctx context.Context, job *session.Job) (*session.Layer, error) {
	c.runs.Add(1)
	return vmmtest.Walker{}.Run(ctx, job)
}

// qcow2 writes an image of a MiB with a backing file, of which nothing is allocated but the given clusters.
func qcow2(t testing.TB, path, backing, format string, clusters ...uint64) {
	t.Helper()
	q := qcow2test.New(1<<20, 16)
	q.Backing = backing
	if format != "" {
		q.Extensions = append(q.Extensions, qcow2test.Extension{Type: qcow2test.ExtensionBackingFormat, Data: []byte(format)})
	}
	for _, c := range clusters {
		q.Data(c, 1)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSharedBase: a base under a hundred overlays is mapped once, and a change costs what changed. Some overlays say that the base is
// a qcow2, others leave that to be found out.
func TestSharedBase(t *testing.T) {
	dir := t.TempDir()
	qcow2(t, dir+"/base", "", "", 0, 2, 4)
	const overlays = 100
	for i := range overlays {
		qcow2(t, fmt.Sprintf("%s/overlay%d", dir, i), "base", []string{"", "qcow2"}[i%2], uint64(i%16))
	}
	tree, err := files.OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	var walker countingWalker
	s := NewSource(tree, NewEngine(&walker, Access{}, Limits{Cache: 64 << 20}), Options{Window: img.Whole})
	all := func() (generations []Generation) {
		for i := range overlays {
			name := fmt.Sprintf("overlay%d", i)
			m, g, err := s.Map(t.Context(), nil, name)
			if err != nil {
				t.Fatal(err)
			}
			info, err := s.Stat(t.Context(), nil, name)
			if err != nil || info.Generation != g {
				t.Fatalf("%s: mapped as %x, stat says %x, %v", name, g, info.Generation, err)
			}
			if _, ok := s.Cached(name, g); !ok {
				t.Fatalf("%s is not kept", name)
			}
			if at := m.At(m.Find(uint64(i%16) << 16)); at.Depth != 0 || m.Files()[0] != dir+"/"+name {
				t.Fatalf("%s: %+v of %q", name, at, m.Files())
			}
			generations = append(generations, g)
		}
		return generations
	}
	first := all()
	if n := walker.runs.Load(); n != overlays+1 {
		t.Errorf("%d runs for %d overlays and their base", n, overlays)
	}
	all()
	if n := walker.runs.Load(); n != overlays+1 {
		t.Errorf("%d runs when all were known", n)
	}
	now := time.Now()
	if err := os.Chtimes(dir+"/overlay7", now, now); err != nil {
		t.Fatal(err)
	}
	second := all()
	if n := walker.runs.Load(); n != overlays+2 {
		t.Errorf("%d runs when one overlay had changed, want %d", n, overlays+2)
	}
	for i := range first {
		if changed := first[i] != second[i]; changed != (i == 7) {
			t.Errorf("overlay %d: changed is %v", i, changed)
		}
	}
	if err := os.Chtimes(dir+"/base", now, now); err != nil {
		t.Fatal(err)
	}
	third := all()
	if n := walker.runs.Load(); n != overlays+3 {
		t.Errorf("%d runs when the base had changed, want %d", n, overlays+3)
	}
	for i := range second {
		if second[i] == third[i] {
			t.Errorf("overlay %d did not notice", i)
		}
	}
}

// TestHostileReferences: what an image may not have opened is not opened, whatever it is, and the answer does not tell whether it is
// there. A FIFO must not block, a device not be touched.
func TestHostileReferences(t *testing.T) {
	root := t.TempDir()
	dir := root + "/images"
	for _, d := range []string{dir + "/sub", root + "/outside"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(root+"/outside/there", make([]byte, 4096), 0o644); err != nil {
		t.Fatal(err)
	}
	qcow2(t, dir+"/good", "", "", 1)
	qcow2(t, dir+"/sub/good", "../good", "", 2)
	if err := unix.Mkfifo(dir+"/fifo", 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(dir+"/zero", unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))); err != nil && !errors.Is(err, unix.EPERM) {
		t.Fatal(err)
	}
	for name, to := range map[string]string{
		"link-out": root + "/outside/there", "link-out-relative": "../outside/there", "link-away": root + "/outside/not-there",
		"link-in": "good", "link-dir": root + "/outside", "link-self": "link-self", "link-proc": "/proc/self/mem",
	} {
		if err := os.Symlink(to, dir+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	const (
		outside   = "it lies outside of the directories that may be read"
		irregular = "it is no regular file"
		protocol  = "only plain file names are followed"
	)
	for _, tc := range []struct {
		name, format string
		text         string // of the error, empty if the image is mapped
		errno        syscall.Errno
	}{
		{"good", "", "", 0},
		{"sub/good", "", "", 0},
		{"sub/../good", "", "", 0},
		{dir + "/good", "", "", 0},
		{"file:good", "", "", 0},
		{"link-in", "", "", 0},
		{"./sub/.././good", "qcow2", "", 0},
		{"not-there", "", "no such file or directory", unix.ENOENT},
		{"sub/not-there", "raw", "no such file or directory", unix.ENOENT},
		{"good/x", "", "not a directory", unix.ENOTDIR},
		{root + "/outside/there", "raw", outside, unix.EACCES},
		{root + "/outside/not-there", "raw", outside, unix.EACCES},
		{"../outside/there", "raw", outside, unix.EACCES},
		{"../outside/not-there", "raw", outside, unix.EACCES},
		{"../../../../../../../../etc/passwd", "raw", outside, unix.EACCES},
		{"/etc/passwd", "raw", outside, unix.EACCES},
		{"/dev/zero", "raw", outside, unix.EACCES},
		{"/proc/self/mem", "raw", outside, unix.EACCES},
		{"/", "raw", outside, unix.EACCES},
		{"link-out", "raw", outside, unix.EACCES},
		{"link-out-relative", "raw", outside, unix.EACCES},
		{"link-away", "raw", outside, unix.EACCES},
		{"link-dir/there", "raw", outside, unix.EACCES},
		{"link-dir/not-there", "raw", outside, unix.EACCES},
		{"link-proc", "raw", outside, unix.EACCES},
		{"link-self", "raw", "too many levels of symbolic links", unix.ELOOP},
		{"fifo", "raw", irregular, unix.EACCES},
		{"zero", "raw", irregular, unix.EACCES},
		{"sub", "raw", irregular, unix.EACCES},
		{".", "raw", irregular, unix.EACCES},
		{"json:{\"driver\":\"raw\"}", "", protocol, unix.EACCES},
		{"nbd:unix:/sock", "", protocol, unix.EACCES},
		{"nbd://host/x", "", protocol, unix.EACCES},
		{"fat:rw:sub", "", protocol, unix.EACCES},
		{"file:nbd:x", "", "no such file or directory", unix.ENOENT},
		{"file:///etc/passwd", "raw", outside, unix.EACCES},
		{"a\nb", "raw", "no such file or directory", unix.ENOENT},
		{"\x1b[31m", "raw", "no such file or directory", unix.ENOENT},
		{strings.Repeat("x", 300), "raw", "file name too long", unix.ENAMETOOLONG},
		{strings.Repeat("x/", 500) + "y", "raw", "no such file or directory", unix.ENOENT},
		{"good", "vmdk-sparse", "", unix.EOPNOTSUPP},
		{"good", "no such format", "", unix.EOPNOTSUPP},
	} {
		qcow2(t, dir+"/top", tc.name, tc.format, 0)
		for _, how := range []string{"mapped alone", "mounted"} {
			e := NewEngine(vmmtest.Walker{}, Access{}, Limits{Cache: 1 << 20})
			var err error
			if how == "mounted" {
				tree, terr := files.OpenTree(dir)
				if terr != nil {
					t.Fatal(terr)
				}
				_, _, err = NewSource(tree, e, Options{Window: img.Whole}).Map(t.Context(), nil, "top")
				tree.Close()
			} else {
				_, err = e.MapFile(t.Context(), dir+"/top", Options{Window: img.Whole})
			}
			var failed *Error
			switch {
			case err == nil && (tc.errno != 0 || tc.text != ""):
				t.Errorf("%.60q %s: it was opened", tc.name, how)
			case err == nil:
			case !errors.As(err, &failed) || failed.Errno() != tc.errno || !strings.Contains(err.Error(), tc.text):
				t.Errorf("%.60q %s: %v, want %q and %v", tc.name, how, err, tc.text, tc.errno)
			case strings.ContainsAny(err.Error(), "\n\x1b"), len(err.Error()) > 1500:
				t.Errorf("%.60q %s: %q", tc.name, how, err)
			}
		}
	}
}

// TestNameOfAGibibyte: an image claims that the name of its backing file is as long as that, or longer than any.
func TestNameOfAGibibyte(t *testing.T) {
	for _, n := range []uint32{1024, 1 << 30, 1<<32 - 1} {
		q := qcow2test.New(1<<20, 16)
		q.Backing = "base"
		q.Spoil32(qcow2test.OffBackingFileSize, n)
		name := filepath.Join(t.TempDir(), "top")
		if err := os.WriteFile(name, q.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := NewEngine(vmmtest.Walker{}, Access{}, Limits{}).MapFile(t.Context(), name, Options{Window: img.Whole})
		var failed *Error
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), "Backing file name too long") || len(err.Error()) > 500 {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestRefusalsAreAlike: all that differs between the refusal of a file that is there and of one that is not is its name.
func TestRefusalsAreAlike(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"/images", "/outside"} {
		if err := os.Mkdir(root+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(root+"/outside/aaaa", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	said := func(name string) string {
		qcow2(t, root+"/images/top", name, "raw")
		_, err := NewEngine(vmmtest.Walker{}, Access{}, Limits{}).MapFile(t.Context(), root+"/images/top", Options{Window: img.Whole})
		return strings.ReplaceAll(fmt.Sprint(err), name, "NAME")
	}
	for _, prefix := range []string{"../outside/", root + "/outside/"} {
		if a, b := said(prefix+"aaaa"), said(prefix+"bbbb"); a != b {
			t.Errorf("%s\n%s", a, b)
		}
	}
}

// TestDepth: chains that are too long, endless, or just long enough.
func TestDepth(t *testing.T) {
	dir := t.TempDir()
	chain := func(n int, last string) string {
		for i := range n {
			backing := fmt.Sprintf("%d-%d", n, i+1)
			if i == n-1 {
				backing = last
			}
			qcow2(t, fmt.Sprintf("%s/%d-%d", dir, n, i), backing, "")
		}
		return fmt.Sprintf("%s/%d-0", dir, n)
	}
	for _, tc := range []struct {
		top  string
		max  int
		want error
	}{
		{chain(65, ""), 0, nil},
		{chain(66, ""), 0, errDeep},
		{chain(67, ""), 66, nil},
		{chain(1000, ""), 0, errDeep},
		{chain(1000, ""), 999, nil},
		{chain(1, "1-0"), 0, errLoop},
		{chain(2, "2-0"), 0, errLoop},
		{chain(3, "3-1"), 0, errLoop},
		{chain(60, "./60-0"), 0, errLoop},
		{chain(100, "100-0"), 0, errDeep},
		{chain(100, "100-0"), 1000, errLoop},
	} {
		r, err := NewEngine(vmmtest.Walker{}, Access{MaxDepth: tc.max}, Limits{Cache: 1 << 20}).MapFile(t.Context(), tc.top, Options{Window: img.Whole})
		if !errors.Is(err, tc.want) {
			t.Errorf("%s, up to %d: %v, want %v", filepath.Base(tc.top), tc.max, err, tc.want)
		}
		var failed *Error
		if tc.want != nil && errors.As(err, &failed) && failed.Errno() != unix.ELOOP {
			t.Errorf("%s: %v", filepath.Base(tc.top), failed.Errno())
		}
		if tc.want == nil && err == nil && r.Map.At(0).Depth == 0 {
			t.Errorf("%s: %+v", filepath.Base(tc.top), r.Map.At(0))
		}
	}
}

// TestLinkSwappedWhileOpening: a link that changes from a file beneath the tree to one outside, again and again, never leads outside.
func TestLinkSwappedWhileOpening(t *testing.T) {
	root := t.TempDir()
	dir := root + "/images"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	qcow2(t, dir+"/inside", "", "", 1)
	// What is outside has another size, which would show.
	if err := os.WriteFile(root+"/outside", make([]byte, 512), 0o644); err != nil {
		t.Fatal(err)
	}
	qcow2(t, dir+"/top", "base", "qcow2")
	if err := os.Symlink("inside", dir+"/base"); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	swapped := make(chan struct{})
	go func() {
		defer close(swapped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Symlink([]string{"../outside", "inside"}[i%2], dir+"/next")
			_ = os.Rename(dir+"/next", dir+"/base")
		}
	}()
	defer func() { close(stop); <-swapped }()
	e := NewEngine(vmmtest.Walker{}, Access{}, Limits{Cache: 1 << 20})
	var mapped, refusals int
	for until := time.Now().Add(giveUp); (mapped < 50 || refusals < 50) && time.Now().Before(until); {
		r, err := e.MapFile(t.Context(), dir+"/top", Options{Window: img.Whole})
		var failed *Error
		switch {
		case err == nil:
			mapped++
			if at := r.Map.At(r.Map.Find(1 << 16)); at.Depth != 1 || at.Flags != stored {
				t.Fatalf("mapped over something else: %+v", at)
			}
		case errors.As(err, &failed) && failed.Errno() == unix.EACCES && strings.Contains(err.Error(), files.ErrOutside.Error()):
			refusals++
		default:
			t.Fatal(err)
		}
	}
	if mapped == 0 || refusals == 0 {
		t.Errorf("%d times mapped, %d times refused", mapped, refusals)
	}
}

// TestAllowedDirectories: more roots, none at all, and all that there is.
func TestAllowedDirectories(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"/images", "/bases", "/bases/deep"} {
		if err := os.Mkdir(root+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	qcow2(t, root+"/bases/deep/base", "../lower", "", 3)
	qcow2(t, root+"/bases/lower", "", "", 4)
	qcow2(t, root+"/images/plain", "", "")
	if err := unix.Mkfifo(root+"/bases/fifo", 0o644); err != nil {
		t.Fatal(err)
	}
	allow, err := files.OpenTree(root + "/bases")
	if err != nil {
		t.Fatal(err)
	}
	defer allow.Close()
	for _, tc := range []struct {
		access  Access
		backing string
		want    error
	}{
		{Access{}, "../bases/deep/base", files.ErrOutside},
		{Access{Allow: []*files.Tree{allow}}, "../bases/deep/base", nil},
		{Access{Allow: []*files.Tree{allow}}, root + "/bases/deep/base", nil},
		{Access{Allow: []*files.Tree{allow}}, root + "/bases/deep/../../images/plain", nil},
		{Access{Allow: []*files.Tree{allow}}, "../bases/fifo", ErrNotRegular},
		{Access{Allow: []*files.Tree{allow}}, "/etc/passwd", files.ErrOutside},
		{Access{References: None}, "plain", errNone},
		{Access{References: None, Allow: []*files.Tree{allow}}, "../bases/deep/base", errNone},
		{Access{References: Any}, "../bases/deep/base", nil},
		{Access{References: Any}, root + "/bases/deep/base", nil},
		{Access{References: Any}, "../bases/fifo", ErrNotRegular},
		{Access{References: Any}, "/dev/zero", ErrNotRegular},
		{Access{References: Any}, "/proc/self/status", ErrNotRegular},
		{Access{References: Any}, "nbd:x", errProtocol},
		{Access{References: Any}, "../bases/not-there", unix.ENOENT},
	} {
		qcow2(t, root+"/images/top", tc.backing, "")
		r, err := NewEngine(vmmtest.Walker{}, tc.access, Limits{Cache: 1 << 20}).MapFile(t.Context(), root+"/images/top", Options{Window: img.Whole})
		if !errors.Is(err, tc.want) {
			t.Errorf("%q with %+v: %v, want %v", tc.backing, tc.access, err, tc.want)
		}
		if err == nil && strings.HasSuffix(tc.backing, "deep/base") && r.Map.At(r.Map.Find(4<<16)).Depth != 2 {
			t.Errorf("%q: %+v", tc.backing, extents(r.Map))
		}
	}
}
