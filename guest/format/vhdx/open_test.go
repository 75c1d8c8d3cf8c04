package vhdx_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/vhdx"
	"instarfs/guest/format/vhdx/vhdxtest"
	"instarfs/guest/img"
)

// vector is an image of 5 MiB in blocks of 1 MiB, of which the second and the last are present,
// with one thing wrong, or nothing.
type vector struct {
	name      string
	build     func(v *vhdxtest.Image)
	spoil     func(v *vhdxtest.Image, s *formattest.Sparse)
	qemu, own fault.Reason
}

func put(off uint64, b []byte) func(*vhdxtest.Image, *formattest.Sparse) {
	return func(_ *vhdxtest.Image, s *formattest.Sparse) { s.Put(off, b) }
}

// header changes both headers and corrects their checksums.
func header(off uint64, b []byte) func(*vhdxtest.Image, *formattest.Sparse) {
	return func(_ *vhdxtest.Image, s *formattest.Sparse) {
		for _, at := range []uint64{vhdxtest.Header1, vhdxtest.Header2} {
			h := s.Bytes(at, 4096)
			copy(h[off:], b)
			vhdxtest.Sum(h)
			s.Put(at, h)
		}
	}
}

// regions changes both region tables and corrects their checksums.
func regions(off uint64, b []byte) func(*vhdxtest.Image, *formattest.Sparse) {
	return func(_ *vhdxtest.Image, s *formattest.Sparse) {
		for _, at := range []uint64{vhdxtest.Regions, vhdxtest.Regions2} {
			h := s.Bytes(at, 64<<10)
			copy(h[off:], b)
			vhdxtest.Sum(h)
			s.Put(at, h)
		}
	}
}

func metadata(off uint64, b []byte) func(*vhdxtest.Image, *formattest.Sparse) {
	return func(v *vhdxtest.Image, s *formattest.Sparse) { s.Put(v.MetadataOffset()+off, b) }
}

func bat(i uint64, f func(e uint64) uint64) func(*vhdxtest.Image) {
	return func(v *vhdxtest.Image) { v.BAT[i] = f(v.BAT[i]) }
}

func region(r ...vhdxtest.Region) func(*vhdxtest.Image) {
	return func(v *vhdxtest.Image) { v.Regions = r }
}

func item(i ...vhdxtest.Item) func(*vhdxtest.Image) {
	return func(v *vhdxtest.Image) { v.Items = i }
}

func both(f ...func(*vhdxtest.Image, *formattest.Sparse)) func(*vhdxtest.Image,
	*formattest.Sparse) {
	return func(v *vhdxtest.Image, s *formattest.Sparse) {
		for _, f := range f {
			f(v, s)
		}
	}
}

const unknownGUID = "somebody's thing"

