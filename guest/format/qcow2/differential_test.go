package qcow2_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qcow2"
	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/guest/format/qemutest"
	"instarfs/guest/img"
)

// qemuMap runs the installed qemu-img map.
func qemuMap(t *testing.T, dir, name string, start, length uint64) (stdout []byte, stderr string, status int) {
	t.Helper()
	cmd := exec.Command(formattest.Tool(t, "qemu-img"), "map", "-f", "qcow2", "--output=json",
		"-s", fmt.Sprint(start), "-l", fmt.Sprint(length), name)
	cmd.Dir = dir
	var out, msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &msg
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.Bytes(), msg.String(), cmd.ProcessState.ExitCode()
}

// compare maps a window of an image with the walker and with qemu-img, and compares output, messages and exit status.
func compare(t *testing.T, dir, name string, start, length uint64) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	size := uint64(st.Size())
	dev := formattest.NewDevice(f, size)
	params := &format.Params{Dev: dev, Allocated: uint64(st.Sys().(*syscall.Stat_t).Blocks) * 512, Release: 7<<16 | 2}
	res, fault, err := formattest.Run(&qcow2.Driver, params, window(start, start+length))
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, status := qemuMap(t, dir, name, start, length)
	if fault != nil {
		want := "qemu-img: Could not open '" + name + "': " + fault.Told(name) + "\n"
		if status != 1 || len(stdout) != 0 || stderr != want {
			t.Fatalf("fault %v, but qemu-img: status %d, %s%s", fault, status, stdout, stderr)
		}
		return
	}
	holes := f
	for _, r := range res.References {
		if r.Kind != img.DataFile || r.Name != dataFile {
			return // a name made up by chance: the file is not there
		}
		if holes, err = os.Open(filepath.Join(dir, r.Name)); err != nil {
			t.Fatal(err)
		}
		defer holes.Close()
	}
	answer, err := formattest.Resolve(res, start, holes)
	if err != nil {
		t.Fatal(err)
	}
	var want string
	said := func(message string) {
		if want == "" {
			want = "qcow2: Image is corrupt: " + message + "; further non-fatal corruption events will be suppressed\n"
		}
	}
	for _, w := range res.Warnings {
		said(w.Message())
	}
	wantStatus := 0
	if answer.Failed {
		said(answer.Fault.Message())
		want += "qemu-img: Could not read file metadata: Input/output error\n"
		wantStatus = 1
	}
	if status != wantStatus || !bytes.Equal(stdout, answer.Stdout) || stderr != want && !strings.Contains(stderr, "bitmaps are now") {
		t.Fatalf("-s %d -l %d: status %d, want %d\n%s\nwant\n%s\nqemu-img says %q\nwe say %q",
			start, length, status, wantStatus, excerpt(stdout, answer.Stdout), excerpt(answer.Stdout, stdout), stderr, want)
	}
}

// excerpt is b from shortly before the first difference from other.
func excerpt(b, other []byte) []byte {
	i := 0
	for i < len(b) && i < len(other) && b[i] == other[i] {
		i++
	}
	return b[max(0, i-200):min(len(b), i+300)]
}

// TestAgainstQemuImg compares whole maps and windows of random images.
func TestAgainstQemuImg(t *testing.T) {
	dir := t.TempDir()
	for seed := range int64(90) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewSource(seed))
			name := "image"
			path := qemutest.RandomQcow2(t, rng, dir, name)
			defer os.Remove(path)
			everyWindow(t, rng, dir, path)
		})
	}
}

// TestCorruptAgainstQemuImg does the same with images that were spoilt.
func TestCorruptAgainstQemuImg(t *testing.T) {
	dir := t.TempDir()
	for seed := range int64(120) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewSource(1<<32 + seed))
			path := qemutest.RandomQcow2(t, rng, dir, "image")
			defer os.Remove(path)
			qemutest.CorruptQcow2(t, rng, path)
			everyWindow(t, rng, dir, path)
		})
	}
}

// dataFile is the name of the data file in images that have one.
const dataFile = "data"

// TestCraftedAgainstQemuImg does the same with images full of entries of every kind, wrong ones among them.
func TestCraftedAgainstQemuImg(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, dataFile), make([]byte, 100<<10), 0o666); err != nil {
		t.Fatal(err)
	}
	for seed := range int64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewSource(1<<33 + seed))
			path := filepath.Join(dir, "image")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer os.Remove(path)
			defer f.Close()
			if _, err := qcow2test.RandomEntries(rng, dataFile).Write(f); err != nil {
				t.Fatal(err)
			}
			everyWindow(t, rng, dir, path)
		})
	}
}

// everyWindow compares the whole image and some windows, and all of that with the model where the image can be opened.
func everyWindow(t *testing.T, rng *rand.Rand, dir, path string) {
	t.Helper()
	name := filepath.Base(path)
	compare(t, dir, name, 0, 1<<62)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(st.Size())
	allocated := uint64(st.Sys().(*syscall.Stat_t).Blocks) * 512
	res, fault := walk(t, f, n, allocated, window(0, 0))
	if fault != nil {
		return
	}
	if res.Size <= 64<<20 {
		agree(t, f, n, allocated, img.Whole)
	}
	for range 2 {
		start, length := formattest.RandomWindow(rng, res.Size)
		compare(t, dir, name, start, length)
		if length <= 64<<20 {
			agree(t, f, n, allocated, window(start, start+length))
		}
	}
}
