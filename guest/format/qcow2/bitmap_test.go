package qcow2_test

import (
	"testing"

	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qcow2"
	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/guest/img"
)

// dirEntry is a directory entry of a bitmap.
type dirEntry struct {
	table       uint64
	entries     uint32
	flags       uint32
	kind        uint8
	granularity uint8
	name        string
	extra       uint32
}

func (d dirEntry) bytes() string {
	e := extension(0, d.table, d.entries, d.flags, d.kind, d.granularity, uint16(len(d.name)),
		d.extra, d.name)
	return string(e.Data) + string(make([]byte, -len(e.Data)&7))
}

// bitmaps adds the extension for count bitmaps, and a directory of these entries, whose size is
// changed by more. It replaces a table offset of 1 by the offset of a table that holds content.
func bitmaps(count uint32, more int, content uint64, entries ...dirEntry) func(*qcow2test.Image) {
	return func(q *qcow2test.Image) {
		dir, table := q.Alloc(1), q.Alloc(1)
		var b string
		for _, e := range entries {
			if e.table == 1 {
				e.table = table
			}
			b += e.bytes()
		}
		q.Autoclear = 1
		q.Extensions = []qcow2test.Extension{extension(qcow2test.ExtensionBitmaps, count, uint32(0),
			uint64(len(b)+more), dir)}
		q.Spoil(dir, []byte(b)...)
		q.Spoil64(table, content)
	}
}

func directory(count, reserved uint32, size, off uint64) func(*qcow2test.Image) {
	return func(q *qcow2test.Image) {
		q.Autoclear = 1
		q.Extensions = []qcow2test.Extension{extension(qcow2test.ExtensionBitmaps, count, reserved,
			size, off)}
	}
}

// good is a bitmap of a disk of 1 MiB.
var good = dirEntry{1, 1, 0, 1, 16, "good", 0}

// but returns a changed copy of good.
func but(change func(*dirEntry)) dirEntry {
	e := good
	change(&e)
	return e
}

const constraints = "Bitmap 'good' doesn't satisfy the constraints"

