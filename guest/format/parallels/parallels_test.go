package parallels_test

import (
	"crypto/md5"
	"encoding/binary"
	"math/rand"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/parallels"
	"instarfs/guest/format/parallels/parallelstest"
	"instarfs/guest/img"
)

const (
	qemu    = 7<<16 | 2
	qemu10  = 10 << 16
	qemu11  = 11<<16 | 1
	small   = "Invalid image: Catalog size too small for advertised disk size"
	data    = extent.Present | extent.Data | extent.Offset
	cluster = 8 * 512
)

var le = binary.LittleEndian

// image returns an image with clusters of 4 KiB: data, nothing, data, data, and one that the
// BAT has no entry for. change alters the image.
func image(change func(b []byte)) []byte {
	b := make([]byte, 4*cluster)
	copy(b, "WithouFreSpacExt")
	le.PutUint32(b[16:], 2)
	le.PutUint32(b[28:], 8)
	le.PutUint32(b[32:], 4)
	le.PutUint64(b[36:], 5*8-1)
	for i, e := range []uint32{1, 0, 2, 3} {
		le.PutUint32(b[64+4*i:], e)
	}
	change(b)
	return b
}

func e(start, length, offset uint64, f extent.Flags) extent.Extent {
	return extent.Extent{Start: start, Length: length, Offset: offset,
		State: extent.State{Flags: f}}
}

// extension puts an extension with these features at sector 24.
func extension(features func(b []byte)) func([]byte) {
	return func(b []byte) {
		le.PutUint64(b[56:], 24)
		ext := b[24*512:]
		le.PutUint64(ext, 0xAB234CEF23DCEA87)
		features(ext[24:])
		sum := md5.Sum(ext[24:])
		copy(ext[8:], sum[:])
	}
}

// bitmap returns a feature with a dirty bitmap that has one granule for each cluster: one
// cluster of bits.
func bitmap(change func(h []byte)) func([]byte) {
	return func(b []byte) {
		le.PutUint64(b, 0x20385FAE252CB34A)
		le.PutUint32(b[16:], 32+8)
		h := b[24:]
		le.PutUint64(h, 39)
		copy(h[8:], "0123456789abcdef")
		le.PutUint32(h[24:], 8)
		le.PutUint32(h[28:], 1)
		change(b)
	}
}

func nothing([]byte) {}

const badGranularity = "bdrv_create_dirty_bitmap: Assertion `is_power_of_2(granularity) && " +
	"granularity >= BDRV_SECTOR_SIZE' failed."

