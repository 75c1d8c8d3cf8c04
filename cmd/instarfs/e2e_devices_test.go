package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/guest/format/qcow2/qcow2test"
)

// loopDevice makes a block device that has the content of a file until the test ends. It returns
// "" on a machine without such devices; the rest of the suite does not depend on them.
func loopDevice(t *testing.T, file string) string {
	t.Helper()
	if _, err := os.Stat("/dev/loop-control"); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	out, err := combined([]string{"losetup", "-f", "--show", file})
	if err != nil {
		t.Fatalf("losetup: %v: %s (the package mount is needed, and root)", err, out)
	}
	device := strings.TrimSpace(out)
	t.Cleanup(func() {
		if out, err := combined([]string{"losetup", "-d", device}); err != nil {
			t.Errorf("losetup -d %s: %v: %s", device, err, out)
		}
	})
	return device
}

// A block device is mapped like a file of its size, without holes.
func TestMapOfBlockDevice(t *testing.T) {
	o := newOracle(t)
	file := filepath.Join(o.dir, "disk")
	q := qcow2test.New(1<<20, 16)
	q.Data(2, 3)
	writeImage(t, file, q)
	device := loopDevice(t, file)
	if device == "" {
		return
	}
	real := realTool(t)
	for _, args := range []string{"", "-f\x00raw\x00", "-s\x00100000\x00"} {
		o.compareWith(t, real, args+"--output=json\x00"+device)
		o.compareWith(t, real, args+device)
	}
}

// deviceContent is a qcow2 in which n clusters have data.
func deviceContent(n uint64) string {
	q := qcow2test.New(1<<20, 16)
	q.Data(2, n)
	return string(q.Bytes())
}

// With --include-devices block devices are images, and so are links to them. Nothing but their
// content tells that it changed.
func TestIncludeDevices(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	writeAt(t, disk, map[int64]string{0: deviceContent(1), 4<<20 - 1: "\x00"})
	device := loopDevice(t, disk)
	if device == "" {
		return
	}
	source := t.TempDir()
	openTo(t, source)
	var st unix.Stat_t
	node := filepath.Join(source, "sda")
	if err := errors.Join(
		unix.Stat(device, &st), unix.Mknod(node, unix.S_IFBLK|0o640, int(st.Rdev)),
		unix.Mknod(filepath.Join(source, "loop"), unix.S_IFBLK|0o640, int(st.Rdev)),
		os.Symlink("sda", filepath.Join(source, "link")),
		os.WriteFile(filepath.Join(source, "a.txt"), nil, 0o644),
	); err != nil {
		t.Fatal(err)
	}
	// A device is no backing file, whatever is mounted.
	q := qcow2test.New(1<<20, 16)
	q.Backing = "sda"
	writeImage(t, filepath.Join(source, "over.qcow2"), q)

	dir := t.TempDir()
	openTo(t, dir)
	s := serveAt(t, source, dir, "--include-devices", "--exclude", "loop", "--allow-other")
	want := viewsOf("link", "over.qcow2", "sda")
	if listed := filesBelow(t, s.dir); !slices.Equal(listed, want) {
		t.Errorf("listed %q", listed)
	}
	real := realTool(t)
	expect := func(name string) func() bool {
		out := mapsOf(t, real, node)[".map.json"]
		return func() bool { return s.read(name) == out }
	}
	for _, name := range []string{"sda.map.json", "link.map.json"} {
		if !expect(name)() {
			t.Errorf("%s: %s", name, s.read(name))
		}
	}
	if _, err := os.ReadFile(s.path("over.qcow2.map.json")); !errors.Is(err, unix.EACCES) {
		t.Errorf("an image over a device: %v", err)
	}
	if out, _ := as(ann, "cat", s.path("sda.map.json")).CombinedOutput(); !strings.Contains(
		string(out), "Permission denied") {
		t.Errorf("who may not read the device: %s", out)
	}
	f, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(deviceContent(5)), 0); err != nil {
		t.Fatal(err)
	}
	await(t, "the map of the device shows what was written", expect("sda.map.json"))

	volumes := t.TempDir() // as device-mapper has them: links to devices of another directory
	if err := os.Symlink(node, filepath.Join(volumes, "lv")); err != nil {
		t.Fatal(err)
	}
	s = serve(t, volumes, "--include-devices", "--allow-dir", source)
	if listed := filesBelow(t, s.dir); !slices.Equal(listed, viewsOf("lv")) {
		t.Errorf("links to devices elsewhere: listed %q", listed)
	}
	if !expect("lv.map.json")() {
		t.Errorf("a link to a device elsewhere: %s", s.read("lv.map.json"))
	}

	plain := serve(t, source)
	if listed := filesBelow(t, plain.dir); !slices.Equal(listed, want[2:4]) {
		t.Errorf("without the option: listed %q", listed)
	}
	if _, err := os.Stat(plain.path("sda.map.json")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("without the option: %v", err)
	}
}
