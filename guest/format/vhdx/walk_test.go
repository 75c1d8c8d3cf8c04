package vhdx_test

import (
	"fmt"
	"math/rand"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/vhdx"
	"instarfs/guest/format/vhdx/vhdxtest"
	"instarfs/guest/img"
)

type piece struct {
	length uint64
	flags  extent.Flags
	offset uint64
}

func same(t *testing.T, name string, res *formattest.Result, want []piece) {
	t.Helper()
	at := res.Map.Start()
	got := formattest.Extents(res.Map)
	if len(got) != len(want) {
		t.Errorf("%s: %+v, want %+v", name, got, want)
		return
	}
	for i, p := range want {
		e := extent.Extent{Start: at, Length: p.length, Offset: p.offset,
			State: extent.State{Flags: p.flags}}
		if got[i] != e {
			t.Errorf("%s: %+v, want %+v", name, got[i], e)
		}
		at += p.length
	}
}

// TestWalk compares maps with the extents wanted: a block in each state, and the last one cut.
func TestWalk(t *testing.T) {
	build := func(flags uint32) (*vhdxtest.Image, *formattest.Sparse, uint64) {
		v := vhdxtest.New(9*mib-1024, mib, 512)
		v.Flags = flags
		v.Locator = [][2]string{{"relative_path", "parent"}}
		first := v.Block(1, vhdxtest.Present)
		v.Block(2, vhdxtest.Present)
		v.BAT[3] = vhdxtest.Undefined
		v.BAT[4] = vhdxtest.Zero
		v.BAT[5] = vhdxtest.Unmapped
		v.BAT[6] = 5
		if flags&vhdxtest.HasParent != 0 {
			v.Block(8, vhdxtest.Partially)
			// Sectors 8*2048+1 and the one after the next 7, lowest bits first.
			v.Bitmap(0, 8*256, []byte{0x02, 0x01, 0xff, 0xff})
		} else {
			v.Block(8, vhdxtest.Present)
		}
		return v, v.File(), first
	}
	v, s, first := build(0)
	last := first + 2*mib
	same(t, "dynamic", agree(t, v, s, s, img.Whole), []piece{{mib, 0, 0}, {2 * mib, data, first},
		{4 * mib, zero, 0},
		{mib, 0, 0}, {mib - 1024, data, last}})
	same(t, "dynamic, within", agree(t, v, s, s, window(3*mib-1, 3*mib+1)),
		[]piece{{1, data, first + 2*mib - 1}, {1, zero, 0}})
	same(t, "dynamic, nothing", agree(t, v, s, s, window(7, 7)), nil)
	res, _ := walk(t, s, qemu72, window(5, 9*mib))
	same(t, "qemu", res, []piece{{9*mib - 1029, extent.Present | extent.Data, 0}})
	v, s, first = build(vhdxtest.LeaveAllocated)
	same(t, "fixed", agree(t, v, s, s, window(2*mib, 3*mib+5)),
		[]piece{{mib, data | extent.Holes, first + mib}, {5, zero, 0}})
	v, s, first = build(vhdxtest.HasParent)
	last = first + 2*mib
	same(t, "differencing", agree(t, v, s, s, img.Whole),
		[]piece{{mib, 0, 0}, {2 * mib, data, first}, {2 * mib, zero, 0},
			{3*mib + 512, 0, 0}, {512, data, last + 512}, {6 * 512, 0, 0}, {512, data, last + 4096},
			{7 * 512, 0, 0},
			{16 * 512, data, last + 8192}, {mib - 1024 - 32*512, 0, 0}})
	same(t, "differencing, within", agree(t, v, s, s, window(8*mib+4095, 8*mib+4097)),
		[]piece{{1, 0, 0}, {1, data, last + 4096}})
}

// TestBad checks that faults of blocks cover only these blocks.
func TestBad(t *testing.T) {
	v := vhdxtest.New(6*mib, mib, 512)
	v.Flags, v.Locator = vhdxtest.HasParent, [][2]string{{"relative_path", "parent"}}
	v.Block(1, vhdxtest.Partially) // no bitmap
	v.BAT[2] = 4
	v.BAT[3] = 1<<50 | vhdxtest.Present
	v.BAT[4] = mib | vhdxtest.Present
	host := v.Block(5, vhdxtest.Present)
	s := v.File()
	res := agree(t, v, s, s, img.Whole)
	bat := v.BATOffset()
	want := []*fault.Fault{
		fault.New(fault.VhdxNoBitmap, bat+8), fault.New(fault.VhdxBlockState, bat+16, 4),
		fault.New(fault.VhdxBlockStart, bat+24, 3, 1<<50, s.Size),
		fault.Quoting(fault.VhdxBlockOverlap, bat+32,
			fmt.Sprintf("%d-%d overlaps with region %d-%d", mib, 2*mib, mib, 2*mib)),
	}
	same(t, "bad", res, []piece{{mib, 0, 0}, {mib, extent.Bad, 0}, {mib, extent.Bad, 1},
		{mib, extent.Bad, 2}, {mib, extent.Bad, 3}, {mib, data, host}})
	for i, f := range res.Faults {
		if f.Error() != want[i].Error() {
			t.Errorf("fault %d is %v, want %v", i, f, want[i])
		}
	}
}

