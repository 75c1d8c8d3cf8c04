package dmg_test

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/dmg"
	"instarfs/guest/format/dmg/dmgtest"
	"instarfs/guest/format/formattest"
	"instarfs/guest/img"
)

const (
	qemu       = 7<<16 | 2
	qemu10     = 10 << 16
	zero       = extent.Present | extent.Zero
	data       = extent.Present | extent.Data | extent.Offset
	compressed = extent.Present | extent.Data | extent.Compressed
	unknown    = extent.Present | extent.Data
)

var be = binary.BigEndian

type (
	chunk  = dmgtest.Chunk
	table  = dmgtest.Table
	chunks = []chunk
)

// image returns an image of 100 sectors with 8192 bytes of data and one table.
func image(c ...chunk) *dmgtest.Image {
	return &dmgtest.Image{Sectors: 100, Body: 8192, Tables: []table{{Chunks: c}}}
}

// plist returns an image with the given property list.
func plist(text string) []byte {
	d := image()
	d.Plist = text
	return d.Bytes()
}

func fork(d *dmgtest.Image) *dmgtest.Image {
	d.Fork = true
	return d
}

// koly alters the trailer of an image.
func koly(b []byte, off int, v uint64) []byte {
	be.PutUint64(b[len(b)-512+off:], v)
	return b
}

// atTrailer returns an image whose field off points to the trailer, with no length.
func atTrailer(off int) []byte {
	b := fork(image(every...)).Bytes()
	if off == 0x28 {
		b = image(every...).Bytes()
	}
	return koly(b, off, uint64(len(b)-512))
}

// rsrc alters the resource fork of an image, which follows the data.
func rsrc(off int, v uint32) []byte {
	b := fork(image(chunk{1, 0, 4, 0, 2048})).Bytes()
	be.PutUint32(b[8192+off:], v)
	return b
}

func e(start, sectors, offset uint64, f extent.Flags) extent.Extent {
	return extent.Extent{Start: start * 512, Length: sectors * 512, Offset: offset,
		State: extent.State{Flags: f}}
}

var every = chunks{{1, 0, 4, 1024, 2048}, {1, 4, 1, 1024 + 2048, 512}, {1, 5, 1, 0, 512},
	{0, 6, 4, 0, 0}, {2, 10, 10, 0, 0},
	{0x80000004, 20, 5, 0, 9}, {0x80000005, 25, 5, 9, 9}, {0x80000006, 30, 5, 18, 9},
	{0x80000007, 35, 5, 27, 9}, {0x80000008, 40, 5, 36, 9},
	{0x7ffffffe, 45, 5, 36, 9}, {77, 50, 10, 36, 9}, {0xffffffff, 60, 40, 36, 9}}

var everyMapped = []extent.Extent{e(0, 5, 1024, data), e(5, 1, 0, data), e(6, 14, 0, zero),
	e(20, 25, 0, compressed), e(45, 5, 0, 0),
	e(50, 10, 0, unknown), e(60, 40, 0, 0)}

