package qcow_test

import (
	"encoding/binary"
	"math/rand"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qcow"
	"instarfs/guest/format/qcow/qcowtest"
	"instarfs/guest/img"
)

const (
	qemu = 7<<16 | 2
	data = extent.Present | extent.Data | extent.Offset
)

var be = binary.BigEndian

// image returns an image of three clusters of 512 bytes and half of a fourth: data, compressed,
// nothing, data. change alters the image.
func image(change func(b []byte)) []byte {
	b := make([]byte, 8192)
	copy(b, "QFI\xfb\x00\x00\x00\x01")
	be.PutUint64(b[24:], 3*512+300)
	b[32], b[33] = 9, 6
	be.PutUint64(b[40:], 512)
	be.PutUint64(b[512:], 1024)
	be.PutUint64(b[1024:], 4096)
	be.PutUint64(b[1032:], 1<<63|5000)
	change(b)
	return b
}

func e(start, length, offset uint64, f extent.Flags) extent.Extent {
	return extent.Extent{Start: start, Length: length, Offset: offset,
		State: extent.State{Flags: f}}
}

func TestVectors(t *testing.T) {
	compressed := extent.Present | extent.Data | extent.Compressed
	encrypted := extent.Present | extent.Data | extent.Encrypted
	for _, v := range []formattest.Vector{
		{Name: "sound", Image: image(func(b []byte) {}), Qemu: qemu,
			Want: []extent.Extent{e(0, 512, 4096, data), e(512, 512, 0, compressed),
				e(1024, 512, 0, 0)}},
		{Name: "a table beyond the file",
			Image: image(func(b []byte) { be.PutUint64(b[512:], 1<<40) }),
			Want:  []extent.Extent{e(0, 1536, 0, 0)}},
		{Name: "a table beyond any file",
			Image: image(func(b []byte) { be.PutUint64(b[512:], 1<<63) }),
			Want:  []extent.Extent{e(0, 1536, 0, extent.Bad)}},
		{Name: "a cluster beyond any file",
			Image: image(func(b []byte) { be.PutUint64(b[1024:], 1<<63-1) }),
			Want: []extent.Extent{e(0, 512, 0, extent.Bad), e(512, 512, 0, compressed),
				e(1024, 512, 0, 0)}},
		{Name: "encrypted", Image: image(func(b []byte) { be.PutUint32(b[36:], 1) }),
			Want: []extent.Extent{e(0, 512, 0, encrypted), e(512, 512, 0, compressed),
				e(1024, 512, 0, 0)}},
		{Name: "encrypted, qemu", Image: image(func(b []byte) { be.PutUint32(b[36:], 1) }),
			Qemu:  qemu,
			Fault: "Parameter 'encrypt.key-secret' is required for cipher"},
		{Name: "magic", Image: image(func(b []byte) { b[0] = 0 }),
			Fault: "Image not in qcow format"},
		{Name: "empty", Image: nil, Fault: "Image not in qcow format"},
		{Name: "version 0", Image: image(func(b []byte) { b[7] = 0 }),
			Fault: "qcow (v1) does not support qcow version 0"},
		{Name: "version 3", Image: image(func(b []byte) { b[7] = 3 }),
			Fault: "qcow (v1) does not support qcow version 3, but the qcow2 driver does"},
		{Name: "size 1", Image: image(func(b []byte) { be.PutUint64(b[24:], 1) }),
			Fault: "Image size is too small (must be at least 2 bytes)"},
		{Name: "size 2", Image: image(func(b []byte) { be.PutUint64(b[24:], 2) })},
		{Name: "cluster_bits 8", Image: image(func(b []byte) { b[32] = 8 }),
			Fault: "Cluster size must be between 512 and 64k"},
		{Name: "cluster_bits 17", Image: image(func(b []byte) { b[32] = 17 }),
			Fault: "Cluster size must be between 512 and 64k"},
		{Name: "l2_bits 5", Image: image(func(b []byte) { b[33] = 5 }),
			Fault: "L2 table size must be between 512 and 64k"},
		{Name: "l2_bits 14", Image: image(func(b []byte) { b[33] = 14 }),
			Fault: "L2 table size must be between 512 and 64k"},
		{Name: "crypt_method 2", Image: image(func(b []byte) { be.PutUint32(b[36:], 2) }),
			Fault: "invalid encryption method in qcow header"},
		{Name: "size of 2^64-1", Image: image(func(b []byte) { be.PutUint64(b[24:], 1<<64-1) }),
			Fault: "Image too large"},
		{Name: "size of 2^44", Image: image(func(b []byte) { be.PutUint64(b[24:], 1<<44) }),
			Fault: "Image too large"},
		{Name: "L1 beyond any file", Image: image(func(b []byte) { be.PutUint64(b[40:], 1<<63) }),
			Fault: "Input/output error"},
		{Name: "name too long", Image: image(func(b []byte) {
			b[15] = 48
			be.PutUint32(b[16:], 1024)
		}), Fault: "Backing file name too long"},
		{Name: "name beyond any file", Image: image(
			func(b []byte) {
				b[8] = 0x7f
				b[9] = 0xff
				be.PutUint32(b[16:], 1023)
				be.PutUint64(b[8:], 1<<63-1)
			}),
			Fault: "Input/output error"},
	} {
		v.Check(t, &qcow.Driver)
	}
}

