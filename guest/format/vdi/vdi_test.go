package vdi_test

import (
	"bytes"
	"encoding/binary"
	"math/rand"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/vdi"
	"instarfs/guest/format/vdi/vditest"
	"instarfs/guest/img"
)

const (
	data = extent.Present | extent.Data | extent.Offset
	zero = extent.Present | extent.Zero
	mib  = 1 << 20

	qemu72 = 7<<16 | 2
)

func window(start, end uint64) img.Window { return img.Window{Start: start, End: end} }

// walk runs the walker, and fails the test if it breaks the contract.
func walk(t testing.TB, b []byte, qemu img.Release, w img.Window) (*formattest.Result,
	*fault.Fault) {
	t.Helper()
	res, f, err := formattest.Run(&vdi.Driver, &format.Params{Dev: formattest.Bytes(b),
		Release: qemu}, w)
	if err != nil {
		t.Fatal(err)
	}
	return res, f
}

// model returns the state of byte x of an image.
func model(b []byte, x uint64) extent.Extent {
	le := binary.LittleEndian
	at := uint64(le.Uint32(b[vditest.OffBlocks:])) + x/mib*4
	var entry [4]byte
	if at < uint64(len(b)) {
		copy(entry[:], b[at:])
	}
	e := extent.Extent{Start: x}
	switch v := le.Uint32(entry[:]); v {
	case vditest.Free, vditest.Zero:
		e.Flags = zero
	default:
		e.Flags = data
		e.Offset = uint64(le.Uint32(b[vditest.OffData:])) + uint64(v)*mib + x%mib
		if le.Uint32(b[vditest.Type:]) == 2 {
			e.Flags |= extent.Holes
		}
	}
	return e
}

// agree compares a window with the model, at the first and last byte of each extent, at its
// middle and at every block.
func agree(t testing.TB, b []byte, qemu img.Release, w img.Window) *formattest.Result {
	t.Helper()
	res, f := walk(t, b, qemu, w)
	if f != nil {
		t.Fatalf("fault %v", f)
	}
	for _, e := range formattest.Extents(res.Map) {
		at := []uint64{e.Start, e.Start + e.Length/2, e.End() - 1}
		for x := e.Start/mib*mib + mib; x < e.End(); x += mib {
			at = append(at, x, x-1)
		}
		for _, x := range at {
			got, want := e, model(b, x)
			if x > e.Start {
				got = e.Skip(x - e.Start)
			}
			if got.Flags != want.Flags || got.Offset != want.Offset {
				t.Fatalf("byte %d is %+v, want %+v", x, got, want)
			}
		}
	}
	return res
}

func spoil32(off int, v uint32) func([]byte) {
	return func(b []byte) { binary.LittleEndian.PutUint32(b[off:], v) }
}

func spoil64(off int, v uint64) func([]byte) {
	return func(b []byte) { binary.LittleEndian.PutUint64(b[off:], v) }
}

