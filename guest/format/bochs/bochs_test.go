package bochs_test

import (
	"encoding/binary"
	"math/rand"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/bochs"
	"instarfs/guest/format/bochs/bochstest"
	"instarfs/guest/format/formattest"
	"instarfs/guest/img"
)

const (
	qemu = 7<<16 | 2
	data = extent.Present | extent.Data | extent.Offset
	size = 4 * 4096 // of an extent
)

var le = binary.LittleEndian

// image has pieces of 16 KiB: the second extent, none, the first extent, and half of one past
// the end of the file. Extents are at byte 1024, and 512+16384 bytes after it. change alters
// the image.
func image(change func(b []byte)) []byte {
	b := make([]byte, 1024+2*(512+size))
	copy(b, "Bochs Virtual HD Image")
	copy(b[32:], "Redolog")
	copy(b[48:], "Growing")
	le.PutUint32(b[64:], 0x20000)
	le.PutUint32(b[68:], 1024-16)
	le.PutUint32(b[72:], 4)
	le.PutUint32(b[76:], 4)
	le.PutUint32(b[80:], size)
	le.PutUint64(b[88:], 3*size+size/2+511)
	for i, e := range []uint32{1, 1<<32 - 1, 0, 2} {
		le.PutUint32(b[1024-16+4*i:], e)
	}
	copy(b[1024:], "\xff\xff\xff\xff")
	copy(b[1024+512+size:], "\x06\x00\x00\x80") // sectors 1, 2 and 31
	change(b)
	return b
}

func nothing([]byte) {}

func e(start, length, offset uint64, f extent.Flags) extent.Extent {
	return extent.Extent{Start: start, Length: length, Offset: offset,
		State: extent.State{Flags: f}}
}

func TestVectors(t *testing.T) {
	const first, second = 1024 + 512, 1024 + 2*512 + size
	sound := []extent.Extent{
		e(0, 512, 0, 0), e(512, 1024, second+512, data), e(1536, size-1536-512, 0, 0),
		e(size-512, 512, second+size-512, data),
		e(size, size, 0, 0), e(2*size, size, first, data), e(3*size, size/2, 0, 0)}
	for _, v := range []formattest.Vector{
		{Name: "sound", Image: image(nothing), Want: sound},
		{Name: "sound, qemu", Image: image(nothing), Qemu: qemu,
			Want: []extent.Extent{e(0, 3*size+size/2, 0, extent.Present|extent.Data)}},
		{Name: "version 1", Image: image(func(b []byte) {
			le.PutUint32(b[64:], 0x10000)
			le.PutUint64(b[84:], size)
			b[92] = 0xff
		}),
			Want: sound[:4]},
		{Name: "no disk", Image: image(func(b []byte) {
			le.PutUint64(b[88:], 511)
			le.PutUint32(b[72:], 0)
		})},
		{Name: "extent beyond any file",
			Image: image(func(b []byte) {
				le.PutUint32(b[76:], 1<<32-512)
				le.PutUint32(b[1024-16:], 1<<32-2)
			}),
			Want: []extent.Extent{e(0, size, 0, extent.Bad), e(size, size, 0, 0),
				e(2*size, size, 1024+1<<32-512, data), e(3*size, size/2, 0, 0)}},
		{Name: "magic", Image: image(func(b []byte) { b[22] = 'x' }),
			Fault: "Image not in Bochs format"},
		{Name: "type", Image: image(func(b []byte) { b[32] = 'x' }),
			Fault: "Image not in Bochs format"},
		{Name: "subtype", Image: image(func(b []byte) { copy(b[48:], "Undoable\x00") }),
			Fault: "Image not in Bochs format"},
		{Name: "version", Image: image(func(b []byte) { b[66] = 3 }),
			Fault: "Image not in Bochs format"},
		{Name: "empty", Fault: "Image not in Bochs format"},
		{Name: "catalog", Image: image(func(b []byte) { le.PutUint32(b[72:], 1<<20+1) }),
			Fault: "Catalog size is too large"},
		{Name: "extent 0", Image: image(func(b []byte) { le.PutUint32(b[80:], 0) }),
			Fault: "Extent size must be at least 512"},
		{Name: "extent 511", Image: image(func(b []byte) { le.PutUint32(b[80:], 511) }),
			Fault: "Extent size must be at least 512"},
		{Name: "extent 513", Image: image(func(b []byte) { le.PutUint32(b[80:], 513) }),
			Fault: "Extent size 513 is not a power of two"},
		{Name: "extent 16M", Image: image(func(b []byte) { le.PutUint32(b[80:], 16<<20) }),
			Fault: "Extent size 16777216 is too large"},
		{Name: "disk", Image: image(func(b []byte) { le.PutUint64(b[88:], 4*size+512) }),
			Fault: "Catalog size is too small for this disk size"},
		{Name: "disk of 2^64-1", Image: image(func(b []byte) { le.PutUint64(b[88:], 1<<64-1) }),
			Fault: "Catalog size is too small for this disk size"},
		{Name: "bitmap", Image: image(func(b []byte) { b[76] = 3 }),
			Fault: "a bitmap of 3 bytes is too small for the 32 sectors of an extent"},
		{Name: "bitmap, qemu", Image: image(func(b []byte) { b[76] = 3 }), Qemu: qemu,
			Want: []extent.Extent{e(0, 3*size+size/2, 0, extent.Present|extent.Data)}},
	} {
		v.Check(t, &bochs.Driver)
	}
}

