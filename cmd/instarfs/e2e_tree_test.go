package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"instarfs/guest/format/qcow2/qcow2test"
)

// sampleImages are those of the tree that most tests mount; the paths are those below the source.
var sampleImages = []string{
	"disk.qcow2", "empty.raw", "holes.img", "many.qcow2",
	"sub/deep/er/compressed.qcow2", "sub/deep/extended.qcow2", "sub/with space.raw",
	"sub/zero.QCOW2",
}

// sampleTree makes a tree of images beside files that are none.
func sampleTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	disk := qcow2test.New(10<<20, 16)
	disk.Data(3, 5)
	disk.Data(100, 1)
	many := qcow2test.New(24<<20, 9) // 24,576 runs, a map of more than a megabyte
	for i := uint64(0); i < 48<<10; i += 2 {
		many.Sparse(i, 1)
	}
	zero := qcow2test.New(1<<20, 12)
	zero.Zero(7, 20)
	compressed := qcow2test.New(1<<20, 16)
	compressed.Data(0, 1)
	compressed.Compressed(1, 2)
	extended := qcow2test.New(1<<20, 16)
	extended.ExtendedL2 = true
	extended.Data(1, 1)
	*extended.Bitmap(1) = 0x00ff00000000ff00
	for name, q := range map[string]*qcow2test.Image{
		"disk.qcow2": disk, "many.qcow2": many, "sub/zero.QCOW2": zero,
		"sub/deep/er/compressed.qcow2": compressed,
		"sub/deep/extended.qcow2":      extended,
	} {
		writeImage(t, filepath.Join(root, name), q)
	}
	writeAt(t, filepath.Join(root, "empty.raw"), nil)
	writeAt(t, filepath.Join(root, "holes.img"),
		map[int64]string{1 << 20: "x", 5<<20 + 77: "the end"})
	writeAt(t, filepath.Join(root, "sub/with space.raw"), map[int64]string{0: "x", 32 << 20: "far"})
	writeAt(t, filepath.Join(root, "notes.txt"), map[int64]string{0: "no image, but a file"})
	writeAt(t, filepath.Join(root, "sub/deep/none"), nil)
	if err := os.MkdirAll(filepath.Join(root, "hollow/er"), 0o755); err != nil {
		t.Fatal(err)
	}
	settleTree(t, root)
	return root
}

// writeImage writes an image into a file, of which missing directories are made.
func writeImage(t *testing.T, file string, q *qcow2test.Image) {
	t.Helper()
	f := create(t, file)
	defer f.Close()
	if _, err := q.Write(f); err != nil {
		t.Fatal(err)
	}
}

// writeAt makes a file of what stands at its offsets.
func writeAt(t *testing.T, file string, parts map[int64]string) {
	t.Helper()
	f := create(t, file)
	defer f.Close()
	for off, text := range parts {
		if _, err := f.WriteAt([]byte(text), off); err != nil {
			t.Fatal(err)
		}
	}
}

func create(t *testing.T, file string) *os.File {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// settleTree settles all files below a directory.
func settleTree(t *testing.T, root string) {
	t.Helper()
	for _, name := range filesBelow(t, root) {
		settle(t, filepath.Join(root, name))
	}
}

// filesBelow are the paths of all that is not a directory, sorted.
func filesBelow(t *testing.T, root string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			list = append(list, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	slices.Sort(list)
	return list
}

// outputs are the options of map that print the views.
var outputs = map[string]string{".map.json": "--output=json", ".map.txt": "--output=human"}

// viewsOf returns the files that stand for images, sorted.
func viewsOf(images ...string) (files []string) {
	for _, image := range images {
		for view := range outputs {
			files = append(files, image+view)
		}
	}
	slices.Sort(files)
	return files
}

// TestMountShowsEveryMap compares all that a mount lists with what instarfs map and, in a profile,
// qemu-img map print.
func TestMountShowsEveryMap(t *testing.T) {
	source := sampleTree(t)
	real := realTool(t)
	qemu := newOracle(t).releases[0]
	listed := viewsOf(sampleImages...)
	for _, profile := range [][]string{nil, {"--qemu-version", qemu.version}} {
		s := serve(t, source, profile...)
		if got := filesBelow(t, s.dir); !slices.Equal(got, listed) {
			t.Errorf("%v: the mount lists %q, want %q", profile, got, listed)
		}
		for _, name := range append([]string{"notes.txt.map.json", "sub/deep/none.map.txt"},
			listed...) {
			view := filepath.Ext(strings.TrimSuffix(name, filepath.Ext(name))) + filepath.Ext(name)
			image := strings.TrimSuffix(name, view)
			args := []string{"map", outputs[view], filepath.Join(source, image)}
			real.stdout.Reset()
			code := real.run(append(args, profile...)...)
			want := real.stdout.String()
			if profile != nil {
				out, err := exec.Command(qemu.program, args...).Output()
				if err != nil && !errors.As(err, new(*exec.ExitError)) {
					t.Fatal(err)
				}
				if want != string(out) {
					t.Errorf("%s: instarfs map prints %.300q, qemu-img %.300q", name, want, out)
				}
			}
			got, err := os.ReadFile(s.path(name))
			switch {
			case code == 0 && (err != nil || string(got) != want):
				t.Errorf("%v: %s: %.300q, %v, want %.300q", profile, name, got, err, want)
			case code == 0:
			case image != "sub/deep/er/compressed.qcow2" || view != ".map.txt" || profile == nil:
				t.Errorf("%v: %s: instarfs map has status %d", profile, name, code)
			case !errors.Is(err, syscall.EOPNOTSUPP):
				t.Errorf("%v: %s cannot be printed: %v", profile, name, err)
			}
		}
	}
}
