package vmdk_test

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/vmdk"
	"instarfs/guest/format/vmdk/vmdktest"
	"instarfs/guest/img"
)

// TestAgainstModel walks random files of all three kinds, whole and in windows, and compares
// each sector with the model.
func TestAgainstModel(t *testing.T) {
	for seed := range int64(300) {
		rng := rand.New(rand.NewSource(seed))
		kind := []string{"KDMV", "COWD", "SESPARSE"}[seed%3]
		s := vmdktest.RandomSparse(rng, kind)
		s.AtEnd = false
		s.Capacity = max(s.Capacity, 1)
		b := s.Bytes()
		whole, f := walk(t, drivers[kind], b, qemu, img.Whole)
		if f != nil {
			t.Fatalf("%d: %v", seed, f)
		}
		hanging := (s.Grain - s.Capacity%s.Grain) % s.Grain * sector
		if whole.Size != s.Capacity*sector+hanging || whole.Overhang != hanging {
			t.Fatalf("%d: size %d, of which hang over %d", seed, whole.Size, whole.Overhang)
		}
		model{s, b}.agree(t, whole)
		own, f := walk(t, drivers[kind], b, 0, img.Whole)
		if f != nil || own.Size != s.Capacity*sector || own.Overhang != 0 {
			t.Fatalf("%d: own size %d, %v", seed, own.Size, f)
		}
		model{s, b}.agree(t, own)
		start, length := formattest.RandomWindow(rng, whole.Size)
		part, f := walk(t, drivers[kind], b, qemu, window(start, start+length))
		if f != nil {
			t.Fatalf("%d: %v", seed, f)
		}
		model{s, b}.agree(t, part)
	}
}

// TestFewReads checks that tables are read in batches, and no byte twice.
func TestFewReads(t *testing.T) {
	s := vmdktest.NewSparse("KDMV", 4<<21, 128)
	for g := uint64(0); g < s.Capacity/s.Grain; g += 3 {
		s.Entries[g] = 1 << 20
	}
	dev := formattest.Bytes(s.Bytes())
	if _, f, err := formattest.Run(&vmdk.SparseDriver, &format.Params{Dev: dev, Release: qemu},
		img.Whole); f != nil || err != nil {
		t.Fatal(f, err)
	}
	if at, twice := dev.ReadTwice(); twice || dev.Batches > 3 {
		t.Errorf("%d batches, byte %d twice: %v", dev.Batches, at, twice)
	}
}

