package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"instarfs/cmd/instarfs/guests"
	"instarfs/needs"
)

// image is one that a test makes with the installed qemu tools and then damages.
type image struct {
	name   string
	create string   // options of qemu-img create and the size, if the image is a qcow2
	io     []string // commands of qemu-io
	patch  map[int64]string
}

func (i image) make(t *testing.T, dir string) {
	t.Helper()
	needs.Qemu(t)
	file := dir + "/" + i.name
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v: %s (install the package qemu-utils)", name, args, err, out)
		}
	}
	if words := strings.Fields(i.create); len(words) > 0 {
		size := words[len(words)-1]
		run("qemu-img", append(append([]string{"create", "-q", "-f", "qcow2"},
			words[:len(words)-1]...), file, size)...)
	}
	for _, c := range i.io {
		run("qemu-io", "-f", "qcow2", "-c", c, file)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for off, bytes := range i.patch {
		if _, err := f.WriteAt([]byte(bytes), off); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMapOfRealImages goes all the way, through the guest, and compares both views of images and
// windows with qemu-img. In a fresh qcow2 of 64 KiB clusters the refcount table is at 0x10000, the
// L1 table at 0x30000, the first L2 table at 0x40000.
func TestMapOfRealImages(t *testing.T) { eachCarrier(t, testRealImages) }

func testRealImages(t *testing.T, how guests.Isolation) {
	o := newOracle(t)
	t.Chdir(o.dir)
	real := newTool()
	real.newEngine = func(o sharedOptions) (engine, error) {
		o.Isolation = how
		return newEngine(o)
	}
	for _, tc := range []struct {
		image
		args []string // besides those that map all of it
	}{
		{image{"empty.qcow2", "0", nil, nil}, nil},
		{image{"sector.qcow2", "512", nil, nil}, nil},
		{image{"rounded up.qcow2", "1000", nil, nil}, nil},
		{image{"rounded down.qcow2", "1024", nil, map[int64]string{30: "\x03\xff"}}, nil},
		{image{"windows.qcow2", "1M", []string{"write 64k 64k"}, nil},
			[]string{"-s 65537 -l 3", "-s 60000 -l 100000", "-s 1M",
				"-s 5M -l 1", "-l 0", "-s 1023k -l 1G", "-s 70000 -l 10",
				"-s 1 -l 9223372036854775807", "-f raw"}},
		{image{"v2.qcow2", "-o compat=0.10 192k",
			[]string{"write 0 64k", "write -z 64k 64k", "discard 0 64k"}, nil}, nil},
		{image{"zero flag in v2.qcow2", "-o compat=0.10 256k", []string{"write 0 64k"},
			map[int64]string{0x40000 + 8*3 + 7: "\x01"}},
			[]string{"-l 192k", "-s 192k", "-s 200000 -l 1"}},
		{image{"cluster unaligned.qcow2", "512k", []string{"write 0 64k", "write 128k 128k"},
			map[int64]string{0x40000 + 8*3 + 6: "\x02"}}, nil},
		{image{"l2 unaligned.qcow2", "512k", []string{"write 0 64k"},
			map[int64]string{0x30000 + 6: "\x02"}}, nil},
		{image{"refblock unaligned.qcow2", "512k", []string{"write 0 64k"},
			map[int64]string{0x10000 + 6: "\x02"}}, nil},
		{image{"compressed.qcow2", "1M",
			[]string{"write 0 64k", "write -c 64k 64k", "write -c 128k 64k"}, nil},
			[]string{"-l 64k", "-s 64k", "-s 100000"}},
		{image{"compressed before corrupt.qcow2", "512k",
			[]string{"write 0 64k", "write -c 64k 64k", "write 256k 64k"},
			map[int64]string{0x40000 + 8*4 + 6: "\x02"}}, nil},
		{image{"both bits.qcow2", "-o extended_l2=on 512k",
			[]string{"write 0 64k", "write 128k 64k"},
			map[int64]string{0x40000 + 16*2 + 8: "\x00\x00\x00\x01"}}, []string{"-s 64k -l 64k"}},
		{image{"x:y", "", nil, map[int64]string{0: "x"}}, nil},
		{image{"./x:y", "", nil, nil}, nil},
		{image{"tail.raw", "", nil, map[int64]string{8192: "abc"}}, []string{"-f raw -s 8194"}},
	} {
		tc.make(t, o.dir)
		for _, args := range append(tc.args, "") {
			for _, output := range []string{"--output=json", "--output=human"} {
				o.compareWith(t, real,
					strings.Join(append(strings.Fields(args), output, tc.name), "\x00"))
			}
		}
	}
}

// By default nothing is printed of an image that is corrupt, and the table shows what is
// compressed.
func TestMapOfRealImagesByDefault(t *testing.T) {
	t.Chdir(t.TempDir())
	real := newTool()
	real.newEngine = newEngine
	image{"bad", "-o compat=0.10 256k", []string{"write 0 64k"},
		map[int64]string{0x40000 + 8*3 + 7: "\x01"}}.make(t, ".")
	if code := real.run("map", "bad"); code != 1 || real.stdout.Len() > 0 ||
		!strings.HasPrefix(real.stderr.String(), "instarfs: map bad: ") ||
		strings.Count(real.stderr.String(), "\n") != 1 {
		t.Errorf("exit %d, stdout %q, stderr %q", code, real.stdout.String(), real.stderr.String())
	}
	image{"good", "256k", []string{"write -c 0 64k", "write 64k 64k"}, nil}.make(t, ".")
	if code := real.run("map", "good"); code != 0 ||
		!strings.Contains(real.stdout.String(),
			"\n0               0x10000         compressed      good\n") {
		t.Errorf("exit %d, stdout %q", code, real.stdout.String())
	}
}