func TestVectors(t *testing.T) {
	const c = cluster
	sound := []extent.Extent{e(0, c, c, data), e(c, c, 0, 0), e(2*c, 2*c, 2*c, data),
		e(4*c, c-512, 0, 0)}
	for _, v := range []formattest.Vector{
		{Name: "sound", Image: image(nothing), Qemu: qemu, Want: sound},
		{Name: "in sectors", Image: image(func(b []byte) {
			copy(b, "WithoutFreeSpace")
			b[64+8] = 40
			b[64+12] = 48
		}), Qemu: qemu,
			Want: []extent.Extent{e(0, c, 512, data), e(c, c, 0, 0), e(2*c, 2*c, 40*512, data),
				e(4*c, c-512, 0, 0)}},
		{Name: "size of more than 32 bits",
			Image: image(func(b []byte) { copy(b, "WithoutFreeSpace"); b[40] = 1; b[32] = 0 }),
			Want:  []extent.Extent{e(0, 5*c-512, 0, 0)}},
		{Name: "a cluster that is not whole", Image: image(nothing)[:4*c-512],
			Want: []extent.Extent{e(0, c, c, data), e(c, c, 0, 0), e(2*c, c, 2*c, data),
				e(3*c, 2*c-512, 0, 0)}},
		{Name: "a cluster that is whole in sectors", Image: image(nothing)[:4*c-511], Qemu: qemu11,
			Want: nil, Fault: small},
		{Name: "a cluster in the header",
			Image: image(func(b []byte) {
				copy(b, "WithoutFreeSpace")
				b[64] = 7
				b[64+8] = 16
				b[64+12] = 24
				b[48] = 8
			}),
			Want: []extent.Extent{e(0, 2*c, 0, 0), e(2*c, 2*c, 2*c, data), e(4*c, c-512, 0, 0)}},
		{Name: "clusters after the BAT",
			Image: image(func(b []byte) {
				copy(b, "WithoutFreeSpace")
				b[64] = 1
				b[64+8] = 16
				b[64+12] = 24
			}),
			Want: []extent.Extent{e(0, c, 512, data), e(c, c, 0, 0), e(2*c, 2*c, 2*c, data),
				e(4*c, c-512, 0, 0)}},
		{Name: "data in the header", Image: image(func(b []byte) { b[48] = 7 }), Want: sound},
		{Name: "data past the file", Image: image(func(b []byte) { b[48] = 33 }), Want: sound},
		{Name: "data at the third cluster", Image: image(func(b []byte) { b[48] = 16 }),
			Want: []extent.Extent{e(0, 2*c, 0, 0), e(2*c, 2*c, 2*c, data),
				e(4*c, c-512, 0, 0)}},
		{Name: "data at the third cluster, qemu 10", Image: image(func(b []byte) { b[48] = 16 }),
			Qemu: qemu10, Want: sound},
		{Name: "data at the third cluster, qemu 11.1",
			Image: image(func(b []byte) { b[48], b[36] = 16, 32 }), Qemu: qemu11,
			Want: []extent.Extent{e(0, 2*c, 0, 0), e(2*c, 2*c, 2*c, data)}},
		{Name: "catalog too small, qemu 11.1", Image: image(nothing), Qemu: qemu11, Fault: small},
		{Name: "offset of an extension",
			Image: image(func(b []byte) { le.PutUint64(b[56:], 1<<54-1) }), Qemu: qemu10,
			Fault: "Invalid image: Too big offset"},
		{Name: "offset before the catalog, qemu 11.1",
			Image: image(func(b []byte) { le.PutUint64(b[56:], 1<<63) }), Qemu: qemu11,
			Fault: "Invalid image: Too big offset"},
		{Name: "extension without features", Image: image(extension(nothing)), Want: sound},
		{Name: "extension with a bitmap", Image: image(extension(bitmap(nothing))), Qemu: qemu,
			Want: sound},
		{Name: "magic", Image: image(func(b []byte) { b[0] = 0 }),
			Fault: "Image not in Parallels format"},
		{Name: "version", Image: image(func(b []byte) { b[16] = 3 }),
			Fault: "Image not in Parallels format"},
		{Name: "tracks 0", Image: image(func(b []byte) { b[28] = 0 }),
			Fault: "Invalid image: Zero sectors per track"},
		{Name: "tracks", Image: image(func(b []byte) { le.PutUint32(b[28:], 4186128) }),
			Fault: "Invalid image: Too big cluster"},
		{Name: "bat_entries", Image: image(func(b []byte) { b[35] = 0x20 }),
			Fault: "Catalog too large"},
		{Name: "nb_sectors", Image: image(func(b []byte) { b[43] = 1 }),
			Fault: "Could not refresh total sector count: File too large"},
		{Name: "extension magic", Image: image(func(b []byte) { b[56] = 8 }),
			Fault: "Wrong parallels Format Extension magic: 0x0, expected: 0xab234cef23dcea87"},
		{Name: "extension far away", Image: image(func(b []byte) { le.PutUint64(b[56:], 1<<54-1) }),
			Fault: "Failed to read Format Extension cluster: Input/output error"},
		{Name: "extension at a negative offset", Image: image(func(b []byte) { b[63] = 0xff }),
			Qemu: qemu,
			Fault: "../../block/parallels-ext.c:287: parallels_read_format_extension: " +
				"Assertion `ext_off > 0' failed."},
		{Name: "no extension in too large a cluster",
			Image: image(func(b []byte) { b[56] = 8; b[30] = 4 }),
			Fault: "Wrong parallels Format Extension magic: 0x0, expected: 0xab234cef23dcea87"},
		{Name: "extension in too large a cluster", Image: image(func(b []byte) {
			extension(nothing)(b)
			le.PutUint32(b[28:], 1<<18)
		}),
			Fault: "a format extension in a cluster of 134217728 bytes is not looked at"},
		{Name: "checksum", Image: image(func(b []byte) { extension(nothing)(b); b[24*512+8] ^= 1 }),
			Fault: "Wrong checksum in Format Extension header. Format extension is corrupted."},
		{Name: "feature flags", Image: image(extension(func(b []byte) { b[8] = 1 })),
			Fault: "Flags for extension feature are unsupported"},
		{Name: "feature size", Image: image(extension(func(b []byte) { le.PutUint32(b[16:], c) })),
			Fault: "Feature data_size exceedes Format Extension cluster"},
		{Name: "feature", Image: image(extension(func(b []byte) { b[0] = 1 })),
			Fault: "Unknown feature: 0x1"},
		{Name: "no room for an end", Image: image(
			extension(bitmap(func(b []byte) { le.PutUint32(b[16:], c-24-24) }))),
			Fault: "Can not read feature header, as remaining bytes (0) in Format Extension " +
				"is less than Feature header size (24)"},
		{Name: "bitmap too small", Image: image(extension(bitmap(func(b []byte) { b[16] = 24 }))),
			Fault: "Too small Bitmap Feature area in Parallels Format Extension: 24 bytes, " +
				"expected at least 32 bytes"},
		{Name: "bitmap much too small", Image: image(
			extension(bitmap(func(b []byte) { b[16] = 2 }))),
			Fault: "Too small Bitmap Feature area in Parallels Format Extension: 2 bytes, " +
				"expected at least 32 bytes"},
		{Name: "bitmap of an odd size", Image: image(
			extension(bitmap(func(b []byte) { b[16] = 39 }))),
			Fault: "Bitmaps feature corrupted: l1 table exceeds extension data_size"},
		{Name: "bitmap of another disk",
			Image: image(extension(bitmap(func(b []byte) { b[24] = 1 }))),
			Fault: "Bitmap size (in sectors) 1 differs from disk size in sectors 39"},
		{Name: "granularity", Image: image(extension(bitmap(func(b []byte) { b[48] = 3 }))),
			Fault: "Invalid bitmap granularity 1536, expected a power of two of at least 512 " +
				"bytes"},
		{Name: "granularity, qemu", Image: image(extension(bitmap(func(b []byte) { b[48] = 3 }))),
			Qemu:  qemu,
			Fault: "../../block/dirty-bitmap.c:105: " + badGranularity},
		{Name: "granularity, qemu 11.1", Image: image(func(b []byte) {
			b[36] = 32
			extension(bitmap(func(h []byte) { h[24], h[48] = 32, 3 }))(b)
		}), Qemu: qemu11, Fault: "block/dirty-bitmap.c:107: " + badGranularity},
		{Name: "granularity of 2^32 and 4096",
			Image: image(extension(bitmap(func(b []byte) { b[50] = 0x80 }))),
			Qemu:  qemu, Want: sound},
		{Name: "granularity of an l1 table too long",
			Image: image(extension(bitmap(func(b []byte) { b[48], b[52] = 3, 2 }))),
			Fault: "Bitmaps feature corrupted: l1 table exceeds extension data_size"},
		{Name: "size below zero", Image: image(extension(bitmap(func(b []byte) { b[31] = 0x80 }))),
			Fault: "Bitmap size (in sectors) -9223372036854775769 differs from disk size in " +
				"sectors 39"},
		{Name: "bits", Image: image(extension(bitmap(func(b []byte) {
			le.PutUint64(b[56:], 1<<40)
		}))), Want: sound},
		{Name: "bits of ones", Image: image(extension(bitmap(func(b []byte) { b[56] = 1 }))),
			Want: sound},
		{Name: "bits far away", Image: image(extension(bitmap(func(b []byte) {
			le.PutUint64(b[56:], 1<<54-1)
		}))),
			Fault: "Failed to read bitmap data cluster: Input/output error"},
		{Name: "l1 table too long", Image: image(extension(bitmap(func(b []byte) { b[52] = 2 }))),
			Fault: "Bitmaps feature corrupted: l1 table exceeds extension data_size"},
		{Name: "l1 table too short", Image: image(extension(bitmap(func(b []byte) { b[52] = 0 }))),
			Fault: "Bitmap table size 0 does not correspond to bitmap size and cluster size. " +
				"Expected 1"},
		{Name: "the same bitmap twice, with a short l1 table",
			Image: image(extension(func(b []byte) {
				bitmap(nothing)(b)
				bitmap(func(h []byte) { h[52] = 0 })(b[64:])
			})), Fault: "Bitmap already exists: 30313233-3435-3637-3839-616263646566"},
		{Name: "the same bitmap twice", Image: image(
			extension(func(b []byte) { bitmap(nothing)(b); bitmap(nothing)(b[64:]) })),
			Fault: "Bitmap already exists: 30313233-3435-3637-3839-616263646566"},
	} {
		v.Check(t, &parallels.Driver)
	}
}