var vectors = []vector{
	{"sound", nil, nil, 0, 0},
	{"signature", nil, put(7, []byte("E")), fault.VhdxSignature, fault.VhdxSignature},
	{"header 1 damaged", nil, put(vhdxtest.Header1+100, []byte{1}), 0, 0},
	{"header 2 damaged", nil, put(vhdxtest.Header2+4095, []byte{1}), 0, 0},
	{"both damaged", nil, both(put(vhdxtest.Header1+100, []byte{1}),
		put(vhdxtest.Header2+100, []byte{1})), fault.VhdxNoHeader, fault.VhdxNoHeader},
	{"header signature", nil, header(0, []byte("HEAD")), fault.VhdxNoHeader, fault.VhdxNoHeader},
	{"header version", nil, header(vhdxtest.Version, []byte{2}), fault.VhdxNoHeader,
		fault.VhdxNoHeader},
	{"headers of one number that differ", nil, both(header(vhdxtest.Sequence, le64(9)),
		func(_ *vhdxtest.Image, s *formattest.Sparse) {
			h := s.Bytes(vhdxtest.Header1, 4096)
			h[20]++
			vhdxtest.Sum(h)
			s.Put(vhdxtest.Header1, h)
		}), fault.VhdxNoHeader, fault.VhdxNoHeader},
	{"headers of one number that are the same", nil, header(vhdxtest.Sequence, le64(9)), 0, 0},
	{"log offset 0", nil, header(vhdxtest.LogOffset, le64(0)), fault.VhdxLogOffset,
		fault.VhdxLogOffset},
	{"log unaligned", nil, header(vhdxtest.LogOffset, le64(mib+4096)), fault.VhdxLogOffset,
		fault.VhdxLogOffset},
	{"log version", nil, header(vhdxtest.LogVersion, []byte{1}), fault.VhdxLogVersion,
		fault.VhdxLogVersion},
	{"log length", nil, both(header(vhdxtest.LogGUID, []byte{1}),
		header(vhdxtest.LogLength, le32(4096))), fault.VhdxLogLength, fault.VhdxLogLength},
	{"log length, no log", nil, header(vhdxtest.LogLength, le32(4096)), 0, 0},
	{"log of no length", nil, both(header(vhdxtest.LogGUID, []byte{1}),
		header(vhdxtest.LogLength, le32(0))), 0, 0},
	{"log empty", nil, header(vhdxtest.LogGUID, []byte{1}), 0, 0},
	{"log nowhere", nil, both(header(vhdxtest.LogGUID, []byte{1}),
		header(vhdxtest.LogOffset, le64(1<<63))), fault.VhdxLogRead, fault.VhdxLogRead},
	{"log past the end", nil, both(header(vhdxtest.LogGUID, []byte{1}),
		header(vhdxtest.LogOffset, le64(1<<40))), 0, 0},
	{"log long", nil, both(header(vhdxtest.LogGUID, []byte{1}),
		header(vhdxtest.LogOffset, le64(9*mib)), header(vhdxtest.LogLength, le32(65*mib)),
		put(100*mib, []byte{0})), 0, fault.VhdxLogTooLong},
	{"region table's checksum", nil, put(vhdxtest.Regions+60000, []byte{1}),
		fault.VhdxRegionChecksum, 0},
	{"both region tables' checksums", nil, both(put(vhdxtest.Regions+60000, []byte{1}),
		put(vhdxtest.Regions2+60000, []byte{1})), fault.VhdxRegionChecksum,
		fault.VhdxRegionChecksum},
	{"region table's signature", nil, regions(0, []byte("REGI")), fault.VhdxRegionSignature,
		fault.VhdxRegionSignature},
	{"region count", nil, regions(8, le32(2048)), fault.VhdxRegionCount, fault.VhdxRegionCount},
	{"regions overlap", region(vhdxtest.Region{GUID: unknownGUID, Off: 3*mib - 1, Length: 2}), nil,
		fault.VhdxRegionOverlap, fault.VhdxRegionOverlap},
	{"region and log overlap", region(vhdxtest.Region{GUID: unknownGUID, Off: mib, Length: mib}),
		nil, fault.VhdxRegionOverlap, fault.VhdxRegionOverlap},
	{"region around an empty one", region(vhdxtest.Region{GUID: unknownGUID, Off: 90 * mib},
		vhdxtest.Region{GUID: unknownGUID, Off: 89 * mib, Length: 2 * mib}), nil,
		fault.VhdxRegionOverlap, fault.VhdxRegionOverlap},
	{"region up to the end of numbers", region(vhdxtest.Region{GUID: unknownGUID, Off: 1<<64 - mib,
		Length: mib}, vhdxtest.Region{GUID: unknownGUID, Off: 90 * mib, Length: mib}), nil, 0, 0},
	{"unknown region", region(vhdxtest.Region{GUID: unknownGUID, Off: 90 * mib, Length: mib}), nil,
		0, 0},
	{"unknown region required", region(vhdxtest.Region{GUID: unknownGUID, Off: 90 * mib,
		Length: mib, Required: true}), nil, fault.VhdxRegionUnknown, fault.VhdxRegionUnknown},
	{"region twice", region(vhdxtest.Region{GUID: vhdxtest.MetadataGUID, Off: 90 * mib,
		Length: mib}), nil, fault.VhdxRegionTwice, fault.VhdxRegionTwice},
	{"no BAT", nil, regions(16, []byte{0}), fault.VhdxRegionUnknown, fault.VhdxRegionUnknown},
	{"no regions", nil, regions(8, le32(0)), fault.VhdxRegionMissing, fault.VhdxRegionMissing},
	{"one region", nil, regions(8, le32(1)), fault.VhdxRegionMissing, fault.VhdxRegionMissing},
	{"region in the header section", region(vhdxtest.Region{GUID: unknownGUID, Off: mib / 2,
		Length: 4096}), nil, 0, fault.VhdxRegionOverlap},
	{"metadata nowhere", nil, regions(16+32+16, le64(1<<64-mib)), fault.VhdxMetadataRead,
		fault.VhdxMetadataRead},
	{"metadata's signature", nil, metadata(0, []byte("M")), fault.VhdxMetadataSignature,
		fault.VhdxMetadataSignature},
	{"metadata count", nil, metadata(10, []byte{0, 8}), fault.VhdxMetadataCount,
		fault.VhdxMetadataCount},
	{"unknown item", item(vhdxtest.Item{GUID: unknownGUID}), nil, 0, 0},
	{"unknown item required", item(vhdxtest.Item{GUID: unknownGUID, Required: true}), nil,
		fault.VhdxItemUnknown, fault.VhdxItemUnknown},
	{"item twice", item(vhdxtest.Item{GUID: vhdxtest.DiskIDGUID}), nil,
		fault.VhdxItemTwice, fault.VhdxItemTwice},
	{"no disk ID", nil, metadata(32+2*32, append([]byte(unknownGUID), make([]byte, 12)...)),
		fault.VhdxItemMissing, 0},
	{"no physical sector size", nil, metadata(32+4*32,
		append([]byte(unknownGUID), make([]byte, 12)...)), fault.VhdxItemMissing, 0},
	{"no disk size", nil, metadata(32+1*32, append([]byte(unknownGUID), make([]byte, 12)...)),
		fault.VhdxItemMissing, fault.VhdxItemMissing},
	{"parent and no locator", nil, metadata(64<<10+4, []byte{2}), fault.VhdxNoLocator,
		fault.VhdxNoLocator},
	{"locator and no parent", item(vhdxtest.Item{GUID: vhdxtest.ParentGUID}), nil,
		fault.VhdxDifferencing, 0},
	{"parent", func(v *vhdxtest.Image) {
		v.Flags = vhdxtest.HasParent
		v.Locator = [][2]string{{"relative_path", "p"}}
	}, nil, fault.VhdxDifferencing, 0},
	{"block size 512 KiB", nil, metadata(64<<10, le32(mib/2)), fault.VhdxBlockSize,
		fault.VhdxBlockSize},
	{"block size 512 MiB", nil, metadata(64<<10, le32(512*mib)), fault.VhdxBlockSize,
		fault.VhdxBlockSize},
	{"block size no power of two", nil, metadata(64<<10, le32(3*mib)), fault.VhdxBlockSize,
		fault.VhdxBlockSize},
	{"block size odd", nil, metadata(64<<10, le32(mib+1)), fault.VhdxBlockSize,
		fault.VhdxBlockSize},
	{"sector size 1024", nil, metadata(64<<10+4+4+8+16, le32(1024)), fault.VhdxSectorSize,
		fault.VhdxSectorSize},
	{"sector size 4096", nil, metadata(64<<10+4+4+8+16, le32(4096)), fault.VhdxSectorSize, 0},
	{"sector size 0 and block size odd", nil, both(metadata(64<<10+4+4+8+16, le32(0)),
		metadata(64<<10, le32(3*mib))), fault.VhdxSectorSize, fault.VhdxSectorSize},
	{"physical sector size of nothing", nil, metadata(64<<10+4+4+8+16+4, le32(77)), 0, 0},
	{"disk larger than the BAT", nil, metadata(64<<10+8, le64(1<<40)), fault.VhdxTableSize,
		fault.VhdxTableSize},
	{"disk larger than any", nil, metadata(64<<10+8, le64(64<<40+512)), fault.VhdxTableSize,
		fault.VhdxDiskTooLarge},
	{"disk of nothing", nil, metadata(64<<10+8, le64(0)), fault.VhdxTableSize, 0},
	{"disk of one byte", nil, metadata(64<<10+8, le64(1)), 0, 0},
	{"disk of an odd size", nil, metadata(64<<10+8, le64(4*mib+1)), 0, 0},
	{"BAT short", nil, regions(16+24, le32(8*5-1)), fault.VhdxTableSize, fault.VhdxTableSize},
	{"BAT just long enough", nil, regions(16+24, le32(8*5)), 0, 0},
	{"BAT longer than a read", nil, regions(16+24, le32(1<<31-511)), fault.VhdxTableRead,
		fault.VhdxTableRead},
	{"BAT nowhere", nil, regions(16+16, le64(1<<63)), fault.VhdxTableRead, fault.VhdxTableRead},
	{"BAT past the end", nil, regions(16+16, le64(1<<40)), 0, 0},
	{"block nowhere", bat(1, func(uint64) uint64 { return 1<<63 | 6 }), nil,
		fault.VhdxBlockOverflow, fault.VhdxBlockOverflow},
	{"block past the end", bat(1, func(uint64) uint64 { return 1<<40 | 6 }), nil,
		fault.VhdxBlockStart, fault.VhdxBlockStart},
	{"block at the end", bat(1, func(e uint64) uint64 { return e + 2*mib }), nil,
		fault.VhdxBlockStart, fault.VhdxBlockStart},
	{"block cut", nil, func(_ *vhdxtest.Image, s *formattest.Sparse) { s.Size -= 512 },
		fault.VhdxBlockEnd, fault.VhdxBlockEnd},
	{"last block cut", func(v *vhdxtest.Image) { v.Size -= 4096 },
		func(_ *vhdxtest.Image, s *formattest.Sparse) { s.Size -= 4095 }, 0, 0},
	{"block over the log", bat(1, func(uint64) uint64 { return mib | 6 }), nil,
		fault.VhdxBlockOverlap, fault.VhdxBlockOverlap},
	{"block over the BAT", bat(1, func(uint64) uint64 { return 3*mib | 6 }), nil,
		fault.VhdxBlockOverlap, fault.VhdxBlockOverlap},
	{"block in the header section", bat(1, func(uint64) uint64 { return 6 }), nil, 0,
		fault.VhdxBlockOverlap},
	{"state 4", bat(1, func(e uint64) uint64 { return e&^7 | 4 }), nil, 0, fault.VhdxBlockState},
	{"state 7", bat(1, func(e uint64) uint64 { return e | 7 }), nil, 0, fault.VhdxBlockState},
	{"file cut after the region table", nil,
		func(_ *vhdxtest.Image, s *formattest.Sparse) { s.Size = mib }, fault.VhdxBlockStart,
		fault.VhdxBlockStart},
}

