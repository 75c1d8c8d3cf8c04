package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/show"
	"instarfs/needs"
	"instarfs/vmm/chain"
	"instarfs/vmm/chaintest"
	"instarfs/vmm/failure"
	"instarfs/vmm/files"
	"instarfs/vmm/vmmtest"
)

// countingWalker carries out runs in this process, and counts them.
type countingWalker struct{ runs atomic.Int32 }

func (c *countingWalker) Run(ctx context.Context, job *chaintest.Job) (*chaintest.Layer, error) {
	c.runs.Add(1)
	return vmmtest.Walker{}.Run(ctx, job)
}

// TestSharedBase: a base under a hundred overlays is mapped once, and a change costs what changed.
// Some overlays say that the base is a qcow2, others leave that to be found out.
func TestSharedBase(t *testing.T) {
	dir := t.TempDir()
	qcow2(t, dir+"/base", "", "", 0, 2, 4)
	const overlays = 100
	for i := range overlays {
		qcow2(t, fmt.Sprintf("%s/overlay%d", dir, i), "base",
			[]string{"", "qcow2"}[i%2], uint64(i%16))
	}
	tree, err := files.OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	var walker countingWalker
	s := New(tree, chain.NewEngine(&walker, chain.Access{}, chain.Limits{Cache: 64 << 20}), options)
	all := func() (generations []chain.Generation) {
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
			if at := m.At(m.Find(uint64(i%16) << 16)); at.Depth != 0 ||
				m.Files()[0] != dir+"/"+name {
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

// TestHostileReferences: what an image may not have opened is not opened, whatever it is, and the
// answer does not tell whether it is there. A FIFO must not block, a device not be touched.
func TestHostileReferences(t *testing.T) {
	needs.Root(t)
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
	if err := unix.Mknod(dir+"/zero", unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{
		"link-out": root + "/outside/there", "link-out-relative": "../outside/there",
		"link-away": root + "/outside/not-there",
		"link-in":   "good", "link-dir": root + "/outside", "link-self": "link-self",
		"link-proc": "/proc/self/mem",
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
		{"\x1b[31m\u009b\u202e", "raw", "no such file or directory", unix.ENOENT},
		{strings.Repeat("x", 300), "raw", "file name too long", unix.ENAMETOOLONG},
		{strings.Repeat("x/", 500) + "y", "raw", "no such file or directory", unix.ENOENT},
		{"good", "vmdk-sparse", "", unix.EOPNOTSUPP},
		{"good", "no such format", "", unix.EOPNOTSUPP},
	} {
		qcow2(t, dir+"/top", tc.name, tc.format, 0)
		for _, how := range []string{"mapped alone", "mounted"} {
			e := chain.NewEngine(vmmtest.Walker{}, chain.Access{}, chain.Limits{Cache: 1 << 20})
			var err error
			if how == "mounted" {
				tree, terr := files.OpenTree(dir)
				if terr != nil {
					t.Fatal(terr)
				}
				_, _, err = New(tree, e, options).Map(t.Context(), nil, "top")
				tree.Close()
			} else {
				_, err = e.MapFile(t.Context(), dir+"/top", options.Options)
			}
			var failed *failure.Error
			switch {
			case err == nil && (tc.errno != 0 || tc.text != ""):
				t.Errorf("%.60q %s: it was opened", tc.name, how)
			case err == nil:
			case !errors.As(err, &failed) || failed.Errno() != tc.errno ||
				!strings.Contains(err.Error(), tc.text):
				t.Errorf("%.60q %s: %v, want %q and %v", tc.name, how, err, tc.text, tc.errno)
			case show.Line(err.Error()) != err.Error(), len(err.Error()) > 1500:
				t.Errorf("%.60q %s: %q", tc.name, how, err)
			}
		}
	}
}

// TestMissingIsAnotherGeneration: what a missing base leaves of an image is not the image alone,
// and not what another error leaves of it.
func TestMissingIsAnotherGeneration(t *testing.T) {
	dir := t.TempDir()
	qcow2(t, dir+"/over", "base", "qcow2", 1)
	e := chain.NewEngine(vmmtest.Walker{}, chain.Access{}, chain.Limits{Cache: 1 << 20})
	s := New(openTree(t, dir), e, options)
	seen := map[chain.Generation]string{}
	for _, now := range []struct {
		what string
		do   func() error
	}{
		{"unknown", func() error { return nil }},
		{"missing", func() error { _, _, _ = s.Map(t.Context(), nil, "over"); return nil }},
		{"endless", func() error { return os.Symlink("base", dir+"/base") }},
	} {
		if err := now.do(); err != nil {
			t.Fatal(err)
		}
		i, err := s.Stat(t.Context(), nil, "over")
		if before, ok := seen[i.Generation]; err != nil || ok {
			t.Errorf("%s: the generation is the one of %s, %v", now.what, before, err)
		}
		seen[i.Generation] = now.what
	}
}