// headers are wrong or odd headers of a file of 1000 sectors that stores the first grain at
// sector 200.
var headers = []struct {
	kind   string
	name   string
	spoil  func(s *vmdktest.Sparse)
	reason fault.Reason
	text   string // of qemu-img
}{
	{"KDMV", "sound", func(s *vmdktest.Sparse) {}, 0, ""},
	{"KDMV", "version 3", func(s *vmdktest.Sparse) { s.Version = 3 }, 0, ""},
	{"KDMV", "version 0", func(s *vmdktest.Sparse) { s.Version = 0 }, 0, ""},
	{"KDMV", "version", func(s *vmdktest.Sparse) { s.Version = 4 }, fault.VmdkVersion,
		"Unsupported VMDK version 4"},
	{"KDMV", "table size", func(s *vmdktest.Sparse) { s.Spoil32(44, 513) }, fault.VmdkTableSize,
		"L2 table size too big"},
	{"KDMV", "no table size", func(s *vmdktest.Sparse) { s.Spoil32(44, 0) }, fault.VmdkEntryReach,
		"L1 entry size is invalid"},
	{"KDMV", "no grain size", func(s *vmdktest.Sparse) { s.Spoil64(20, 0) }, fault.VmdkEntryReach,
		"L1 entry size is invalid"},
	{"KDMV", "grain size that 32 bits cut", func(s *vmdktest.Sparse) { s.Spoil64(20, 1<<32) },
		fault.VmdkEntryReach, ""},
	{"KDMV", "grain size", func(s *vmdktest.Sparse) { s.Spoil64(20, 0x200001) },
		fault.VmdkGranularity, "Invalid granularity, image may be corrupt"},
	{"KDMV", "largest grain size", func(s *vmdktest.Sparse) { s.Spoil64(20, 0x200000) }, 0, ""},
	{"KDMV", "truncated", func(s *vmdktest.Sparse) { s.Spoil64(64, 1<<30) }, fault.VmdkTruncated,
		"File truncated, expecting at least 549755813888 bytes"},
	{"KDMV", "truncated beyond numbers", func(s *vmdktest.Sparse) { s.Spoil64(64, 3<<54) },
		fault.VmdkTruncated, "File truncated, expecting at least -9223372036854775808 bytes"},
	{"KDMV", "capacity", func(s *vmdktest.Sparse) { s.Spoil64(12, 1<<42) }, fault.VmdkDirectorySize,
		"L1 size too big"},
	{"KDMV", "capacity of too many bytes", func(s *vmdktest.Sparse) { s.Spoil64(12, 1<<54) },
		fault.VmdkTooLarge, "Could not refresh total sector count: File too large"},
	{"KDMV", "directory", func(s *vmdktest.Sparse) { s.Spoil64(56, 1<<54) },
		fault.VmdkDirectoryRead, "Could not read l1 table from extent 'disk': Input/output error"},
	{"KDMV", "second directory", func(s *vmdktest.Sparse) { s.Spoil64(48, 1<<54) },
		fault.VmdkBackupRead, "Could not read l1 backup table from extent 'disk': " +
			"Input/output error"},
	{"KDMV", "second directory that is not in the file",
		func(s *vmdktest.Sparse) { s.Flags = 1; s.Spoil64(48, 1<<54) }, 0, ""},
	{"KDMV", "no footer", func(s *vmdktest.Sparse) { s.Spoil64(56, 1<<64-1) }, fault.VmdkFooter,
		"Invalid footer"},
	{"KDMV", "no CID", func(s *vmdktest.Sparse) { s.Text = "parentCXD=1" }, fault.VmdkNoCID,
		"Invalid argument"},
	{"KDMV", "CID of no number", func(s *vmdktest.Sparse) { s.Text = "CID=xyz\nparentCID=1" },
		fault.VmdkNoCID, "Invalid argument"},
	{"KDMV", "no parent's CID", func(s *vmdktest.Sparse) { s.Text = "CID=1\n" },
		fault.VmdkNoParentCID, "Invalid argument"},
	{"KDMV", "odd CIDs", func(s *vmdktest.Sparse) { s.Text = "parentCID?\n\t -0X" }, 0, ""},
	{"KDMV", "no end of the hint", func(s *vmdktest.Sparse) { s.Text += `parentFileNameHint="x` },
		fault.VmdkParentHint, "Invalid argument"},
	{"KDMV", "long hint", func(s *vmdktest.Sparse) {
		s.Text += `parentFileNameHint="` +
			strings.Repeat("x", 4096) + `"`
	}, fault.VmdkParentHint, "Invalid argument"},
	{"KDMV", "longest hint", func(s *vmdktest.Sparse) {
		s.Text += `parentFileNameHint="` +
			strings.Repeat("x", 4095) + `"`
	}, 0, ""},
	{"KDMV", "embedded text that is none", func(s *vmdktest.Sparse) { s.Spoil64(12, 0) },
		fault.VmdkCreateType, "Unsupported image type 'monolithicSparse'"},
	{"KDMV", "embedded text nowhere", func(s *vmdktest.Sparse) {
		s.Spoil64(12, 0)
		s.Spoil64(28,
			1<<54)
	}, fault.VmdkDescriptorRead, "Could not read from file: Input/output error"},
	{"KDMV", "embedded text past the end",
		func(s *vmdktest.Sparse) { s.Spoil64(12, 0); s.Spoil64(28, 1<<50) }, fault.VmdkDescriptor,
		"invalid VMDK image descriptor"},
	{"KDMV", "empty disk", func(s *vmdktest.Sparse) { s.Spoil64(12, 0); s.Spoil64(28, 0) }, 0, ""},
	{"COWD", "grain size", func(s *vmdktest.Sparse) { s.Spoil32(16, 0x200001) },
		fault.VmdkGranularity, "Invalid granularity, image may be corrupt"},
	{"COWD", "no grain size", func(s *vmdktest.Sparse) { s.Spoil32(16, 0) }, fault.VmdkEntryReach,
		""},
	{"COWD", "grain size that 32 bits cut", func(s *vmdktest.Sparse) { s.Spoil32(16, 1<<20) },
		fault.VmdkEntryReach, ""},
	{"COWD", "directory size", func(s *vmdktest.Sparse) { s.Spoil32(24, 32<<20+1) },
		fault.VmdkDirectorySize, "L1 size too big"},
	{"SESPARSE", "sound", func(s *vmdktest.Sparse) {}, 0, ""},
	{"SESPARSE", "magic", func(s *vmdktest.Sparse) { s.Spoil64(0, 0xbabe) }, fault.VmdkConstMagic,
		"Bad const header magic: 0x000000000000babe"},
	{"SESPARSE", "version", func(s *vmdktest.Sparse) { s.Spoil64(8, 2) }, fault.VmdkConstVersion,
		"Unsupported version: 0x0000000000000002"},
	{"SESPARSE", "grain size", func(s *vmdktest.Sparse) { s.Spoil64(24, 9) },
		fault.VmdkConstGrainSize, "Unsupported grain size: 9"},
	{"SESPARSE", "table size", func(s *vmdktest.Sparse) { s.Spoil64(32, 9) },
		fault.VmdkConstTableSize, "Unsupported grain table size: 9"},
	{"SESPARSE", "flags", func(s *vmdktest.Sparse) { s.Spoil64(40, 9) }, fault.VmdkConstFlags,
		"Unsupported flags: 0x0000000000000009"},
	{"SESPARSE", "reserved", func(s *vmdktest.Sparse) { s.Spoil64(72, 9) }, fault.VmdkConstReserved,
		"Unsupported reserved bits: 0x0000000000000000 0x0000000000000000 0x0000000000000000 " +
			"0x0000000000000009"},
	{"SESPARSE", "padding", func(s *vmdktest.Sparse) { s.Spoil(511, 1) }, fault.VmdkConstPadding,
		"Unsupported non-zero const header padding"},
	{"SESPARSE", "volatile header", func(s *vmdktest.Sparse) { s.Spoil64(80, 1<<54) },
		fault.VmdkVolatileRead, "Could not read volatile header from file 'disk': " +
			"Input/output error"},
	{"SESPARSE", "volatile magic", func(s *vmdktest.Sparse) { s.Spoil64(80, 0) },
		fault.VmdkVolatileMagic, "Bad volatile header magic: 0x00000000cafebabe"},
	{"SESPARSE", "journal", func(s *vmdktest.Sparse) { s.Spoil64(512+24, 1) },
		fault.VmdkVolatileDirty, "Image is dirty, Replaying journal not supported"},
	{"SESPARSE", "volatile padding", func(s *vmdktest.Sparse) { s.Spoil(1023, 1) },
		fault.VmdkVolatilePadding, "Unsupported non-zero volatile header padding"},
	{"SESPARSE", "directory size", func(s *vmdktest.Sparse) { s.Spoil64(17*8, 32<<20/64+1) },
		fault.VmdkDirectorySize, "L1 size too big"},
	{"SESPARSE", "directory", func(s *vmdktest.Sparse) { s.Spoil64(16*8, 1<<54) },
		fault.VmdkDirectoryRead, "Could not read l1 table from extent 'disk': Input/output error"},
}

