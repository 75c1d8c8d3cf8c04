package vpc_test

import (
	"encoding/binary"
	"math/rand"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/vpc"
	"instarfs/guest/format/vpc/vpctest"
	"instarfs/guest/img"
)

// TestWalk compares maps of images with the extents wanted.
func TestWalk(t *testing.T) {
	build := func(kind uint32) ([]byte, uint64) {
		v := vpctest.New(kind, 5*8192-512, 8192)
		v.Locators = [][2]string{{"W2ru", "parent"}}
		host := v.Block(1, []byte{0x3f, 0xff})
		v.Block(4, []byte{0xff, 0x01})
		return v.Bytes(), host
	}
	type piece struct {
		length uint64
		flags  extent.Flags
		offset uint64
	}
	_, host := build(vpctest.Dynamic)
	next := host + 8192 + 512
	for _, test := range []struct {
		name   string
		kind   uint32
		qemu   img.Release
		window img.Window
		want   []piece
	}{
		{"dynamic", vpctest.Dynamic, 0, img.Whole,
			[]piece{{8192, zero, 0}, {8192, data, host}, {2 * 8192, zero, 0},
				{8192 - 512, data, next}}},
		{"dynamic for qemu", vpctest.Dynamic, qemu72, img.Whole,
			[]piece{{8192, zero, 0}, {8192, data, host}, {2 * 8192, zero, 0},
				{8192 - 512, data, next}}},
		{"differencing for qemu", vpctest.Differencing, qemu100, img.Whole,
			[]piece{{8192, zero, 0}, {8192, data, host}, {2 * 8192, zero, 0},
				{8192 - 512, data, next}}},
		{"differencing", vpctest.Differencing, 0, img.Whole,
			[]piece{{8192 + 1024, 0, 0}, {8192 - 1024, data, host + 1024}, {2 * 8192, 0, 0},
				{4096, data, next}, {3584, 0, 0}}},
		{"differencing, a window", vpctest.Differencing, 0, window(8192+1000, 8192+1030),
			[]piece{{24, 0, 0}, {6, data, host + 1024}}},
		{"differencing, a window within the second byte of a bitmap", vpctest.Differencing, 0,
			window(4*8192+4095, 4*8192+4097),
			[]piece{{1, data, next + 4095}, {1, 0, 0}}},
		{"a table and the type of a fixed disk", vpctest.Fixed, 0, img.Window{}, nil},
		{"empty", vpctest.Differencing, 0, window(9, 9), nil},
	} {
		b, _ := build(test.kind)
		if test.window == (img.Window{}) {
			b, _ = build(vpctest.Dynamic)
			b = spoil32(vpctest.Type, vpctest.Fixed)(b)
			test.window, test.want = window(100, 9000), []piece{{8900, data | extent.Holes, 100}}
		}
		res := agree(t, b, test.qemu, test.window)
		at := res.Map.Start()
		got := formattest.Extents(res.Map)
		if len(got) != len(test.want) {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
			continue
		}
		for i, p := range test.want {
			want := extent.Extent{Start: at, Length: p.length, Offset: p.offset,
				State: extent.State{Flags: p.flags}}
			if got[i] != want {
				t.Errorf("%s: %+v, want %+v", test.name, got[i], want)
			}
			at += p.length
		}
	}
}

// TestFixed checks that holes of the file show, and that the footer is not part of the disk,
// unless the size includes it.
func TestFixed(t *testing.T) {
	b := append(make([]byte, 1<<15), fixed()...)
	res := agree(t, b, qemu72, img.Whole)
	if res.Size != 1<<15 || res.Map.Len() != 1 {
		t.Errorf("%d bytes, %d extents", res.Size, res.Map.Len())
	}
}