func (v *vector) image() (*vhdxtest.Image, *formattest.Sparse) {
	x := vhdxtest.New(5*mib, mib, 512)
	x.Block(1, vhdxtest.Present)
	x.Block(4, vhdxtest.Present)
	if v.build != nil {
		v.build(x)
	}
	s := x.File()
	if v.spoil != nil {
		v.spoil(x, s)
	}
	return x, s
}

// first returns the first fault of a run, at open or of an extent.
func first(res *formattest.Result, f *fault.Fault) *fault.Fault {
	if f == nil && len(res.Faults) > 0 {
		return res.Faults[0]
	}
	return f
}

// TestOpen opens images with one fault each, with this package and with qemu-img.
func TestOpen(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			_, s := v.image()
			if v.name == "file cut after the region table" {
				// The rest reads as zeroes, which are not metadata.
				v.qemu, v.own = fault.VhdxMetadataSignature, fault.VhdxMetadataSignature
				s = cut(s, mib)
			}
			reason := func(f *fault.Fault) fault.Reason {
				if f == nil {
					return 0
				}
				return f.Reason
			}
			_, f := walk(t, s, qemu72, img.Whole)
			if reason(f) != v.qemu {
				t.Errorf("to qemu: fault %v, want reason %d", f, v.qemu)
			}
			compareRefusal(t, s, f)
			if f := first(walk(t, s, 0, img.Whole)); reason(f) != v.own {
				t.Errorf("fault %v, want reason %d", f, v.own)
			}
		})
	}
}