// TestManyBitmaps checks the limit of bitmaps: a hostile extension has room for a million, the
// guest does not.
func TestManyBitmaps(t *testing.T) {
	const size, feature, limit = 4 << 20, 24 + 32, 1 << 14
	for _, n := range []uint64{limit, limit + 1} {
		b := make([]byte, 2*size)
		copy(b, image(nothing)[:64])
		le.PutUint32(b[28:], size/512)
		le.PutUint32(b[32:], 0)
		le.PutUint64(b[36:], 0)
		le.PutUint64(b[56:], size/512)
		ext := b[size:]
		le.PutUint64(ext, 0xAB234CEF23DCEA87)
		for i := range n {
			h := ext[24+i*feature:]
			le.PutUint64(h, 0x20385FAE252CB34A)
			le.PutUint32(h[16:], 32)
			le.PutUint64(h[24+8:], i)
			le.PutUint32(h[24+24:], 8)
		}
		sum := md5.Sum(ext[24:])
		copy(ext[8:], sum[:])
		_, f, err := formattest.Run(&parallels.Driver, &format.Params{Dev: formattest.Bytes(b)},
			img.Whole)
		if many := f != nil && f.Reason == fault.ParallelsBitmaps; err != nil ||
			many != (n > limit) || f != nil && !many {
			t.Errorf("%d bitmaps: %v, %v", n, f, err)
		}
	}
}