// told returns the message of qemu-img for f, without the name of the file in front.
func told(f *fault.Fault) string {
	return strings.TrimPrefix(f.Told("disk"), "Could not open 'disk': ")
}

func TestHeaders(t *testing.T) {
	for _, v := range headers {
		t.Run(v.kind+" "+v.name, func(t *testing.T) {
			s := vmdktest.NewSparse(v.kind, 1000, 128)
			s.Entries[0] = 200
			if v.kind == "SESPARSE" {
				s.Entries[0] = vmdktest.Stored(3)
			}
			v.spoil(s)
			_, f := walk(t, driverOf(v.kind), s.Bytes(), qemu, img.Whole)
			switch {
			case f == nil && v.reason == 0:
			case f == nil || f.Reason != v.reason:
				t.Errorf("fault %v, want reason %d", f, v.reason)
			case v.text != "" && told(f) != v.text:
				t.Errorf("%q, want %q", told(f), v.text)
			}
		})
	}
}

// TestFooter checks that a header at the end is used. qemu finds it only in a file that is the
// whole disk.
func TestFooter(t *testing.T) {
	s := vmdktest.NewSparse("KDMV", 1000, 128)
	s.Entries[1], s.Compression, s.AtEnd = 200, 1, true
	b := s.Bytes()
	want := []ext{{65536, 0, 0, 0}, {65536, packed, 0, 0}, {1000*sector - 131072, 0, 0, 0}}
	for _, release := range []img.Release{0, qemu} {
		r, f := walk(t, &vmdk.Driver, b, release, img.Whole)
		if f != nil {
			t.Fatal(f)
		}
		same(t, r, want)
	}
	if r, f := walk(t, &vmdk.SparseDriver, b, 0, img.Whole); f != nil {
		t.Error(f)
	} else {
		same(t, r, want)
	}
	if _, f := walk(t, &vmdk.SparseDriver, b, qemu, img.Whole); f == nil ||
		f.Reason != fault.VmdkFooterRead {
		t.Error(f)
	}
	for _, at := range []int{8, 12, 512, 1024, 1032, 1036} {
		broken := append([]byte(nil), b...)
		broken[len(b)-1536+at] ^= 0x40
		if _, f := walk(t, &vmdk.Driver, broken, qemu, img.Whole); f == nil ||
			f.Reason != fault.VmdkFooter {
			t.Errorf("byte %d: %v", at, f)
		}
	}
	if _, f := walk(t, &vmdk.Driver, b[:1024], qemu, img.Whole); f == nil ||
		f.Reason != fault.VmdkFooterRead {
		t.Error(f)
	}
}