// cut returns the first n bytes of a file.
func cut(s *formattest.Sparse, n uint64) *formattest.Sparse {
	c := &formattest.Sparse{}
	c.Put(0, s.Bytes(0, int(n)))
	return c
}

func TestProbe(t *testing.T) {
	head := [format.HeadLen]byte{}
	copy(head[:], "vhdxfile")
	if vhdx.Driver.Probe(&head, 512, false) != format.Certain {
		t.Error("not recognised")
	}
	head[7] = 0
	if vhdx.Driver.Probe(&head, 512, false) != 0 {
		t.Error("recognised without its signature")
	}
}

// TestParent checks that the best path of a parent is used, and that an image without one is
// refused.
func TestParent(t *testing.T) {
	for _, test := range []struct {
		name    string
		locator [][2]string
		want    string
		reason  fault.Reason
	}{
		{"relative", [][2]string{{"parent_linkage", "{}"}, {"volume_path", `\\?\Volume{1}\p`},
			{"absolute_win32_path", `C:\p`}, {"relative_path", `.\d\p.vhdx`}}, "d/p.vhdx", 0},
		{"upwards", [][2]string{{"relative_path", `..\..\d\é😀.vhdx`}},
			"../../d/é😀.vhdx", 0},
		{"absolute", [][2]string{{"volume_path", `\\?\Volume{1}\p`},
			{"absolute_win32_path", `C:\p`}}, "C:/p", 0},
		{"volume", [][2]string{{"volume_path", `\\?\Volume{1}\p`}}, "//?/Volume{1}/p", 0},
		{"relative empty", [][2]string{{"relative_path", ``}, {"absolute_win32_path", `/p`}}, "/p",
			0},
		{"relative twice", [][2]string{{"relative_path", `a`}, {"relative_path", `b`}}, "a", 0},
		{"terminated", [][2]string{{"relative_path", "a\x00b"}}, "a", 0},
		{"none", [][2]string{{"parent_linkage", "{}"}, {"Relative_path", "a"}}, "",
			fault.VhdxNoParent},
		{"nothing", nil, "", fault.VhdxNoParent},
		{"longest", [][2]string{{"relative_path", strings.Repeat("n", 4095)}},
			strings.Repeat("n", 4095), 0},
		{"too long", [][2]string{{"relative_path", strings.Repeat("n", 4096)}}, "",
			fault.VhdxParentLength},
		{"locator too long", [][2]string{{"x", strings.Repeat("n", 32000)}, {"relative_path", "a"},
			{"y", strings.Repeat("n", 4000)}}, "", fault.VhdxLocatorLength},
	} {
		v := vhdxtest.New(5*mib, mib, 512)
		v.Flags, v.Locator = vhdxtest.HasParent, test.locator
		res, f := walk(t, v.File(), 0, img.Whole)
		switch want := (img.Reference{Kind: img.Backing, Name: test.want, Format: "vhdx"}); {
		case test.reason != 0:
			if f == nil || f.Reason != test.reason {
				t.Errorf("%s: fault %v", test.name, f)
			}
		case f != nil:
			t.Errorf("%s: fault %v", test.name, f)
		case len(res.References) != 1 || res.References[0] != want:
			t.Errorf("%s: %.200v, want %.200v", test.name, res.References, want)
		}
	}
	// Entries and a type that are invalid.
	for i, test := range []struct {
		off    int
		b      []byte
		reason fault.Reason
	}{
		{0, []byte{0}, fault.VhdxLocatorType},
		{18, []byte{0xff, 0xff}, 0},
		{20, le32(1 << 31), fault.VhdxNoParent},
		{24, le32(1<<32 - 1), fault.VhdxNoParent},
		{28, []byte{0xff, 0xff}, fault.VhdxNoParent},
		{30, []byte{0xff, 0xff}, fault.VhdxNoParent},
	} {
		v := vhdxtest.New(5*mib, mib, 512)
		v.Flags, v.Locator = vhdxtest.HasParent, [][2]string{{"relative_path", "a"}}
		s := v.File()
		s.Put(v.MetadataOffset()+64<<10+8+8+16+4+4+uint64(test.off), test.b)
		if _, f := walk(t, s, 0, img.Whole); (f == nil) != (test.reason == 0) || f != nil &&
			f.Reason != test.reason {
			t.Errorf("%d: fault %v", i, f)
		}
	}
}

