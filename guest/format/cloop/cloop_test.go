package cloop_test

import (
	"encoding/binary"
	"math/rand"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/cloop"
	"instarfs/guest/format/cloop/clooptest"
	"instarfs/guest/format/formattest"
	"instarfs/guest/img"
)

const (
	qemu       = 7<<16 | 2
	compressed = extent.Present | extent.Data | extent.Compressed
)

var be = binary.BigEndian

// image has three blocks of 64 KiB; change alters the image.
func image(change func(b []byte)) []byte {
	b := make([]byte, 512)
	be.PutUint32(b[128:], 65536)
	be.PutUint32(b[132:], 3)
	for i, off := range []uint64{168, 200, 200, 300} {
		be.PutUint64(b[136+8*i:], off)
	}
	change(b)
	return b
}

func nothing([]byte) {}

// steps returns an image that ends after the offsets that are read in one step, all equal to
// offset. It should have one more offset.
func steps(offset uint64) []byte {
	b := make([]byte, 136+1<<20)
	be.PutUint32(b[128:], 512)
	be.PutUint32(b[132:], 1<<17)
	for i := range uint64(1 << 17) {
		be.PutUint64(b[136+8*i:], offset)
	}
	return b
}

func all(length uint64, f extent.Flags) []extent.Extent {
	return []extent.Extent{{Length: length, State: extent.State{Flags: f}}}
}

func TestVectors(t *testing.T) {
	const order, step = "offsets not monotonically increasing at index ",
		"invalid compressed block size at index "
	blocks := func(size, n uint32) func(b []byte) {
		return func(b []byte) { be.PutUint32(b[128:], size); be.PutUint32(b[132:], n) }
	}
	for _, v := range []formattest.Vector{
		{Name: "sound", Image: image(nothing), Want: all(3*65536, compressed)},
		{Name: "sound, qemu", Image: image(nothing), Qemu: qemu,
			Want: all(3*65536, extent.Present|extent.Data)},
		{Name: "no blocks", Image: image(blocks(512, 0))},
		{Name: "block_size 64M", Image: image(blocks(64<<20, 3)), Want: all(192<<20, compressed)},
		{Name: "no bytes", Image: nil, Fault: "block_size cannot be zero"},
		{Name: "block_size 513", Image: image(blocks(513, 3)),
			Fault: "block_size 513 must be a multiple of 512"},
		{Name: "block_size 64M+512", Image: image(blocks(64<<20+512, 3)),
			Fault: "block_size 67109376 must be 64 MB or less"},
		{Name: "n_blocks", Image: image(blocks(512, 1<<29)),
			Fault: "n_blocks 536870912 must be 536870911 or less"},
		{Name: "n_blocks-1", Image: image(blocks(512, 1<<29-1)),
			Fault: "Could not allocate offsets table"},
		{Name: "n_blocks-2", Image: image(blocks(512, 1<<29-2)),
			Fault: "image requires too many offsets, try increasing block size"},
		{Name: "offsets", Image: image(blocks(512, 1<<26)),
			Fault: "image requires too many offsets, try increasing block size"},
		{Name: "offset", Image: image(func(b []byte) { b[136+16+7] = 199 }), Fault: order +
			"2, image file is corrupt"},
		{Name: "last offset", Image: image(func(b []byte) { clear(b[136+24:]) }), Fault: order +
			"3, image file is corrupt"},
		{Name: "offsets beyond the end", Image: image(nothing)[:136+24], Fault: order +
			"3, image file is corrupt"},
		{Name: "some offset beyond the end", Image: image(nothing)[:136+28], Fault: order +
			"3, image file is corrupt"},
		{Name: "the next step beyond the end", Image: steps(5), Fault: order +
			"131072, image file is corrupt"},
		{Name: "the next step beyond the end, all 0", Image: steps(0),
			Want: all(512<<17, compressed)},
		{Name: "step", Image: image(func(b []byte) { be.PutUint64(b[136+24:], 200+128<<20) }),
			Want: all(3*65536, compressed)},
		{Name: "large step", Image: image(func(b []byte) {
			be.PutUint64(b[136+24:], 200+128<<20+1)
		}), Fault: step + "3, image file is corrupt"},
		{Name: "first offset", Image: image(func(b []byte) {
			for i := range uint64(4) {
				be.PutUint64(b[136+8*i:], 1<<64-4+i)
			}
		}), Want: all(3*65536, compressed)},
		{Name: "all offsets 0, most beyond the end",
			Image: image(func(b []byte) { blocks(512, 1<<26-1)(b); clear(b[136:]) }),
			Want:  all(512*(1<<26-1), compressed)},
		{Name: "more sectors than 2^32",
			Image: image(func(b []byte) { blocks(1<<20, 1<<22+1)(b); clear(b[136:]) }),
			Want:  all(1<<20*(1<<22+1), compressed)},
		{Name: "more sectors than 2^32, qemu",
			Image: image(func(b []byte) { blocks(1<<20, 1<<22+1)(b); clear(b[136:]) }), Qemu: qemu,
			Want: all(1<<20, extent.Present|extent.Data)},
	} {
		v.Check(t, &cloop.Driver)
	}
}

// TestOffsetsAreReadOnce checks that the offsets are read once, in few steps.
func TestOffsetsAreReadOnce(t *testing.T) {
	const n = 1 << 20
	b := make([]byte, 136+8*(n+1))
	be.PutUint32(b[128:], 512)
	be.PutUint32(b[132:], n)
	for i := range n + 1 {
		be.PutUint64(b[136+8*i:], uint64(i))
	}
	dev := formattest.Bytes(b)
	_, f, err := formattest.Run(&cloop.Driver, &format.Params{Dev: dev}, img.Whole)
	if f != nil || err != nil {
		t.Fatal(f, err)
	}
	if at, twice := dev.ReadTwice(); twice || dev.Batches > 12 {
		t.Errorf("%d batches; byte %d is read twice: %v", dev.Batches, at, twice)
	}
}

func TestDeviceFails(t *testing.T) {
	for _, at := range []uint64{130, 150} {
		dev := formattest.Bytes(image(nothing))
		dev.FailAt = at
		_, f, err := formattest.Run(&cloop.Driver, &format.Params{Dev: dev}, img.Whole)
		if err != nil || f == nil || f.Reason != fault.DeviceRead {
			t.Errorf("byte %d: %v %v", at, f, err)
		}
	}
}

// FuzzCloop walks arbitrary bytes.
func FuzzCloop(f *testing.F) {
	for seed := range int64(6) {
		f.Add(clooptest.Random(rand.New(rand.NewSource(seed))), uint64(seed)<<10, uint64(1)<<20)
	}
	f.Add(image(nothing), uint64(5), uint64(1000))
	f.Fuzz(func(t *testing.T, b []byte, start, length uint64) {
		formattest.Properties(t, &cloop.Driver, b, 0, start, length, true)
		formattest.Properties(t, &cloop.Driver, b, qemu, start, length, true)
	})
}