func TestVectors(t *testing.T) {
	const invalid = "Invalid argument"
	all := []extent.Extent{e(0, 100, 0, unknown)}
	raw4 := []extent.Extent{e(0, 4, 0, data), e(4, 96, 0, 0)}
	encode := base64.StdEncoding.EncodeToString
	tab := (&table{Chunks: chunks{{1, 0, 4, 0, 2048}}}).Bytes()
	four := encode(tab)
	reversed := make(chunks, len(every))
	for i, c := range every {
		reversed[len(every)-1-i] = c
	}
	based := image(chunk{1, 0, 4, 100, 2048})
	based.DataFork, based.Tables[0].First, based.Tables[0].Data = 1000, 50, 10
	oldFork := fork(image(chunk{1, 0, 4, 0, 2048}))
	for _, v := range []formattest.Vector{
		{Name: "every chunk", Image: image(every...).Bytes(), Want: everyMapped},
		{Name: "every chunk, qemu", Image: image(every...).Bytes(), Qemu: qemu, Want: all},
		{Name: "every chunk, in a fork", Image: fork(image(every...)).Bytes(), Want: everyMapped},
		{Name: "every chunk, in a fork, qemu", Image: fork(image(every...)).Bytes(), Qemu: qemu,
			Want: all},
		{Name: "every chunk, the last first", Image: image(reversed...).Bytes(), Want: everyMapped},
		{Name: "bases", Image: based.Bytes(), Want: []extent.Extent{e(0, 50, 0, 0),
			e(50, 4, 1110, data), e(54, 46, 0, 0)}},
		{Name: "longer than the disk", Image: image(chunk{0, 90, 1 << 60, 0, 0},
			chunk{1, 200, 4, 0, 2048}).Bytes(),
			Want: []extent.Extent{e(0, 90, 0, 0), e(90, 10, 0, zero)}},
		{Name: "no chunks", Image: image().Bytes(), Want: []extent.Extent{e(0, 100, 0, 0)}},
		{Name: "raw without its bytes", Image: image(chunk{1, 0, 4, 0, 1535},
			chunk{1, 4, 4, 0, 1537}).Bytes(),
			Want: []extent.Extent{e(0, 4, 0, extent.Bad), e(4, 4, 0, data), e(8, 92, 0, 0)}},
		{Name: "raw beyond any file", Image: image(chunk{1, 0, 4, 1<<64 - 1, 2048}).Bytes(),
			Want: []extent.Extent{e(0, 4, 0, extent.Bad), e(4, 96, 0, 0)}},
		{Name: "two chunks of a sector", Image: image(chunk{1, 0, 4, 0, 2048},
			chunk{0, 3, 1, 0, 0}).Bytes(), Fault: "two chunks hold sector 3"},
		{Name: "start", Image: func() []byte {
			d := image(chunk{0, 1<<64 - 1, 1, 0,
				0})
			d.Tables[0].First = 1
			return d.Bytes()
		}(),
			Fault: "sector 18446744073709551615 behind sector 1 is none"},
		{Name: "no sectors", Image: koly(image().Bytes(), 0x1ec, 0)},
		{Name: "no sectors and chunks", Image: koly(image(chunk{1, 4, 4, 0, 2048},
			chunk{0, 0, 3, 0, 0}).Bytes(), 0x1ec, 0),
			Want: []extent.Extent{e(0, 3, 0, zero), e(3, 1, 0, 0), e(4, 4, 0, data)}},
		{Name: "no sectors and chunks, qemu", Image: koly(image(chunk{0, 0, 3, 0, 0}).Bytes(),
			0x1ec, 0), Qemu: qemu},
		{Name: "no sectors and a chunk without an end",
			Image: koly(image(chunk{0, 1, 1<<64 - 1, 0, 0}).Bytes(), 0x1ec, 0),
			Want:  []extent.Extent{e(0, 1, 0, 0), e(1, 1<<54-1<<21-1, 0, zero)}},
		{Name: "no chunk that qemu keeps", Image: image(chunk{0x80000008, 0, 100, 0, 0}).Bytes(),
			Qemu: qemu, Want: all},
		{Name: "no chunk that qemu 10 keeps", Image: image(chunk{0x80000008, 0, 100, 0, 0}).Bytes(),
			Qemu: qemu10, Fault: "no chunk of a type that qemu reads"},
		{Name: "no chunk for qemu 10, in a fork",
			Image: fork(image(chunk{0xffffffff, 0, 0, 0, 0})).Bytes(), Qemu: qemu10,
			Fault: "no chunk of a type that qemu reads"},
		{Name: "no chunk for qemu 10 before a NUL",
			Image: plist("\x00" + string(image(every...).Bytes()[8192:9000])), Qemu: qemu10,
			Fault: "no chunk of a type that qemu reads"},
		{Name: "raw of another length", Image: image(chunk{1, 0, 100, 0, 51201}).Bytes(),
			Qemu: qemu, Want: all},
		{Name: "raw of another length, qemu 10", Image: image(chunk{0, 0, 0, 0, 9},
			chunk{1, 0, 100, 0, 51201}).Bytes(), Qemu: qemu10,
			Fault: "length 51201 for chunk 1 is inconsistent with sector count 100"},
		{Name: "raw whose last sector is not whole, qemu 10",
			Image: image(chunk{1, 0, 100, 0, 51199}).Bytes(), Qemu: qemu10, Want: all},

		{Name: "trailer cut", Image: image(every...).Bytes()[:8192+300],
			Fault: "Could not locate UDIF trailer in dmg file"},
		{Name: "empty", Fault: "dmg file must be at least 512 bytes long"},
		{Name: "one byte", Image: make([]byte, 1),
			Fault: "Could not locate UDIF trailer in dmg file"},
		{Name: "trailer at 0", Image: koly(make([]byte, 512), 0, 0x6b6f6c79<<32), Fault: invalid},
		{Name: "encrypted", Image: append([]byte("encrcdsa"), make([]byte, 1000)...),
			Fault: "the image is encrypted as a whole, its tables included"},
		{Name: "encrypted, qemu", Image: append([]byte("encrcdsa"), make([]byte, 1000)...),
			Qemu: qemu, Fault: "Could not locate UDIF trailer in dmg file"},
		{Name: "split", Image: koly(image(every...).Bytes(), 0x38, 1<<32+2),
			Fault: "the image is split into 2 files"},
		{Name: "split, qemu", Image: koly(image(every...).Bytes(), 0x38, 1<<32+2), Qemu: qemu,
			Want: all},
		{Name: "data fork", Image: koly(image(every...).Bytes(), 0x18, 1<<40), Fault: invalid},
		{Name: "resource fork", Image: koly(image(every...).Bytes(), 0x28, 1<<40), Fault: invalid},
		{Name: "resource fork length", Image: koly(image(every...).Bytes(), 0x30, 1<<40),
			Fault: invalid},
		{Name: "property list", Image: koly(image(every...).Bytes(), 0xd8, 1<<40), Fault: invalid},
		{Name: "property list length", Image: koly(image(every...).Bytes(), 0xe0, 1<<40),
			Fault: invalid},
		{Name: "resource fork at the trailer", Image: atTrailer(0x28), Fault: invalid},
		{Name: "property list at the trailer", Image: atTrailer(0xd8), Fault: invalid},
		{Name: "two sectors", Image: (&dmgtest.Image{Sectors: 100, Body: 1,
			Plist: strings.Repeat(" ", 511)}).Bytes(),
			Want: []extent.Extent{e(0, 100, 0, 0)}},
		{Name: "sectors", Image: koly(image(every...).Bytes(), 0x1ec, 1<<63), Fault: invalid},
		{Name: "many sectors", Image: koly(image(every...).Bytes(), 0x1ec, 1<<54),
			Fault: "Could not refresh total sector count: File too large"},
		{Name: "no tables", Image: koly(image(every...).Bytes(), 0xe0, 0), Fault: invalid},

		{Name: "in a fork", Image: oldFork.Bytes(), Want: raw4},
		{Name: "fork: data offset", Image: rsrc(0, 1000), Fault: invalid},
		{Name: "fork: no data", Image: rsrc(8, 0), Fault: invalid},
		{Name: "fork: data length", Image: rsrc(8, 1000), Fault: invalid},
		{Name: "fork: data length of 2^32-1", Image: rsrc(8, 1<<32-1),
			Fault: "tables of 4294967295 bytes, more than 67108864, are not looked at"},
		{Name: "fork: empty resource", Image: rsrc(256, 0), Fault: invalid},
		{Name: "fork: long resource", Image: rsrc(256, 249), Fault: invalid},
		{Name: "fork: a resource as long as the data", Image: rsrc(256, 248), Want: raw4},
		{Name: "fork: no table", Image: rsrc(260, 0), Want: []extent.Extent{e(0, 100, 0, 0)}},

		{Name: "list: spaces", Image: plist("<data>" + four[:5] + " \r\n<da</dat<" + four[5:7] +
			"\xff" + four[7:] + "</data>"),
			Want: []extent.Extent{e(0, 100, 0, 0)}}, // "da", "/dat" are digits
		{Name: "list: blanks", Image: plist("<<data>" + four[:5] + " \r\n<" + four[5:7] + "\xff<" +
			four[7:] + "<</data>"), Want: raw4},
		{Name: "list: a tag that is none, of digits", Image: plist("<data>" + four[:200] +
			"</dat<" + four[204:] + "</data>"), Want: raw4},
		{Name: "list: = in the middle", Image: plist("<data>" + encode(tab[:203]) +
			encode(tab[203:]) + "</data>"), Want: raw4},
		{Name: "list: == in the middle", Image: plist("<data>" + encode(tab[:202]) +
			encode(tab[202:]) + "</data>"), Want: raw4},
		{Name: "list: open", Image: plist("<data>" + four), Fault: invalid},
		{Name: "list: NUL", Image: plist("<data>" + four + "</data>\x00<data>"), Want: raw4},
		{Name: "list: NUL inside", Image: plist("<data>" + four + "\x00</data>"), Fault: invalid},
		{Name: "list: an element in another", Image: plist("<data><data>" + four + "</data>"),
			Want: []extent.Extent{e(0, 100, 0, 0)}},
		{Name: "list: cut digits", Image: plist("<data>" + four[:len(four)-2] + "</data>"),
			Want: []extent.Extent{e(0, 100, 0, 0)}},
		{Name: "list: no digits", Image: plist("<data></data>"),
			Want: []extent.Extent{e(0, 100, 0, 0)}},
		{Name: "list: long, qemu", Image: plist(strings.Repeat(" ", 16<<20) + "<data>" + four +
			"</data>"), Qemu: qemu, Fault: invalid},
		{Name: "list: long", Image: plist(strings.Repeat(" ", 16<<20) + "<data>" + four +
			"</data>"), Want: raw4},
		{Name: "list: too long", Image: plist(strings.Repeat(" ", 64<<20+1)),
			Fault: "tables of 67108865 bytes, more than 67108864, are not looked at"},
	} {
		v.Check(t, &dmg.Driver)
	}
}

