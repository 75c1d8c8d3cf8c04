package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unicode"

	"instarfs/cmd/instarfs/guests"
	"instarfs/guest/format/qcow2/qcow2test"
)

// magics are how images of all formats begin.
var magics = map[string]string{
	"qcow2-v2": "QFI\xfb\x00\x00\x00\x02", "qcow2-v3": "QFI\xfb\x00\x00\x00\x03",
	"qcow2-v4": "QFI\xfb\x00\x00\x00\x04",
	"qcow":     "QFI\xfb\x00\x00\x00\x01", "qed": "QED\x00", "vdi": strings.Repeat("<", 64) +
		"\x7f\x10\xda\xbe", "vmdk": "KDMV",
	"vmdk3": "COWD", "vmdk-text": "# Disk DescriptorFile\nversion=1\n", "vhd": "conectix",
	"vhdx":       "vhdxfile",
	"parallels":  "WithoutFreeSpace\x02\x00\x00\x00",
	"parallels2": "WithouFreSpacExt\x02\x00\x00\x00",
	"luks":       "LUKS\xba\xbe\x00\x01", "bochs": "Bochs Virtual HD Image",
	"cloop": "#!/bin/sh\n#V2.0 Format\nmodprobe cloop",
}

// headerFields are the numbers in a qcow2 header: offset and length, bytes.
var headerFields = [][2]int{
	{qcow2test.OffMagic, 4}, {qcow2test.OffVersion, 4}, {qcow2test.OffBackingFileOffset, 8},
	{qcow2test.OffBackingFileSize, 4},
	{qcow2test.OffClusterBits, 4}, {qcow2test.OffSize, 8}, {qcow2test.OffCryptMethod, 4},
	{qcow2test.OffL1Size, 4},
	{qcow2test.OffL1TableOffset, 8}, {qcow2test.OffRefcountTableOffset, 8},
	{qcow2test.OffRefcountTableSize, 4},
	{qcow2test.OffNbSnapshots, 4}, {qcow2test.OffSnapshotsOffset, 8},
	{qcow2test.OffIncompatible, 8},
	{qcow2test.OffCompatible, 8}, {qcow2test.OffAutoclear, 8}, {qcow2test.OffRefcountOrder, 4},
	{qcow2test.OffHeaderLength, 4},
	{qcow2test.OffCompressionType, 1}, {qcow2test.HeaderLength, 4}, {qcow2test.HeaderLength + 4, 4},
}

// hostileImages are images that lie, by name.
func hostileImages(rng *rand.Rand) map[string][]byte {
	good := variant(3)
	images := map[string][]byte{}
	garbage := func(n int) []byte {
		b := make([]byte, n)
		rng.Read(b)
		return b
	}
	for name, magic := range magics {
		images["magic-"+name] = append([]byte(magic), garbage(70_000)...)
		images["short-"+name] = []byte(magic)
	}
	overwrite := func(name string, off, n int) {
		for what, b := range map[string][]byte{
			"0": make([]byte, n), "ones": slices.Repeat([]byte{0xff}, n),
			"max":    append([]byte{0x7f}, slices.Repeat([]byte{0xff}, n-1)...),
			"random": garbage(n), "random-low": append(make([]byte, n-1), garbage(1)...),
		} {
			image := slices.Clone(good)
			copy(image[off:], b)
			images[fmt.Sprintf("%s-%d-%s", name, off, what)] = image
		}
	}
	for _, f := range headerFields {
		overwrite("header", f[0], f[1])
	}
	be := binary.BigEndian
	l1 := int(be.Uint64(good[qcow2test.OffL1TableOffset:]))
	l2 := int(be.Uint64(good[l1:]) &^ qcow2test.EntryCopied)
	reftable := int(be.Uint64(good[qcow2test.OffRefcountTableOffset:]))
	for _, off := range []int{l1, l1 + 8, l2, l2 + 8, l2 + 4088, reftable} {
		overwrite("entry", off, 8)
	}
	for _, n := range []int{
		1, 3, 4, 5, 7, 8, 19, 20, 23, 24, 31, 32, 71, 72, 79, 80, 99, 100, 103, 104, 105, 111, 112,
		113, 511, 512, 513, 4095, 4096,
		l1, l1 + 1, l1 + 8, l1 + 9, l2, l2 + 1, l2 + 8, l2 + 511, l2 + 4095, l2 + 4096,
		len(good) / 2, len(good) - 1,
	} {
		images[fmt.Sprintf("cut-%d", n)] = good[:n]
	}
	for i := range 100 {
		image := slices.Clone(good)
		for range 1 + rng.Intn(8) {
			image[rng.Intn(l2+4096)] = byte(rng.Intn(256))
		}
		images[fmt.Sprintf("bytes-%d", i)] = image
	}
	return images
}

// hostileErrnos are what open may say of an image that lies.
var hostileErrnos = []error{syscall.EIO, syscall.EOPNOTSUPP, syscall.EFBIG, syscall.ENOKEY}

// quiet is how long what a mount holds stays the same once nothing is under way in it.
const quiet = 200 * time.Millisecond