// TestModel compares random images of all types, and windows of them, with the model.
func TestModel(t *testing.T) {
	for seed := range int64(150) {
		rng := rand.New(rand.NewSource(seed))
		v := randomBAT(rng, seed%2 == 0)
		s := v.File()
		res := agree(t, v, s, s, img.Whole)
		for range 3 {
			start, length := formattest.RandomWindow(rng, res.Size)
			agree(t, v, s, s, window(start, start+length))
		}
	}
}

// TestChunks has disks of many chunks, so that entries of bitmaps are between those of blocks,
// and windows anywhere. No byte of the metadata is read twice.
func TestChunks(t *testing.T) {
	for _, test := range []struct {
		size          uint64
		block, sector uint32
	}{{20 << 30, 256 * mib, 512}, {13<<30 + 4096, 64 * mib, 512}, {9 << 30, mib, 512},
		{300 << 30, 256 * mib, 4096}, {100 << 30, mib, 4096}} {
		v := vhdxtest.New(test.size, test.block, test.sector)
		v.Flags, v.Locator = vhdxtest.HasParent, [][2]string{{"relative_path", "parent"}}
		rng := rand.New(rand.NewSource(int64(test.size)))
		blocks := (v.Size + uint64(test.block) - 1) / uint64(test.block)
		perBlock := uint64(test.block) / uint64(test.sector) / 8
		for p := uint64(0); p < blocks; p += 1 + uint64(rng.Intn(int(blocks/60)+1)) {
			v.Block(p, vhdxtest.Partially)
			v.Bitmap(p/v.ChunkRatio(), p%v.ChunkRatio()*perBlock, []byte{byte(p), 0xff})
		}
		s := v.File()
		dev := s.Device()
		res, f, err := formattest.Run(&vhdx.Driver, &format.Params{Dev: dev}, img.Whole)
		if f != nil || err != nil {
			t.Fatal(f, err)
		}
		if at, yes := dev.ReadTwice(); yes {
			t.Errorf("%+v: byte %d is read twice", test, at)
		}
		if dev.Batches > 30 {
			t.Errorf("%+v: %d batches", test, dev.Batches)
		}
		for _, e := range formattest.Extents(res.Map) {
			if flags, off := model(v, s, e.Start); flags != e.Flags || off != e.Offset {
				t.Fatalf("%+v: %+v, want %#x at %d", test, e, flags, off)
			}
			if e.End() < v.Size {
				flags, off := model(v, s, e.End())
				if flags == e.Flags && (flags == 0 || off == e.Offset+e.Length) {
					t.Fatalf("%+v: %+v ends too early", test, e)
				}
			}
		}
		for range 20 {
			start := uint64(rng.Int63n(int64(v.Size)))
			agree(t, v, s, s, window(start, start+uint64(rng.Intn(3*int(test.block)))))
		}
	}
}

// TestLargest maps a window at the end of the largest disk.
func TestLargest(t *testing.T) {
	v := vhdxtest.New(64<<40, 32*mib, 512)
	v.Block(2<<20-1, vhdxtest.Present)
	s := v.File()
	dev := s.Device()
	res, f, err := formattest.Run(&vhdx.Driver, &format.Params{Dev: dev},
		window(64<<40-33*mib, 64<<40))
	if f != nil || err != nil {
		t.Fatal(f, err)
	}
	if res.Map.Len() != 2 || dev.Bytes > 600<<10 {
		t.Errorf("%d extents, %d bytes read", res.Map.Len(), dev.Bytes)
	}
}

// TestDeviceFails makes reads of each part of the metadata fail in turn.
func TestDeviceFails(t *testing.T) {
	v := vhdxtest.New(9*mib, mib, 512)
	v.Flags, v.Locator = vhdxtest.HasParent, [][2]string{{"relative_path", "parent"}}
	v.LogGUID = "0123456789abcdef"
	v.Block(1, vhdxtest.Partially)
	v.Bitmap(0, 256, []byte{1})
	s := v.File()
	items := v.MetadataOffset() + 64<<10
	bits := v.BAT[4096]&^7 + 256
	for _, at := range []uint64{7, vhdxtest.Header1, vhdxtest.Header2 + 4095, vhdxtest.Regions,
		vhdxtest.Regions + 65535, mib, 2*mib - 1,
		v.MetadataOffset(), items - 1, items, items + 15, items + 8 + 8 + 16 + 8, v.BATOffset(),
		v.BATOffset() + 8*4096, bits, bits + 255} {
		dev := s.Device()
		dev.FailAt = at
		_, f, err := formattest.Run(&vhdx.Driver, &format.Params{Dev: dev}, img.Whole)
		if err != nil || f == nil || f.Reason != fault.DeviceRead || f.Offset != at {
			t.Errorf("byte %d: %v %v", at, f, err)
		}
	}
}

func TestNoMemory(t *testing.T) {
	v := vhdxtest.New(9*mib, mib, 512)
	v.Flags, v.Locator = vhdxtest.HasParent, [][2]string{{"relative_path", "parent"}}
	v.LogGUID = "0123456789abcdef"
	s := v.File()
	for _, left := range []int{0, 512 << 10, 512<<10 + mib} {
		dev := s.Device()
		for n := 4<<20 - left; n > 0; n -= 4096 {
			dev.Buffer(4096)
		}
		if _, f := vhdx.Driver.Open(&format.Params{Dev: dev}); f == nil ||
			f.Reason != fault.NoMemory {
			t.Errorf("with %d bytes: fault %v", left, f)
		}
	}
}