// TestWrongEntries checks that a wrong entry makes only those grains bad that depend on it.
func TestWrongEntries(t *testing.T) {
	bad := func(n uint64) ext { return ext{n, extent.Bad, 0, 0} }
	se := func(spoil func(s *vmdktest.Sparse)) []byte {
		s := vmdktest.NewSparse("SESPARSE", 3*32768, 8)
		s.Entries[1], s.Entries[4096] = vmdktest.Stored(0), 1<<60
		spoil(s)
		return s.Bytes()
	}
	first := vmdktest.NewSparse("SESPARSE", 3*32768, 8)
	tests := []struct {
		name   string
		b      []byte
		reason fault.Reason
		want   []ext
	}{
		{"directory entry", se(func(s *vmdktest.Sparse) {
			s.Spoil64(s.DirectoryOffset()+8,
				2<<60)
		}), fault.VmdkDirectoryEntry,
			[]ext{{4096, 0, 0, 0}, {4096, stored, first.TablesOffset() + 2*32768, 0},
				{1<<24 - 8192, 0, 0, 0}, bad(1 << 24), {1 << 24, 0, 0, 0}}},
		{"table beyond 32 bits", se(func(s *vmdktest.Sparse) {
			s.Spoil64(s.DirectoryOffset()+8,
				1<<60|0xffffffff)
		}), fault.VmdkDirectoryEntry,
			[]ext{{4096, 0, 0, 0}, {4096, stored, first.TablesOffset() + 2*32768, 0},
				{1<<24 - 8192, 0, 0, 0}, bad(1 << 24), {1 << 24, 0, 0, 0}}},
		{"kind of grain", se(func(s *vmdktest.Sparse) { s.Spoil64(s.TablesOffset()+8, 4<<60) }),
			fault.VmdkTableEntry,
			[]ext{{4096, 0, 0, 0}, bad(4096), {1<<24 - 8192, 0, 0, 0}, {4096, zeroed, 0, 0},
				{2<<24 - 4096, 0, 0, 0}}},
		{"unallocated with a number", se(func(s *vmdktest.Sparse) {
			s.Spoil64(s.TablesOffset()+8,
				4)
		}), fault.VmdkTableEntry,
			[]ext{{4096, 0, 0, 0}, bad(4096), {1<<24 - 8192, 0, 0, 0}, {4096, zeroed, 0, 0},
				{2<<24 - 4096, 0, 0, 0}}},
		{"grain beyond all files", se(func(s *vmdktest.Sparse) {
			s.Spoil64(s.TablesOffset()+8,
				3<<60|1<<39)
		}), fault.VmdkTableEntry,
			[]ext{{4096, 0, 0, 0}, bad(4096), {1<<24 - 8192, 0, 0, 0}, {4096, zeroed, 0, 0},
				{2<<24 - 4096, 0, 0, 0}}},
		{"short directory", se(func(s *vmdktest.Sparse) { s.Spoil64(17*8, 0) }), fault.VmdkNoEntry,
			[]ext{bad(3 << 24)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, f := walk(t, &vmdk.SESparseDriver, test.b, qemu, img.Whole)
			if f != nil {
				t.Fatal(f)
			}
			same(t, r, test.want)
			if len(r.Faults) != 1 || r.Faults[0].Reason != test.reason {
				t.Errorf("faults %v", r.Faults)
			}
		})
	}
}

