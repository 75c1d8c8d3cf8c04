package raw_test

import (
	"bytes"
	"fmt"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
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
		res, f, err := formattest.Run(&raw.Driver, &format.Params{Dev: dev},
			img.Window{Start: v.start, End: v.end})
		if f != nil || err != nil {
			t.Fatal(f, err)
		}
		if res.Size != v.size || len(res.References) != 0 || dev.Reads != 0 {
			t.Errorf("device of %d bytes: size %d, references %v, %d reads", v.device, res.Size,
				res.References, dev.Reads)
		}
		var want []extent.Extent
		if v.start < v.end {
			flags := extent.Present | extent.Data | extent.Offset | extent.Holes | extent.Bare
			want = []extent.Extent{{Start: v.start, Length: v.end - v.start, Offset: v.start,
				State: extent.State{Flags: flags}}}
		}
		if got := formattest.Extents(res.Map); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("device of %d bytes: %+v, want %+v", v.device, got, want)
		}
	}
}

// TestTooLarge checks that a device that is too large for qemu is refused.
func TestTooLarge(t *testing.T) {
	_, f, err := formattest.Run(&raw.Driver,
		&format.Params{Dev: formattest.NewDevice(nil, 1<<63-1<<30+1)}, img.Whole)
	if err != nil || f == nil || f.Reason != fault.RawTooLarge {
		t.Errorf("fault %v, error %v", f, err)
	}
}