// vectors are images of 3 MiB with one thing wrong, or nothing.
var vectors = []struct {
	name   string
	spoil  func(b []byte)
	reason fault.Reason
	text   string
	size   uint64 // of the disk
}{
	{"sound", func([]byte) {}, fault.None, "", 3 * mib},
	{"signature", spoil32(vditest.Signature, 0xbeda1), fault.VdiSignature,
		"Image not in VDI format (bad signature 000beda1)", 0},
	{"no signature", spoil32(vditest.Signature, 0), fault.VdiSignature,
		"Image not in VDI format (bad signature 00000000)", 0},
	{"version", spoil32(vditest.Version, 7<<16|12), fault.VdiVersion,
		"unsupported VDI image (version 7.12)", 0},
	{"map unaligned", spoil32(vditest.OffBlocks, 0x2ff), fault.VdiMapOffset,
		"unsupported VDI image (unaligned block map offset 0x2ff)", 0},
	{"data unaligned", spoil32(vditest.OffData, 0x401), fault.VdiDataOffset,
		"unsupported VDI image (unaligned data offset 0x401)", 0},
	{"sector size", spoil32(vditest.SectorSize, 4096), fault.VdiSectorSize,
		"unsupported VDI image (sector size 4096 is not 512)", 0},
	{"block size", spoil32(vditest.BlockSize, 2*mib), fault.VdiBlockSize,
		"unsupported VDI image (block size 2097152 is not 1048576)", 0},
	{"map too small", spoil32(vditest.Blocks, 2), fault.VdiMapTooSmall,
		"unsupported VDI image (disk size 3145728, image bitmap has room for 2097152)", 0},
	{"map too small for a sector", spoil64(vditest.DiskSize, 3*mib+1), fault.VdiMapTooSmall,
		"unsupported VDI image (disk size 3146240, image bitmap has room for 3145728)", 0},
	{"odd size", spoil64(vditest.DiskSize, 3*mib-511), fault.None, "", 3 * mib},
	{"no size", spoil64(vditest.DiskSize, 0), fault.None, "", 0},
	{"link", spoil32(vditest.Linkage+12, 1), fault.VdiLink,
		"unsupported VDI image (non-NULL link UUID)", 0},
	{"parent", spoil32(vditest.Parent, 1), fault.VdiParent,
		"unsupported VDI image (non-NULL parent UUID)", 0},
	{"too many blocks", spoil32(vditest.Blocks, 0x1fffff81), fault.VdiBlocks,
		"unsupported VDI image (too many blocks 536870785, max is 536870784)", 0},
	{"as many blocks as can be", spoil32(vditest.Blocks, 0x1fffff80), fault.None, "", 3 * mib},
	{"too large", spoil64(vditest.DiskSize, 0x1fffff8000001), fault.VdiSize,
		"Unsupported VDI image size (size is 0x1fffff8000001, max supported is 0x1fffff8000000)",
		0},
	{"too large and no signature", func(b []byte) {
		spoil64(vditest.DiskSize, 1<<64-1)(b)
		spoil32(vditest.Signature, 0)(b)
	}, fault.VdiSize, "Unsupported VDI image size (size is 0xffffffffffffffff, max supported " +
		"is 0x1fffff8000000)", 0},
	{"large, map too small", spoil64(vditest.DiskSize, 0x1fffff8000000), fault.VdiMapTooSmall,
		"unsupported VDI image (disk size 562949819203584, image bitmap has room for 3145728)", 0},
	{"too many blocks and a parent", func(b []byte) {
		spoil32(vditest.Blocks, 0xffffffff)(b)
		spoil32(vditest.Parent, 5)(b)
	}, fault.VdiParent, "unsupported VDI image (non-NULL parent UUID)", 0},
	{"type unknown", spoil32(vditest.Type, 77), fault.None, "", 3 * mib},
}

func TestOpen(t *testing.T) {
	for _, v := range vectors {
		b := vditest.New(3 * mib).Bytes()
		v.spoil(b)
		for _, qemu := range []img.Release{0, qemu72} {
			res, f := walk(t, b, qemu, img.Whole)
			switch {
			case f == nil && v.reason != fault.None:
				t.Errorf("%s: no fault", v.name)
			case f != nil && (f.Reason != v.reason || f.Message() != v.text):
				t.Errorf("%s: fault %q, want %q", v.name, f, v.text)
			case f == nil && res.Size != v.size:
				t.Errorf("%s: %d bytes, want %d", v.name, res.Size, v.size)
			}
		}
	}
}

func TestProbe(t *testing.T) {
	head := [format.HeadLen]byte(vditest.New(0).Bytes())
	if vdi.Driver.Probe(&head, 512, false) != format.Certain {
		t.Error("not recognised")
	}
	head[vditest.Signature]++
	if vdi.Driver.Probe(&head, 512, false) != 0 {
		t.Error("recognised without its signature")
	}
}