// TestModel compares random images of all types, and windows of them, with the model.
func TestModel(t *testing.T) {
	opened := 0
	for seed := range int64(200) {
		rng := rand.New(rand.NewSource(seed))
		kind := []uint32{vpctest.Dynamic, vpctest.Differencing, vpctest.Differencing,
			77}[rng.Intn(4)]
		b := vpctest.Random(rng, kind).Bytes()
		qemu := []img.Release{0, 0, qemu72, qemu100}[rng.Intn(4)]
		res, f := walk(t, b, qemu, window(0, 0))
		if f != nil {
			continue // a table that is too small, or a block past the end
		}
		opened++
		agree(t, b, qemu, img.Whole)
		for range 3 {
			start, length := formattest.RandomWindow(rng, res.Size)
			agree(t, b, qemu, window(start, start+length))
		}
	}
	if opened < 100 {
		t.Errorf("only %d images could be opened", opened)
	}
}

// TestBatches has more blocks than a batch holds, with bitmaps from the smallest to those that
// fill it. Nothing is read twice.
func TestBatches(t *testing.T) {
	for _, test := range []struct {
		blockSize uint32
		blocks    int
	}{{512, 3000}, {4096, 2000}, {1 << 16, 700}, {1 << 22, 12}, {1 << 26, 2}} {
		v := vpctest.New(vpctest.Differencing, uint64(test.blocks)*uint64(test.blockSize),
			test.blockSize)
		v.Unicode = "parent"
		// All entries share one block: otherwise the image would be as large as the disk.
		host := v.Block(0, []byte{0x55, 0x00, 0xff, 0x0f})
		for i := range v.Table {
			if i%7 != 3 {
				v.Table[i] = v.Table[0]
			}
		}
		b := v.Bytes()
		dev := formattest.Bytes(b)
		res, f, err := formattest.Run(&vpc.Driver, &format.Params{Dev: dev}, img.Whole)
		if f != nil || err != nil {
			t.Fatal(f, err)
		}
		for _, e := range formattest.Extents(res.Map) {
			if flags, offset := model(b, 0, e.Start); e.Flags != flags || e.Offset != offset ||
				flags != 0 && offset < host {
				t.Fatalf("blocks of %d: %+v, want %#x at %d", test.blockSize, e, flags, offset)
			}
		}
		if limit := 4 + test.blocks/200 +
			int(test.blockSize>>12)*test.blocks>>20; dev.Batches > limit {
			t.Errorf("blocks of %d: %d batches", test.blockSize, dev.Batches)
		}
	}
}

// TestReadsOnce checks that no byte of the metadata is read twice.
func TestReadsOnce(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for range 60 {
		v := vpctest.Random(rng, vpctest.Differencing)
		for i := range v.Table { // no blocks that overlap
			v.Table[i] = vpctest.Unallocated
		}
		for i := range v.Table {
			if i%3 > 0 {
				v.Block(i, []byte{byte(i)})
			}
		}
		dev := formattest.Bytes(v.Bytes())
		if _, f, err := formattest.Run(&vpc.Driver, &format.Params{Dev: dev},
			img.Whole); err != nil || f != nil && f.Reason != fault.VpcTableTooSmall {
			t.Fatal(f, err)
		}
		if at, yes := dev.ReadTwice(); yes {
			t.Errorf("byte %d is read twice", at)
		}
	}
}

// sparse is a reader of a file that is mostly zeroes.
type sparse struct {
	head []byte
	size uint64
	fill func(off int64) byte
}

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		p[i] = s.fill(off + int64(i))
	}
	if off < int64(len(s.head)) {
		copy(p, s.head[off:])
	}
	return len(p), nil
}

// TestLargeTable maps a window of a disk whose table is larger than the memory for it.
func TestLargeTable(t *testing.T) {
	v := vpctest.New(vpctest.Dynamic, 0, 1<<20)
	b := v.Bytes()[:vpctest.Table]
	const entries, size = 2 << 20, 2040 << 30
	spoil32(vpctest.MaxEntries, entries)(b)
	spoil64(vpctest.CurrentSize, size)(b)
	binary.BigEndian.PutUint32(b[vpctest.BlockSize:], 1<<20)
	// Every entry past the head is 0x01010101: all blocks are the same.
	const where = 0x01010101 * 512
	dev := formattest.NewDevice(sparse{b, 0, func(int64) byte { return 1 }}, where+1<<21)
	res, f, err := formattest.Run(&vpc.Driver, &format.Params{Dev: dev}, window(size-1<<20-5, size))
	if f != nil || err != nil {
		t.Fatal(f, err)
	}
	got := formattest.Extents(res.Map)
	if len(got) != 2 || got[0].Length != 5 || got[1].Offset != where+512 {
		t.Errorf("%+v", got)
	}
	if dev.Bytes > 2*4*entries+1<<20 {
		t.Errorf("%d bytes read", dev.Bytes)
	}
}