// TestFarDataFork has three offsets that are each possible in a file, and whose sum wraps
// around 2^64.
func TestFarDataFork(t *testing.T) {
	const far, max = 3 << 30, 1<<63 - 1<<30
	d := &dmgtest.Image{Sectors: 4, DataFork: far,
		Tables: []table{{Data: max, Chunks: chunks{{1, 0, 4, max, 2048}}}}}
	b := d.Bytes()
	koly(b, 0xd8, far)
	var s formattest.Sparse
	s.Put(far, b)
	r, f, err := formattest.Run(&dmg.Driver, &format.Params{Dev: s.Device()}, img.Whole)
	if f != nil || err != nil {
		t.Fatal(f, err)
	}
	if got := formattest.Extents(r.Map); got[0] != e(0, 4, 0, extent.Bad) {
		t.Errorf("%+v", got)
	}
}

// TestQemuLimits checks the faults that qemu prints on a line of their own, and its warnings.
func TestQemuLimits(t *testing.T) {
	const typ, length, sectors = "Image contains chunks of unknown type 80000008, accessing " +
		"them will result in I/O errors",
		" is larger than max (67108864)", " is larger than max (131072)"
	const bzip2 = "dmg-bzip2 module is missing, accessing bzip2 compressed blocks will result " +
		"in I/O errors"
	for _, tc := range []struct {
		c         chunks
		want      string // reported, or warned of
		openFails bool
	}{
		{chunks{{1, 0, 131072, 0, 64 << 20}}, "", false},
		{chunks{{1, 0, 131073, 0, 64 << 20}}, "sector count 131073 for chunk 0" + sectors, true},
		{chunks{{0, 0, 1 << 40, 0, 0}, {0x80000006, 0, 1 << 40, 0, 1 << 40},
			{0x80000005, 0, 1 << 40, 0, 0}},
			"warning: " + bzip2 + "\nsector count 1099511627776 for chunk 1" + sectors, true},
		{chunks{{0, 0, 4, 0, 64<<20 + 1}}, "length 67108865 for chunk 0" + length, true},
		{chunks{{0xffffffff, 0, 4, 0, 64<<20 + 1}, {0x7ffffffe, 0, 4, 0, 64<<20 + 1}}, "", false},
		{chunks{{0x80000008, 0, 4, 0, 64<<20 + 1}, {0x80000004, 0, 4, 0, 64<<20 + 1}}, typ, false},
		{chunks{{0x80000006, 0, 4, 0, 64<<20 + 1}, {0x80000006, 0, 4, 0, 64<<20 + 1}}, bzip2,
			false},
		{chunks{{0x80000007, 0, 1 << 18, 0, 0}}, strings.ReplaceAll(bzip2, "bzip2", "lzfse"),
			false},
	} {
		for _, d := range []*dmgtest.Image{image(tc.c...), fork(image(tc.c...))} {
			r, f, err := formattest.Run(&dmg.Driver,
				&format.Params{Dev: formattest.Bytes(d.Bytes()), Release: qemu}, img.Whole)
			switch {
			case err != nil:
				t.Error(err)
			case tc.openFails != (f != nil):
				t.Errorf("%+v: %v", tc, f)
			case f != nil:
				if got := strings.TrimSuffix(strings.Join(f.QemuStderr(), ""),
					"\n"); got != tc.want || !f.Bare() {
					t.Errorf("%+v: %q", tc, got)
				}
			case len(r.Warnings) == 0:
				if tc.want != "" {
					t.Errorf("%+v: no warning", tc)
				}
			case r.Warnings[0].Message() != tc.want || len(r.Warnings) > 1:
				t.Errorf("%+v: %v", tc, r.Warnings)
			}
		}
	}
	// An element without an end is found first.
	d := image(chunk{1, 0, 131073, 0, 0})
	d.Plist = "<data>" + base64.StdEncoding.EncodeToString(d.Tables[0].Bytes())
	_, f, _ := formattest.Run(&dmg.Driver, &format.Params{Dev: formattest.Bytes(d.Bytes()),
		Release: qemu}, img.Whole)
	if f == nil || f.Reason != fault.DmgPlist {
		t.Error(f)
	}
}