// TestModel compares each sector of random images with a model.
func TestModel(t *testing.T) {
	for seed := range int64(40) {
		rng := rand.New(rand.NewSource(seed))
		b := bochstest.Random(rng)
		r := formattest.Properties(t, &bochs.Driver, b, 0, rng.Uint64(), rng.Uint64(), true)
		if r == nil {
			t.Fatalf("seed %d: a sound image has a fault", seed)
		}
		header, entries, extentSize := uint64(le.Uint32(b[68:])), uint64(le.Uint32(b[72:])),
			uint64(le.Uint32(b[80:]))
		for off := uint64(0); off < r.Map.End(); off += 512 {
			want := e(off, 512, 0, 0)
			if n := uint64(le.Uint32(b[header+off/extentSize*4:])); n != 1<<32-1 {
				at := header + entries*4 + n*(extentSize+(uint64(le.Uint32(b[76:]))+511)&^511)
				s := off % extentSize / 512
				if bit := at + s/8; bit < uint64(len(b)) && b[bit]>>(s%8)&1 != 0 {
					want = e(off, 512, at+(uint64(le.Uint32(b[76:]))+511)&^511+s*512, data)
				}
			}
			got := r.Map.At(r.Map.Find(off))
			if got = got.Skip(off - got.Start); got.Length < 512 || got.State != want.State ||
				got.Offset != want.Offset {
				t.Fatalf("seed %d: %+v, want %+v", seed, got, want)
			}
		}
	}
}

// TestIsReadOnce checks that a window begins at its own entry, and that nothing is read twice.
func TestIsReadOnce(t *testing.T) {
	b := image(func(b []byte) { le.PutUint32(b[72:], 1<<20); le.PutUint64(b[88:], size<<20) })
	for i := 1024 + 4; i < len(b); i++ {
		b[i] = 0xff // a catalog without extents, except for the first pieces
	}
	for _, w := range [][2]uint64{{0, size << 20}, {size<<20 - 5, size << 20}} {
		dev := formattest.Bytes(b)
		_, f, err := formattest.Run(&bochs.Driver, &format.Params{Dev: dev},
			img.Window{Start: w[0], End: w[1]})
		if f != nil || err != nil {
			t.Fatal(f, err)
		}
		if at, twice := dev.ReadTwice(); twice {
			t.Errorf("byte %d is read twice", at)
		}
		if most := 96 + (w[1]-w[0])/size*(4+4) + 8; dev.Bytes > most ||
			dev.Batches > 2+1<<20/256+64 {
			t.Errorf("%d bytes read in %d batches, want %d bytes at most", dev.Bytes, dev.Batches,
				most)
		}
	}
}

func TestDeviceFails(t *testing.T) {
	for _, at := range []uint64{1, 1024 - 10, 1024 + 3} {
		dev := formattest.Bytes(image(nothing))
		dev.FailAt = at
		_, f, err := formattest.Run(&bochs.Driver, &format.Params{Dev: dev}, img.Whole)
		if err != nil || f == nil || f.Reason != fault.DeviceRead {
			t.Errorf("byte %d: %v %v", at, f, err)
		}
	}
}

// TestNoMemory ends the run when the device has no memory left, for the header or for the walk.
func TestNoMemory(t *testing.T) {
	for _, left := range []int{50, 1000} {
		dev := formattest.Bytes(image(nothing))
		for dev.Buffer(left) != nil {
		}
		_, f, err := formattest.Run(&bochs.Driver, &format.Params{Dev: dev}, img.Whole)
		if err != nil || f == nil || f.Reason != fault.NoMemory {
			t.Errorf("fault %v, error %v", f, err)
		}
	}
}

func TestProbe(t *testing.T) {
	head := [format.HeadLen]byte(image(nothing))
	if bochs.Driver.Probe(&head, 1<<20, false) != format.Certain {
		t.Error("an image is not recognized")
	}
	head[32]++
	if bochs.Driver.Probe(&head, 1<<20, false) != 0 {
		t.Error("another redolog is taken for an image")
	}
}

// FuzzBochs walks arbitrary bytes.
func FuzzBochs(f *testing.F) {
	for seed := range int64(6) {
		b := bochstest.Random(rand.New(rand.NewSource(seed)))
		f.Add(b[:min(len(b), 4096)], uint64(seed)<<10, uint64(1)<<20)
	}
	f.Add(image(nothing), uint64(5), uint64(1000))
	f.Fuzz(func(t *testing.T, b []byte, start, length uint64) {
		formattest.Properties(t, &bochs.Driver, b, 0, start, length, true)
		formattest.Properties(t, &bochs.Driver, b, qemu, start, length, true)
	})
}