// TestLocatorOfLongKeys checks that thousands of entries that share one long key do not cost
// more than the length of the locator.
func TestLocatorOfLongKeys(t *testing.T) {
	v := vhdxtest.New(5*mib, mib, 512)
	v.Flags, v.Locator = vhdxtest.HasParent, [][2]string{{"x", strings.Repeat("n", 31000)}}
	s := v.File()
	at := v.MetadataOffset() + 64<<10 + 8 + 8 + 16 + 4 + 4
	s.Put(at+18, []byte{0xff, 0xff})
	const entries, key = 2500, 20 + 12*2500
	for i := range uint64(entries) {
		s.Put(at+20+12*i, append(le32(key), 0, 0, 0, 0, 0x30, 0x75, 0, 0))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, f := walk(t, s, 0, img.Whole); f == nil || f.Reason != fault.VhdxNoParent {
		t.Errorf("fault %v", f)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64*mib {
		t.Errorf("%d bytes of memory", n)
	}
}

// TestSizes has disks around the sizes at which the number of blocks overflows in qemu.
func TestSizes(t *testing.T) {
	for _, size := range []uint64{1<<52 + 5, 1<<63 - 1<<30, 1<<63 - 1<<30 + 512, 1<<64 - 1,
		1<<64 - 1<<20, 1<<53 - 4*mib} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			v := vhdxtest.New(9*mib, mib, 512)
			v.BAT = make([]uint64, 1<<20)
			v.Size = size
			s := v.File()
			_, f := walk(t, s, qemu72, window(0, mib))
			compareRefusal(t, s, f)
		})
	}
}