// TestHostileImages puts images that lie beside a good one. Each has a map, or a reason in one line
// and an errno that suits it; none of them costs the mount or its other files anything that lasts.
func TestHostileImages(t *testing.T) {
	source := t.TempDir()
	images := hostileImages(rand.New(rand.NewSource(1)))
	var names []string
	for name, content := range images {
		names = append(names, name+".qcow2")
		if err := os.WriteFile(filepath.Join(source, name+".qcow2"), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(names)
	good := filepath.Join(source, "good/good.qcow2")
	writeAt(t, good, map[int64]string{0: string(variant(1))})
	want := mapsOf(t, realTool(t), good)[".map.json"]

	s := serve(t, source)
	all := func() (mapped, refused int) { return s.openHostile(t, names, want) }
	all()
	// A process that waits for a run is started after the run that took the one before, and gets
	// its descriptors one by one.
	var before resources
	await(t, "all that wait for a run are there", func() bool {
		was := before
		time.Sleep(quiet)
		before = s.resources()
		return before.guests == was.guests && before.descriptors == was.descriptors &&
			(testIsolation(t) != guests.Process || before.guests == runtime.GOMAXPROCS(0)+1)
	})
	mapped, refused := all()
	t.Logf("%d images: %d mapped, %d refused", len(names), mapped, refused)
	if mapped < 50 || refused < 50 || before.guests == 0 {
		t.Errorf("the images do not lie well, or in no guest: %+v", before)
	}
	var after resources
	await(t, "guests and descriptors are given back", func() bool {
		after = s.resources()
		return after.descriptors <= before.descriptors+2 && after.guests <= before.guests
	})
	if after.resident > before.resident+64<<20 {
		t.Errorf("resident memory grew from %d to %d bytes over %d images", before.resident,
			after.resident, len(names))
	}
	for _, line := range s.log() {
		if strings.Contains(line, "panic") {
			t.Errorf("log: %s", line)
		}
	}
	if n := s.goroutines(); n > 100 {
		t.Errorf("%d goroutines are left", n)
	}
}

// openHostile looks at each image in all ways, two at a time, and at a good one in between.
func (s *server) openHostile(t *testing.T, names []string, good string) (mapped, refused int) {
	t.Helper()
	var next, ok atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(names); i = next.Add(1) - 1 {
				if s.lookHostile(t, names[i]) {
					ok.Add(1)
				}
				if i%16 == 0 && s.read("good/good.qcow2.map.json") != good {
					t.Errorf("the good image reads otherwise beside %s", names[i])
				}
			}
		})
	}
	wg.Wait()
	return int(ok.Load()), len(names) - int(ok.Load())
}

// lookHostile reports whether an image has a map.
func (s *server) lookHostile(t *testing.T, name string) bool {
	t.Helper()
	info, err := os.Stat(s.path(name + ".map.json"))
	if err != nil {
		t.Errorf("stat %s: %v", name, err)
		return false
	}
	content, err := os.ReadFile(s.path(name + ".map.json"))
	reason := s.read(name + ".map.err")
	if err == nil {
		checkList(t, name, string(content))
		if info.Size() != int64(len(content)) || reason != "" {
			t.Errorf("%s: stat says %d bytes, there are %d; reason %q", name, info.Size(),
				len(content), reason)
		}
		return true
	}
	if info.Size() != 0 {
		t.Errorf("%s: open says %v, stat says %d bytes", name, err, info.Size())
	}
	if !slices.ContainsFunc(hostileErrnos, func(e error) bool { return errors.Is(err, e) }) {
		t.Errorf("%s: %v: %s", name, err, reason)
	}
	if errors.Is(err, syscall.EIO) && strings.Contains(reason, "map guest") {
		t.Errorf("%s: it is the guest that failed: %s", name, reason)
	}
	line, ended := strings.CutSuffix(reason, "\n")
	if !ended || !strings.HasPrefix(line, "map ") || !strings.Contains(line, name) ||
		len(line) > 600 ||
		strings.ContainsFunc(line, unicode.IsControl) {
		t.Errorf("%s: the reason is %q", name, reason)
	}
	return false
}

// resources are what a process holds.
type resources struct {
	descriptors, guests int
	resident            int64 // bytes
}

func (s *server) resources() resources {
	s.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	var r resources
	list, err := os.ReadDir(proc + "fd")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range list {
		r.descriptors++
		if to, err := os.Readlink(proc + "fd/" + e.Name()); err == nil &&
			strings.Contains(to, "kvm-vm") {
			r.guests++
		}
	}
	children, err := filepath.Glob(proc + "task/*/children")
	if err != nil || len(children) == 0 {
		s.t.Fatal(children, err)
	}
	for _, name := range children {
		list, _ := os.ReadFile(name) // the thread may be gone
		r.guests += len(strings.Fields(string(list)))
	}
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		s.t.Fatal(err)
	}
	if m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status); m != nil {
		if _, err := fmt.Sscan(string(m[1]), &r.resident); err != nil {
			s.t.Error(err)
		}
	}
	r.resident <<= 10
	return r
}

// goroutines has the process print its goroutines and end, and counts them.
func (s *server) goroutines() int {
	s.t.Helper()
	s.end(syscall.SIGQUIT)
	n := 0
	for _, line := range s.log() {
		if strings.HasPrefix(line, "goroutine ") {
			n++
		}
	}
	if n == 0 {
		s.t.Errorf("no goroutines to be seen: %q", s.log())
	}
	return n
}