var bitmapVectors = []vector{
	{"sound", bitmaps(1, 0, 0, good), fault.None, ""},
	{"ones", bitmaps(1, 0, 1, good), fault.None, ""},
	{"without name", bitmaps(1, 0, 0, but(func(e *dirEntry) { e.name = "" })), fault.None, ""},
	{"void", func(q *qcow2test.Image) {
		bitmaps(9, 0, 0, good)(q)
		q.Autoclear = 0
	}, fault.None, ""},
	{"extension short", func(q *qcow2test.Image) {
		q.Autoclear = 1
		q.Extensions = []qcow2test.Extension{extension(qcow2test.ExtensionBitmaps, uint32(1),
			uint32(0), uint64(24))}
	}, fault.Qcow2BitmapsLength, "bitmaps_ext: Invalid extension length"},
	{"reserved", directory(1, 1, 24, 0), fault.Qcow2BitmapsReserved,
		"bitmaps_ext: Reserved field is not zero"},
	{"none", directory(0, 0, 24, 0), fault.Qcow2BitmapsNone,
		"found bitmaps extension with zero bitmaps"},
	{"many", directory(65536, 0, 24, 0), fault.Qcow2BitmapsCount,
		"bitmaps_ext: Image has 65536 bitmaps, exceeding the QEMU supported maximum of 65535"},
	{"unaligned", directory(1, 0, 24, 8), fault.Qcow2BitmapsOffset,
		"bitmaps_ext: invalid bitmap directory offset"},
	{"large", directory(1, 0, 1<<63, 0), fault.Qcow2BitmapsSize,
		"bitmaps_ext: bitmap directory size (9223372036854775808) exceeds the maximum " +
			"supported size (67107840)"},
	{"size 0", directory(1, 0, 0, 0), fault.Qcow2BitmapsEmpty,
		"Requested bitmap directory size is zero"},
	{"too far", directory(1, 0, 24, 1<<63-1<<16), fault.Qcow2BitmapsRead,
		"Failed to read bitmap directory: Input/output error"},
	{"beyond the end", directory(1, 0, 24, 1<<40), fault.Qcow2BitmapConstraints,
		"Bitmap '' doesn't satisfy the constraints"},
	{"directory short", bitmaps(1, -16, 0, good), fault.Qcow2BitmapsBroken,
		"Broken bitmap directory"},
	{"name cut", bitmaps(1, -8, 0, good), fault.Qcow2BitmapsBroken, "Broken bitmap directory"},
	{"directory long", bitmaps(1, 8, 0, good), fault.Qcow2BitmapsBroken, "Broken bitmap directory"},
	{"more", bitmaps(1, 0, 0, good, good), fault.Qcow2BitmapsMore,
		"More bitmaps found than specified in header extension"},
	{"less", bitmaps(2, 0, 0, good), fault.Qcow2BitmapsLess,
		"Less bitmaps found than specified in header extension"},
	{"extra data", bitmaps(1, 8, 0, but(func(e *dirEntry) { e.extra = 8 })), fault.Qcow2BitmapExtra,
		"Bitmap extra data is not supported"},
	{"extra data of 2 GiB", bitmaps(1, 8, 0, but(func(e *dirEntry) { e.extra = 1<<31 - 100 })),
		fault.Qcow2BitmapsBroken, "Broken bitmap directory"},
	{"extra data of 3 GiB", bitmaps(1, 8, 0, but(func(e *dirEntry) { e.extra = 3 << 30 })),
		fault.Qcow2BitmapExtra, "Bitmap extra data is not supported"},
	{"table empty", bitmaps(1, 0, 0, but(func(e *dirEntry) { e.entries = 0 })),
		fault.Qcow2BitmapConstraints, constraints},
	{"table large", bitmaps(1, 0, 0, but(func(e *dirEntry) { e.entries = 1<<13 + 1 })),
		fault.Qcow2BitmapConstraints, constraints},
	{"table at 0", bitmaps(1, 0, 0, but(func(e *dirEntry) { e.table = 0 })),
		fault.Qcow2BitmapConstraints, constraints},
	{"table unaligned", bitmaps(1, 0, 0, but(func(e *dirEntry) { e.table = 512 })),
		fault.Qcow2BitmapConstraints, constraints},
	{"flags", bitmaps(1, 0, 0, but(func(e *dirEntry) { e.flags = 4 })),
		fault.Qcow2BitmapConstraints, constraints},
	{"type", bitmaps(1, 0, 0, but(func(e *dirEntry) { e.kind = 2 })), fault.Qcow2BitmapConstraints,
		constraints},
	{"granularity 8", bitmaps(1, 0, 0, but(func(e *dirEntry) { e.granularity = 8 })),
		fault.Qcow2BitmapConstraints, constraints},
	{"granularity 32", bitmaps(1, 0, 0, but(func(e *dirEntry) { e.granularity = 32 })),
		fault.Qcow2BitmapConstraints, constraints},
	{"granularity 31", bitmaps(1, 0, 0, but(func(e *dirEntry) { e.granularity = 31 })), fault.None,
		""},
	{"twice", bitmaps(2, 0, 0, good, good), fault.Qcow2BitmapExists, "Bitmap already exists: good"},
	{"twice, in use", bitmaps(2, 0, 0, good, but(func(e *dirEntry) { e.flags = 1 })), fault.None,
		""},
	{"in use, with a table too large", bitmaps(1, 0, 0,
		but(func(e *dirEntry) { e.flags, e.entries = 1, 2 })), fault.None, ""},
	{"table too large", bitmaps(1, 0, 0, but(func(e *dirEntry) { e.entries = 2 })),
		fault.Qcow2BitmapData, "Could not read bitmap 'good' from image: Invalid argument"},
	{"table entry reserved", bitmaps(1, 0, 2, good), fault.Qcow2BitmapTable,
		"Could not read bitmap_table table from image for bitmap 'good': Invalid argument"},
	{"table entry with both", bitmaps(1, 0, 0x10001, good), fault.Qcow2BitmapTable,
		"Could not read bitmap_table table from image for bitmap 'good': Invalid argument"},
	{"table entry unaligned", bitmaps(1, 0, 0x10200, good), fault.Qcow2BitmapTable,
		"Could not read bitmap_table table from image for bitmap 'good': Invalid argument"},
	{"table far away", bitmaps(1, 0, 0, but(func(e *dirEntry) { e.table = 1<<63 - 1<<16 })),
		fault.Qcow2BitmapTableRead,
		"Could not read bitmap_table table from image for bitmap 'good': Input/output error"},
	{"table fault after a directory fault", bitmaps(2, 0, 2, good), fault.Qcow2BitmapsLess,
		"Less bitmaps found than specified in header extension"},
}

// TestBitmaps opens images whose persistent bitmaps are wrong, with this package and with qemu-img.
func TestBitmaps(t *testing.T) { checkVectors(t, bitmapVectors) }

// TestVoidBitmaps checks the warnings of qemu-img for bitmaps that a program did not keep. Our
// own profile has none.
func TestVoidBitmaps(t *testing.T) {
	for version, want := range map[uint32]string{
		3: "a program lacking bitmap support modified this file, so all bitmaps are now " +
			"considered inconsistent",
		2: "This qcow2 v2 image contains bitmaps, but they may have been modified by a " +
			"program without " +
			"persistent bitmap support; so now they must all be considered inconsistent",
	} {
		q := qcow2test.New(1<<20, 16)
		bitmaps(9, 0, 0, good)(q)
		q.Version, q.Autoclear = version, 0
		for _, release := range []img.Release{0, 7<<16 | 2} {
			r, n := image(q)
			p := &format.Params{Dev: formattest.NewDevice(r, n), Release: release}
			res, f, err := formattest.Run(&qcow2.Driver, p, img.Whole)
			if f != nil || err != nil {
				t.Fatal(f, err)
			}
			switch {
			case release == 0 && len(res.Warnings) > 0:
				t.Errorf("version %d: %v", version, res.Warnings)
			case release == 0:
			case len(res.Warnings) != 1 || res.Warnings[0].Message() != want:
				t.Errorf("version %d: %v", version, res.Warnings)
			}
		}
	}
}