// TestTrailerPlace starts the trailer at any byte of the second-last sector.
func TestTrailerPlace(t *testing.T) {
	for pad := range uint64(1200) {
		b := append(image(chunk{1, 0, 4, 0, 2048}).Bytes(), make([]byte, pad)...)
		at := uint64(len(b)) - pad - 512
		_, f, err := formattest.Run(&dmg.Driver, &format.Params{Dev: formattest.Bytes(b)},
			img.Whole)
		searched := (uint64(len(b))+511)&^511 - 1023
		if want := at >= searched && at+4 <= searched+515; err != nil || (f == nil) != want {
			t.Fatalf("%d bytes after it: %v %v", pad, f, err)
		}
	}
}

func TestDeviceFails(t *testing.T) {
	for _, b := range [][]byte{image(every...).Bytes(), fork(image(every...)).Bytes()} {
		for _, at := range []uint64{8192, 8192 + 300, uint64(len(b)) - 1000, uint64(len(b)) - 100} {
			dev := formattest.Bytes(b)
			dev.FailAt = at
			_, f, err := formattest.Run(&dmg.Driver, &format.Params{Dev: dev}, img.Whole)
			if err != nil || f == nil || f.Reason != fault.DeviceRead {
				t.Errorf("byte %d: %v %v", at, f, err)
			}
		}
	}
}

