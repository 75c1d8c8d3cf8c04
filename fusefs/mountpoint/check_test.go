package mountpoint

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/needs"
)

// mount mounts at a directory for the duration of the test.
func mount(t *testing.T, source, point, fstype string, flags uintptr) {
	t.Helper()
	if err := unix.Mount(source, point, fstype, flags, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func TestCheck(t *testing.T) {
	needs.Root(t)
	root := t.TempDir()
	in := func(name string) string { return filepath.Join(root, name) }
	var errs []error
	for _, dir := range []string{"source", "source/sub", "bound", "busy", "free"} {
		errs = append(errs, os.Mkdir(in(dir), 0o755))
	}
	errs = append(errs,
		os.WriteFile(in("file"), nil, 0o644), os.Symlink("source/sub", in("link")),
		os.Symlink("free", in("way")), os.Symlink("loop", in("loop")))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	mount(t, in("source"), in("bound"), "", unix.MS_BIND)
	mount(t, "busy", in("busy"), "tmpfs", 0)
	const inside, around = "the mount point is inside the source",
		"the source is inside the mount point"
	for _, c := range []struct{ source, point, want string }{
		{"source", "source", inside},
		{"source", "source/sub", inside},
		{"source", "link", inside},
		{"source", "bound/sub", inside},
		{"source/sub", "source", around},
		{"link", "source", around},
		{"source", ".", around},
		{"source", "busy", "busy (type tmpfs) is mounted there already"},
		{"source", "file", "it is not a directory"},
		{"source", "none", "no such file or directory"},
		{"source", "loop", "too many levels of symbolic links"},
		{"none", "free", "no such file or directory"},
	} {
		_, err := Check(in(c.source), in(c.point), t.Errorf)
		if err == nil || !strings.Contains(err.Error(), c.want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("mount %s at %s: %v, want %q", c.source, c.point, err, c.want)
		}
	}
	for _, point := range []string{"free", "way", "way/../free"} {
		real, err := Check(in("source"), in("source")+"/../"+point, t.Errorf)
		if want, _ := filepath.EvalSymlinks(in("free")); err != nil || real != want {
			t.Errorf("mount at %s: %q, %v, want %q", point, real, err, want)
		}
	}
}

// TestWithin: what does not answer is not waited for.
func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := func(after time.Duration) func() (int, error) {
			return func() (int, error) {
				time.Sleep(after)
				return 7, nil
			}
		}
		if n, err := within(time.Second, answer(time.Second-1)); n != 7 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := within(time.Second, answer(time.Hour)); n != 0 || err != errNoAnswer {
			t.Errorf("%d, %v", n, err)
		}
		time.Sleep(time.Hour)
	})
}
