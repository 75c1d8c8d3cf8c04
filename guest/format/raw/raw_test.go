package raw_test

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qemutest"
	"instarfs/guest/format/raw"
	"instarfs/guest/img"
)

// TestWalk finds one extent, whatever the device's size.
func TestWalk(t *testing.T) {
	for _, v := range []struct{ device, size, start, end uint64 }{
		{0, 0, 0, 0},
		{1, 512, 0, 512},
		{512, 512, 0, 512},
		{1000, 1024, 0, 1024},
		{8195, 8704, 8194, 8704},
		{1 << 40, 1 << 40, 12345, 12346},
		{1 << 40, 1 << 40, 5, 5},
		{1<<63 - 1<<30, 1<<63 - 1<<30, 0, 1<<63 - 1<<30},
	} {
		dev := formattest.NewDevice(bytes.NewReader(nil), v.device)
		res, f, err := formattest.Run(&raw.Driver, &format.Params{Dev: dev}, img.Window{Start: v.start, End: v.end})
		if f != nil || err != nil {
			t.Fatal(f, err)
		}
		if res.Size != v.size || len(res.References) != 0 || dev.Reads != 0 {
			t.Errorf("device of %d bytes: size %d, references %v, %d reads", v.device, res.Size, res.References, dev.Reads)
		}
		var want []extent.Extent
		if v.start < v.end {
			flags := extent.Present | extent.Data | extent.Offset | extent.Holes | extent.Bare
			want = []extent.Extent{{Start: v.start, Length: v.end - v.start, Offset: v.start, State: extent.State{Flags: flags}}}
		}
		if got := formattest.Extents(res.Map); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("device of %d bytes: %+v, want %+v", v.device, got, want)
		}
	}
}

// TestTooLarge refuses what qemu refuses.
func TestTooLarge(t *testing.T) {
	_, f, err := formattest.Run(&raw.Driver, &format.Params{Dev: formattest.NewDevice(nil, 1<<63-1<<30+1)}, img.Whole)
	if err != nil || f == nil || f.Reason != fault.RawTooLarge {
		t.Errorf("fault %v, error %v", f, err)
	}
}

// TestAgainstQemuImg compares random files, and windows of them, with the installed qemu-img.
func TestAgainstQemuImg(t *testing.T) {
	dir := t.TempDir()
	for seed := range int64(40) {
		rng := rand.New(rand.NewSource(seed))
		path := qemutest.RandomRaw(t, rng, dir, fmt.Sprint(seed))
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		start, length := uint64(0), uint64(1<<62)
		for range 3 {
			res, ft, err := formattest.Run(&raw.Driver, &format.Params{Dev: formattest.NewDevice(f, uint64(st.Size()))},
				img.Window{Start: start, End: start + length})
			if ft != nil || err != nil {
				t.Fatal(ft, err)
			}
			want, err := formattest.Resolve(res, start, f)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(formattest.Tool(t, "qemu-img"), "map", "-f", "raw", "--output=json",
				"-s", fmt.Sprint(start), "-l", fmt.Sprint(length), filepath.Base(path))
			cmd.Dir = dir
			got, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want.Stdout) {
				t.Errorf("seed %d, -s %d -l %d: qemu-img prints\n%s\nwe print\n%s", seed, start, length, got, want.Stdout)
			}
			start, length = formattest.RandomWindow(rng, res.Size)
		}
	}
}