// TestQemuOpensWhatItCannotMeasure has disks whose sectors times 512 wrap around in 64 bits:
// qemu checks only the product.
func TestQemuOpensWhatItCannotMeasure(t *testing.T) {
	for sectors, opens := range map[uint64]bool{1 << 54: false, 1<<55 - 1: false, 1 << 55: true,
		1<<55 + 8: true, 3<<54 + 1: false} {
		b := koly(image(every...).Bytes(), 0x1ec, sectors)
		for _, release := range []img.Release{0, qemu} {
			r, f, err := formattest.Run(&dmg.Driver, &format.Params{Dev: formattest.Bytes(b),
				Release: release}, img.Whole)
			switch {
			case err != nil:
				t.Fatal(err)
			case !opens || release == 0:
				if f == nil || f.Reason != fault.DmgVirtualSize {
					t.Errorf("%d sectors: %v", sectors, f)
				}
			case f != nil:
				t.Errorf("%d sectors: %v", sectors, f)
			case r.Size != format.UnknownSize || r.Map.At(0).Flags != extent.Bad ||
				r.Map.Len() != 1:
				t.Errorf("%d sectors: %d bytes, %v", sectors, r.Size, formattest.Extents(r.Map))
			case !r.Warnings[len(r.Warnings)-1].Stops():
				t.Errorf("%d sectors: %v", sectors, r.Warnings)
			}
		}
	}
}

// TestWarningsOfWholeTables checks that an incomplete table gives no warnings: qemu decodes a
// table only once it has found the end.
func TestWarningsOfWholeTables(t *testing.T) {
	text := string(image(chunk{0x80000008, 0, 1, 0, 0}).Bytes()[8192:])
	text = text[:strings.Index(text, "</data>")]
	for end, want := range map[string]int{"</data>": 1, "": 0} {
		r, f, err := formattest.Run(&dmg.Driver,
			&format.Params{Dev: formattest.Bytes(plist(text + end)), Release: qemu}, img.Whole)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		if f != nil {
			got = len(f.Before)
		} else {
			got = len(r.Warnings)
		}
		if got != want || (f == nil) != (want == 1) {
			t.Errorf("%q: %d warnings, %v", end, got, f)
		}
	}
}