// TestDeviceFails makes reads of each sector of the metadata fail in turn.
func TestDeviceFails(t *testing.T) {
	v := vpctest.New(vpctest.Differencing, 20*4096, 4096)
	v.Locators = [][2]string{{"W2ru", "parent"}}
	for i := range 20 {
		v.Block(i, []byte{0x55})
	}
	b := v.Bytes()
	failed := 0
	for at := uint64(1); at < vpctest.Table+512; at += 32 {
		dev := formattest.Bytes(b)
		dev.FailAt = at
		_, f, err := formattest.Run(&vpc.Driver, &format.Params{Dev: dev}, img.Whole)
		if err != nil {
			t.Fatal(err)
		}
		if f != nil {
			failed++
			if f.Reason != fault.DeviceRead || f.Offset != at {
				t.Errorf("byte %d: %v", at, f)
			}
		}
	}
	// Of the footer in front, the header, a name of 12 bytes, and 20 entries. No bitmap has a
	// second byte.
	if want := 512/32 + 1024/32 + 1 + 3; failed != want {
		t.Errorf("%d failures were noticed, want %d", failed, want)
	}
	dev := formattest.Bytes(b)
	dev.FailAt = uint64(len(b)) - 512 - 4096 - 512
	if _, f, err := formattest.Run(&vpc.Driver, &format.Params{Dev: dev}, img.Whole); err != nil ||
		f == nil || f.Offset != dev.FailAt {
		t.Errorf("the last bitmap: %v %v", f, err)
	}
}

func TestNoMemory(t *testing.T) {
	v := vpctest.New(vpctest.Differencing, 4096, 4096)
	v.Unicode = "parent"
	for _, left := range []int{0, 1 << 20} {
		dev := formattest.Bytes(v.Bytes())
		for n := 3<<20 - left; n > 0; n -= 4096 {
			dev.Buffer(4096)
		}
		for left == 0 && dev.Buffer(4096) != nil {
		}
		if left > 0 {
			dev.Buffer(1 << 20)
		}
		if _, f := vpc.Driver.Open(&format.Params{Dev: dev}); f == nil ||
			f.Reason != fault.NoMemory {
			t.Errorf("with %d bytes: fault %v", left, f)
		}
	}
}

// FuzzVpc opens and walks arbitrary bytes: it does not panic, the map is that of the model, and
// the cost is bounded.
func FuzzVpc(f *testing.F) {
	for seed := range int64(10) {
		v := vpctest.Random(rand.New(rand.NewSource(seed)), vpctest.Dynamic+uint32(seed)%2)
		if b := v.Bytes(); len(b) < 1<<16 {
			f.Add(b, uint64(seed)<<12, uint64(5)<<12, true)
		}
	}
	for _, v := range vectors {
		f.Add(v.spoil(sample()), uint64(1), uint64(1<<14), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, start, length uint64, own bool) {
		if len(b) > 1<<20 {
			return
		}
		for _, at := range []int{0, len(b) - 512} {
			if at >= 0 && at+512 <= len(b) && string(b[at:at+8]) == "conectix" {
				vpctest.Sum(b[at:]) // otherwise no mutation would get further
			}
		}
		qemu := img.Release(qemu72)
		if own {
			qemu = 0
		}
		length %= 1 << 21
		start %= 1 << 42
		dev := formattest.Bytes(b)
		_, ft, err := formattest.Run(&vpc.Driver, &format.Params{Dev: dev, Release: qemu},
			window(0, length))
		if err != nil {
			t.Fatal(err)
		}
		// The table is in the file, and each block of the window has a bitmap.
		if dev.Bytes > uint64(2*len(b))+1<<20 {
			t.Fatalf("%d bytes read", dev.Bytes)
		}
		if ft != nil {
			return
		}
		agree(t, b, qemu, window(0, length))
		agree(t, b, qemu, window(start, start+length))
	})
}