// TestTerabyte checks where an assertion of qemu fails: where its 32-bit number of sectors left
// is negative or 0.
func TestTerabyte(t *testing.T) {
	const tib = 1 << 40
	for _, tc := range []struct {
		sectors, start, end uint64
		qemu                img.Release
		good                uint64 // bytes of the window that are mapped
	}{
		{1 << 31, 0, tib, qemu, 0},
		{1 << 31, 0, tib - 512, qemu, tib - 512},
		{1 << 31, 1, tib, qemu, 0},
		{1 << 31, 512, tib, qemu, tib - 512},
		{1 << 32, 0, 2 * tib, qemu, 0},
		{1<<32 + 9, 0, 2*tib + 9*512, qemu, 9 * 512},
		{1<<32 + 9, 100, 2*tib + 9*512, qemu, 9*512 - 100},
		{1<<32 + 9, 0, 2*tib + 9*512, 0, 2*tib + 9*512},
	} {
		b := image(func(b []byte) { le.PutUint64(b[36:], tc.sectors); b[32] = 0 })
		r, f, err := formattest.Run(&parallels.Driver, &format.Params{Dev: formattest.Bytes(b),
			Release: tc.qemu},
			img.Window{Start: tc.start, End: tc.end})
		if f != nil || err != nil {
			t.Fatal(f, err)
		}
		good := tc.end - tc.start
		if len(r.Warnings) > 0 {
			w := r.Warnings[0]
			good = w.Args[0] - tc.start
			if _, aborts := w.QemuWalkEnd(""); !aborts || !w.Stops() {
				t.Errorf("%v does not abort", w)
			}
		}
		if good != tc.good {
			t.Errorf("%+v: %d bytes are mapped", tc, good)
		}
	}
}