// TestGrainThatWrapsAround has a seSparse grain whose sector qemu shifts out of 64 bits.
func TestGrainThatWrapsAround(t *testing.T) {
	s := vmdktest.NewSparse("SESPARSE", 8, 8)
	s.Entries[0] = 3<<60 | 5<<48 | 1<<47 // sector 2^62 and 40 more
	grains := s.TablesOffset() + 32768
	for release, want := range map[img.Release]ext{
		qemu: {4096, stored, grains + 5*4096, 0}, 0: {4096, extent.Bad, 0, 0},
	} {
		r, f := walk(t, &vmdk.SESparseDriver, s.Bytes(), release, img.Whole)
		if f != nil {
			t.Fatal(f)
		}
		same(t, r, []ext{want})
	}
}

// TestLargest walks the disks that cost most, whose directories are not in the file.
func TestLargest(t *testing.T) {
	for _, s := range []*vmdktest.Sparse{
		{Kind: "KDMV", Capacity: 32 << 20, Grain: 1, TableEntries: 1},
		{Kind: "KDMV", Capacity: 1<<54 - 1<<21, Grain: 0x200000, TableEntries: 512},
		{Kind: "COWD", Capacity: 1<<32 - 1, Grain: 1, TableEntries: 4096},
	} {
		capacity, table := s.Capacity, s.TableEntries
		s.Capacity, s.Text = 1, "CID=1\nparentCID=1"
		if s.Kind == "KDMV" {
			s.Spoil64(12, capacity)
		} else {
			s.Spoil32(12, uint32(capacity))
			s.Spoil32(24, 1<<20)
		}
		r, f := walk(t, drivers[s.Kind], s.Bytes(), qemu, img.Whole)
		if f != nil {
			t.Fatal(f)
		}
		same(t, r, []ext{{r.Size, 0, 0, 0}})
		if r.Size < capacity*sector {
			t.Errorf("%d entries: size %d", table, r.Size)
		}
	}
}

// TestNotSparse checks that a file that is sparse by its line must be sparse.
func TestNotSparse(t *testing.T) {
	for text, want := range map[string]fault.Reason{"": fault.VmdkTooSmall,
		"x": fault.VmdkNotSparse, "# Disk DescriptorFile\n": fault.VmdkNotSparse} {
		if _, f := walk(t, &vmdk.SparseDriver, []byte(text), qemu, img.Whole); f == nil ||
			f.Reason != want {
			t.Errorf("%q: %v", text, f)
		}
	}
	if _, f := walk(t, &vmdk.Driver, nil, qemu, img.Whole); f == nil ||
		f.Reason != fault.VmdkTooSmall {
		t.Error(f)
	}
}

// TestReadsThatFail end the run, wherever they are.
func TestReadsThatFail(t *testing.T) {
	for _, kind := range []string{"KDMV", "COWD", "SESPARSE"} {
		s := vmdktest.NewSparse(kind, 1000, 128)
		s.Entries[3] = 1 << 60
		if kind != "SESPARSE" {
			s.Entries[3] = 99
		}
		b := s.Bytes()
		for _, at := range []uint64{1, s.DirectoryOffset(), s.TablesOffset()} {
			dev := formattest.Bytes(b)
			dev.FailAt = at
			_, f, err := formattest.Run(drivers[kind], &format.Params{Dev: dev, Release: qemu},
				img.Whole)
			if err != nil || f == nil || f.Reason != fault.DeviceRead {
				t.Error(fmt.Sprint(kind, " at ", at), f, err)
			}
		}
	}
}