// TestWalk compares maps of images with the extents wanted.
func TestWalk(t *testing.T) {
	v := vditest.New(9*mib - 512)
	v.OffData = 1024
	v.Map = []uint32{2, 3, vditest.Free, vditest.Free, vditest.Zero, 9, 8, vditest.Zero - 1,
		vditest.Zero}
	type piece struct {
		length uint64
		flags  extent.Flags
		offset uint64
	}
	last := uint64(vditest.Zero-1)<<20 + 1024
	for _, test := range []struct {
		name   string
		qemu   img.Release
		kind   uint32
		window img.Window
		want   []piece
	}{
		{"own", 0, 1, img.Whole, []piece{{2 * mib, data, 2*mib + 1024}, {3 * mib, zero, 0},
			{mib, data, 9*mib + 1024}, {mib, data, 8*mib + 1024}, {mib, data, last},
			{mib - 512, zero, 0}}},
		{"qemu", qemu72, 1, img.Whole, []piece{{2 * mib, data, 2*mib + 1024}, {3 * mib, zero, 0},
			{mib, data, 9*mib + 1024}, {mib, data, 8*mib + 1024}, {mib, data, last},
			{mib - 512, zero, 0}}},
		{"static", qemu72, 2, window(0, mib+1),
			[]piece{{mib + 1, data | extent.Holes, 2*mib + 1024}}},
		{"within a block", 0, 1, window(mib+5, mib+6), []piece{{1, data, 3*mib + 1024 + 5}}},
		{"over blocks", 0, 1, window(4*mib-1, 5*mib+1),
			[]piece{{mib + 1, zero, 0}, {1, data, 9*mib + 1024}}},
		{"empty", 0, 1, window(5, 5), nil},
	} {
		v.Type = test.kind
		res := agree(t, v.Bytes(), test.qemu, test.window)
		at := res.Map.Start()
		got := formattest.Extents(res.Map)
		if len(got) != len(test.want) {
			t.Fatalf("%s: %+v, want %+v", test.name, got, test.want)
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

// TestModel compares random maps, and windows of them, with the model.
func TestModel(t *testing.T) {
	for seed := range int64(300) {
		rng := rand.New(rand.NewSource(seed))
		b := vditest.Random(rng).Bytes()
		if rng.Intn(4) == 0 {
			b = b[:max(512, rng.Intn(len(b)))]
		}
		qemu := img.Release(rng.Intn(2)) * qemu72
		res := agree(t, b, qemu, img.Whole)
		for range 3 {
			start, length := formattest.RandomWindow(rng, res.Size)
			agree(t, b, qemu, window(start, start+length))
		}
	}
}

// TestLargest walks windows at both ends of the largest disk: the map is read from the start of
// the window on.
func TestLargest(t *testing.T) {
	v := vditest.New(0)
	b := v.Bytes()
	spoil64(vditest.DiskSize, 0x1fffff80<<20)(b)
	spoil32(vditest.Blocks, 0x1fffff80)(b)
	for _, w := range []img.Window{window(0, 3*mib), window(0x1fffff7f<<20+5, 1<<63),
		window(1<<40, 1<<40+70000*mib)} {
		dev := formattest.Bytes(b)
		res, f, err := formattest.Run(&vdi.Driver, &format.Params{Dev: dev}, w)
		if f != nil || err != nil {
			t.Fatal(f, err)
		}
		// Entries past the end of the file are zero: each block is the first one of the file.
		for _, e := range formattest.Extents(res.Map) {
			if e.Flags != data || e.Offset != uint64(v.OffData)+e.Start%mib {
				t.Fatalf("%+v", e)
			}
		}
		if dev.Bytes > 512+70002*4 || dev.Batches > 3 {
			t.Errorf("%d bytes in %d batches", dev.Bytes, dev.Batches)
		}
		if at, yes := dev.ReadTwice(); yes {
			t.Errorf("byte %d is read twice", at)
		}
	}
}

// TestDeviceFails makes reads of each sector fail in turn.
func TestDeviceFails(t *testing.T) {
	b := vditest.New(300 * mib).Bytes()
	for at := uint64(1); at < uint64(len(b)); at += 512 {
		dev := formattest.Bytes(b)
		dev.FailAt = at
		_, f, err := formattest.Run(&vdi.Driver, &format.Params{Dev: dev}, img.Whole)
		if err != nil || f == nil || f.Reason != fault.DeviceRead || f.Offset != at {
			t.Errorf("byte %d: %v %v", at, f, err)
		}
	}
}

func TestNoMemory(t *testing.T) {
	dev := formattest.Bytes(vditest.New(mib).Bytes())
	for dev.Buffer(4096) != nil {
	}
	if _, f := vdi.Driver.Open(&format.Params{Dev: dev}); f == nil || f.Reason != fault.NoMemory {
		t.Errorf("fault %v", f)
	}
}

// FuzzVdi opens and walks arbitrary bytes: it does not panic, the map is that of the model, and
// the cost is bounded.
func FuzzVdi(f *testing.F) {
	for seed := range int64(8) {
		f.Add(bytes.TrimRight(vditest.Random(rand.New(rand.NewSource(seed))).Bytes(), "\x00"),
			uint64(seed)<<20, uint64(5)<<20, false)
	}
	for _, v := range vectors {
		b := vditest.New(3 * mib).Bytes()
		v.spoil(b)
		f.Add(b, uint64(1), uint64(mib), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, start, length uint64, own bool) {
		qemu := img.Release(qemu72)
		if own {
			qemu = 0
		}
		length %= 4000 * mib
		start %= 1 << 62
		if _, f := walk(t, b, qemu, window(0, 0)); f != nil {
			return
		}
		b = append(bytes.Clone(b), make([]byte, 512)...) // the model reads no further
		agree(t, b, qemu, window(0, length))
		agree(t, b, qemu, window(start, start+length))
	})
}
