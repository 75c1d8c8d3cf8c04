package vpc_test

import (
	"encoding/binary"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/vpc"
	"instarfs/guest/img"
)

const (
	data = extent.Present | extent.Data | extent.Offset
	zero = extent.Present | extent.Zero

	qemu72  = 7<<16 | 2
	qemu100 = 10 << 16
)

func window(start, end uint64) img.Window { return img.Window{Start: start, End: end} }

// walk runs the walker, and fails the test if it breaks the contract.
func walk(t testing.TB, b []byte, qemu img.Release, w img.Window) (*formattest.Result,
	*fault.Fault) {
	t.Helper()
	res, f, err := formattest.Run(&vpc.Driver, &format.Params{Dev: formattest.Bytes(b),
		Release: qemu}, w)
	if err != nil {
		t.Fatal(err)
	}
	return res, f
}

// model returns the state of byte x of the disk in a valid image.
func model(b []byte, qemu img.Release, x uint64) (flags extent.Flags, offset uint64) {
	be := binary.BigEndian
	at := func(off uint64, n int) []byte { // bytes past the end are zero
		p := make([]byte, n)
		if off < uint64(len(b)) {
			copy(p, b[off:])
		}
		return p
	}
	foot := at(0, 512)
	if string(foot[:8]) != "conectix" {
		return data | extent.Holes, x
	}
	kind := be.Uint32(foot[60:])
	if kind == 2 {
		return data | extent.Holes, x
	}
	head := at(be.Uint64(foot[16:]), 1024)
	size := uint64(be.Uint32(head[32:]))
	entry := be.Uint32(at(be.Uint64(head[16:])+x/size*4, 4))
	if entry == 0xffffffff {
		if qemu == 0 && kind == 4 {
			return 0, 0
		}
		return zero, 0
	}
	bitmap := size / 512 / 8
	if bitmap%512 != 0 {
		bitmap += 512 - bitmap%512
	}
	sector := x % size / 512
	if qemu == 0 && kind == 4 && at(uint64(entry)*512+sector/8, 1)[0]&(0x80>>(sector%8)) == 0 {
		return 0, 0
	}
	return data, uint64(entry)*512 + bitmap + x%size
}

// agree compares a window with the model, at both ends of each extent and at every sector.
func agree(t testing.TB, b []byte, qemu img.Release, w img.Window) *formattest.Result {
	t.Helper()
	res, f := walk(t, b, qemu, w)
	if f != nil {
		t.Fatalf("fault %v", f)
	}
	for _, e := range formattest.Extents(res.Map) {
		at := []uint64{e.Start, e.End() - 1}
		for x := e.Start/512*512 + 512; x < e.End(); x += 512 {
			at = append(at, x)
		}
		for _, x := range at {
			got := e
			if x > e.Start {
				got = e.Skip(x - e.Start)
			}
			if flags, offset := model(b, qemu, x); got.Flags != flags || got.Offset != offset {
				t.Fatalf("byte %d is %+v, want flags %#x at %d", x, got, flags, offset)
			}
		}
	}
	return res
}