// TestModel compares random images with a model at random places.
func TestModel(t *testing.T) {
	for seed := range int64(60) {
		rng := rand.New(rand.NewSource(seed))
		b := parallelstest.Random(rng)
		r := formattest.Properties(t, &parallels.Driver, b, qemu, rng.Uint64(), rng.Uint64(), true)
		if r == nil || r.Map.End() == 0 {
			continue
		}
		tracks, entries := uint64(le.Uint32(b[28:])), uint64(le.Uint32(b[32:]))
		for range 1000 {
			off := uint64(rng.Int63n(int64(r.Map.End())))
			got := r.Map.At(r.Map.Find(off))
			i := off / 512 / tracks
			var entry uint64
			if i < entries {
				entry = uint64(le.Uint32(b[64+4*i:]))
			}
			if b[14] == 'x' {
				entry *= tracks
			}
			if entry == 0 && got.Flags != 0 || entry != 0 &&
				(got.Flags != data || got.Offset+off-got.Start != entry*512+off-i*tracks*512) {
				t.Fatalf("seed %d, byte %d: %+v, entry %d", seed, off, got, entry)
			}
		}
	}
}

// TestBATIsReadOnce checks that a window begins at its own entry, and that nothing is read
// twice.
func TestBATIsReadOnce(t *testing.T) {
	b := image(func(b []byte) { le.PutUint32(b[32:], 1<<20); le.PutUint64(b[36:], 8<<20) })
	for _, w := range [][2]uint64{{0, cluster << 20}, {cluster<<20 - 5, cluster << 20}} {
		dev := formattest.Bytes(b)
		_, f, err := formattest.Run(&parallels.Driver, &format.Params{Dev: dev},
			img.Window{Start: w[0], End: w[1]})
		if f != nil || err != nil {
			t.Fatal(f, err)
		}
		if at, twice := dev.ReadTwice(); twice {
			t.Errorf("byte %d is read twice", at)
		}
		if most := 64 + (w[1]-w[0])/cluster*4 + 8; dev.Bytes > most {
			t.Errorf("%d bytes read, want %d at most", dev.Bytes, most)
		}
	}
}

func TestDeviceFails(t *testing.T) {
	for _, at := range []uint64{1, 70, 24*512 + 5} {
		dev := formattest.Bytes(image(extension(bitmap(nothing))))
		dev.FailAt = at
		_, f, err := formattest.Run(&parallels.Driver, &format.Params{Dev: dev}, img.Whole)
		if err != nil || f == nil || f.Reason != fault.DeviceRead {
			t.Errorf("byte %d: %v %v", at, f, err)
		}
	}
}

// FuzzParallels walks arbitrary bytes.
func FuzzParallels(f *testing.F) {
	for seed := range int64(6) {
		f.Add(parallelstest.Random(rand.New(rand.NewSource(seed))), uint64(seed)<<10, uint64(1)<<20)
	}
	f.Add(image(nothing), uint64(5), uint64(1000))
	f.Add(image(extension(bitmap(nothing))), uint64(5), uint64(1000))
	f.Fuzz(func(t *testing.T, b []byte, start, length uint64) {
		formattest.Properties(t, &parallels.Driver, b, 0, start, length, true)
		formattest.Properties(t, &parallels.Driver, b, qemu, start, length, false)
	})
}