// TestBackingName checks that a name ends at its first NUL, and that an empty name is none.
func TestBackingName(t *testing.T) {
	for _, tc := range []struct {
		stored string
		size   uint32
		want   string
	}{{"base", 4, "base"}, {"base\x00more", 9, "base"}, {"base", 0, ""}, {"\x00base", 5, ""}} {
		b := image(func(b []byte) {
			b[15] = 100
			be.PutUint32(b[16:], tc.size)
			copy(b[100:],
				tc.stored)
		})
		r, f, err := formattest.Run(&qcow.Driver, &format.Params{Dev: formattest.Bytes(b)},
			img.Whole)
		if f != nil || err != nil {
			t.Fatal(f, err)
		}
		got := ""
		if len(r.References) > 0 {
			got = r.References[0].Name
		}
		if got != tc.want || len(r.References) > 0 && r.References[0].Kind != img.Backing {
			t.Errorf("%q: %+v", tc.stored, r.References)
		}
	}
}

// TestDeviceFails lets reads fail at the header and at both tables.
func TestDeviceFails(t *testing.T) {
	for _, at := range []uint64{1, 513, 1025} {
		dev := formattest.Bytes(image(func([]byte) {}))
		dev.FailAt = at
		_, f, err := formattest.Run(&qcow.Driver, &format.Params{Dev: dev}, img.Whole)
		if err != nil || f == nil || f.Reason != fault.DeviceRead {
			t.Errorf("byte %d: %v %v", at, f, err)
		}
	}
}

// model returns the state of the byte at off by the tables of b.
func model(b []byte, off uint64) (f extent.Flags, host uint64) {
	word := func(at uint64) uint64 {
		if at+8 > uint64(len(b)) || at+8 < at {
			return 0
		}
		return be.Uint64(b[at:])
	}
	clusterBits, l2Bits := b[32], b[33]
	table := word(be.Uint64(b[40:]) + off>>(clusterBits+l2Bits)*8)
	if table == 0 || table > 1<<62 {
		return 0, 0
	}
	switch entry := word(table + off>>clusterBits&(1<<l2Bits-1)*8); {
	case entry == 0:
		return 0, 0
	case entry>>63 != 0:
		return extent.Present | extent.Data | extent.Compressed, 0
	default:
		inside := off & (1<<clusterBits - 1)
		return data, entry + inside
	}
}

// TestModel compares random images with a model at random places.
func TestModel(t *testing.T) {
	for seed := range int64(60) {
		rng := rand.New(rand.NewSource(seed))
		b := qcowtest.Random(rng)
		r := formattest.Properties(t, &qcow.Driver, b, 0, rng.Uint64(), rng.Uint64(), false)
		for range 2000 {
			off := uint64(rng.Int63n(int64(r.Map.End())))
			got := r.Map.At(r.Map.Find(off))
			f, host := model(b, off)
			if got.Flags == extent.Bad {
				continue // the vectors have these
			}
			if aligned := (host-off)&(1<<b[32]-1) == 0; got.Flags != f || f == data && aligned &&
				got.Offset+off-got.Start != host {
				t.Fatalf("seed %d, byte %d: %+v, want %x at %d", seed, off, got, f, host)
			}
		}
	}
}

// FuzzQcow walks arbitrary bytes.
func FuzzQcow(f *testing.F) {
	for seed := range int64(6) {
		f.Add(qcowtest.Random(rand.New(rand.NewSource(seed))), uint64(seed)<<10, uint64(1)<<20)
	}
	f.Add(image(func([]byte) {}), uint64(5), uint64(1000))
	f.Fuzz(func(t *testing.T, b []byte, start, length uint64) {
		formattest.Properties(t, &qcow.Driver, b, 0, start, length, false)
		formattest.Properties(t, &qcow.Driver, b, qemu, start, length, false)
	})
}
