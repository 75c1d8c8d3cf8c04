package qed_test

import (
	"encoding/binary"
	"math/rand"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qed"
	"instarfs/guest/format/qed/qedtest"
	"instarfs/guest/img"
)

const (
	qemu    = 7<<16 | 2
	data    = extent.Present | extent.Data | extent.Offset
	zero    = extent.Present | extent.Zero
	cluster = 4096
	table   = 2 * cluster // bytes of either table, 1024 entries
)

var le = binary.LittleEndian

// image has a header, an L1 table, an L2 table and three clusters: data, zero, nothing, data,
// data. change alters the image.
func image(change func(b []byte)) []byte {
	b := make([]byte, cluster+2*table+3*cluster)
	copy(b, "QED\x00")
	le.PutUint32(b[4:], cluster)
	le.PutUint32(b[8:], 2)
	le.PutUint32(b[12:], 1)
	le.PutUint64(b[40:], cluster)
	le.PutUint64(b[48:], 5*cluster-512)
	le.PutUint64(b[cluster:], cluster+table)
	for i, e := range []uint64{first, 1, 0, first + cluster, first + 2*cluster} {
		le.PutUint64(b[cluster+table+8*i:], e)
	}
	change(b)
	return b
}

const first = cluster + 2*table // the first data cluster

func e(start, length, offset uint64, f extent.Flags) extent.Extent {
	return extent.Extent{Start: start, Length: length, Offset: offset,
		State: extent.State{Flags: f}}
}

func l2(b []byte, i int, entry uint64) { le.PutUint64(b[cluster+table+8*i:], entry) }

func TestVectors(t *testing.T) {
	const c = cluster
	for _, v := range []formattest.Vector{
		{Name: "sound", Image: image(func([]byte) {}), Qemu: qemu,
			Want: []extent.Extent{e(0, c, first, data), e(c, c, 0, zero), e(2*c, c, 0, 0),
				e(3*c, 2*c-512, first+c, data)}},
		{Name: "needs a check", Image: image(func(b []byte) { b[16] = 2; le.PutUint64(b[48:], c) }),
			Want: []extent.Extent{e(0, c, first, data)}},
		{Name: "no L2 table", Image: image(func(b []byte) { le.PutUint64(b[c:], 0) }),
			Want: []extent.Extent{e(0, 5*c-512, 0, 0)}},
		{Name: "L2 table not aligned", Image: image(func(b []byte) {
			le.PutUint64(b[c:], c+table+8)
		}),
			Want: []extent.Extent{e(0, 5*c-512, 0, extent.Bad)}},
		{Name: "L2 table in the header", Image: image(func(b []byte) { le.PutUint64(b[c:], 8) }),
			Want: []extent.Extent{e(0, 5*c-512, 0, extent.Bad)}},
		{Name: "L2 table at the end", Image: image(func(b []byte) {
			le.PutUint64(b[c:], first+2*c)
		}),
			Want: []extent.Extent{e(0, 5*c-512, 0, extent.Bad)}},
		{Name: "a wrong cluster", Image: image(func(b []byte) { l2(b, 2, first+1) }), Qemu: qemu,
			Want: []extent.Extent{e(0, c, first, data), e(c, c, 0, zero), e(2*c, c, 0, extent.Bad),
				e(3*c, 2*c-512, first+c, data)}},
		{Name: "a run past the end, whose start is right",
			Image: image(func(b []byte) { l2(b, 0, first+2*c); l2(b, 1, first+3*c) }),
			Want: []extent.Extent{e(0, 2*c, first+2*c, data), e(2*c, c, 0, 0),
				e(3*c, 2*c-512, first+c, data)}},
		{Name: "a run wholly past the end",
			Image: image(func(b []byte) { l2(b, 0, first+3*c); l2(b, 1, first+4*c) }),
			Want: []extent.Extent{e(0, 2*c, 0, extent.Bad), e(2*c, c, 0, 0),
				e(3*c, 2*c-512, first+c, data)}},
		{Name: "magic", Image: image(func(b []byte) { b[3] = 1 }),
			Fault: "Image not in QED format"},
		{Name: "features", Image: image(func(b []byte) { b[16] = 9; b[23] = 1 }),
			Fault: "Unsupported QED features: 100000000000008"},
		{Name: "cluster too small", Image: image(func(b []byte) { le.PutUint32(b[4:], 2048) }),
			Fault: "QED cluster size is invalid"},
		{Name: "cluster too large", Image: image(func(b []byte) { le.PutUint32(b[4:], 128<<20) }),
			Fault: "QED cluster size is invalid"},
		{Name: "cluster odd", Image: image(func(b []byte) { le.PutUint32(b[4:], 4097) }),
			Fault: "QED cluster size is invalid"},
		{Name: "no table", Image: image(func(b []byte) { b[8] = 0 }),
			Fault: "QED table size is invalid"},
		{Name: "table of 3", Image: image(func(b []byte) { b[8] = 3 }),
			Fault: "QED table size is invalid"},
		{Name: "table of 32", Image: image(func(b []byte) { b[8] = 32 }),
			Fault: "QED table size is invalid"},
		{Name: "table of 1", Image: image(func(b []byte) { b[8] = 1 }),
			Fault: "QED table offset is invalid"},
		{Name: "size odd", Image: image(func(b []byte) { b[48] = 1 }),
			Fault: "QED image size is invalid"},
		{Name: "size too large", Image: image(func(b []byte) { le.PutUint64(b[48:], 1<<32+512) }),
			Fault: "QED image size is invalid"},
		{Name: "L1 beyond the end", Image: image(func(b []byte) {
			le.PutUint64(b[40:], uint64(len(b)))
		}), Fault: "QED table offset is invalid"},
		{Name: "L1 up to within the last sector",
			Image: image(func(b []byte) { le.PutUint64(b[c:], 0) })[:c+table-511],
			Want:  []extent.Extent{e(0, 5*c-512, 0, 0)}},
		{Name: "L1 up to the last but one", Image: image(func([]byte) {})[:c+table-512],
			Fault: "QED table offset is invalid"},
		{Name: "L1 in the header", Image: image(func(b []byte) { b[12] = 3 }),
			Fault: "QED table offset is invalid"},
		// With a header as long as the address space, the offset of the table already fails.
		{Name: "header too long", Image: image(func(b []byte) { le.PutUint32(b[12:], 1<<20) }),
			Fault: "QED table offset is invalid"},
		{Name: "name outside of the header",
			Image: image(func(b []byte) { b[16] = 1; le.PutUint32(b[56:], c-3); b[60] = 4 }),
			Fault: "QED backing filename offset is invalid"},
	} {
		v.Check(t, &qed.Driver)
	}
}

// TestEndOfFiles checks that a run at the end of the largest possible file stops at the largest
// offset.
func TestEndOfFiles(t *testing.T) {
	const last = 1<<63 - 2*cluster
	s := &formattest.Sparse{Size: 1<<63 - 1}
	s.Put(0, image(func(b []byte) {
		for i := range uint64(5) {
			l2(b, int(i), last+i*cluster)
		}
	}))
	s.Size = 1<<63 - 1
	for _, release := range []img.Release{0, qemu} {
		r, f, err := formattest.Run(&qed.Driver, &format.Params{Dev: s.Device(), Release: release},
			img.Whole)
		if f != nil || err != nil {
			t.Fatal(f, err)
		}
		if m := r.Map; m.At(0) != e(0, cluster, last, data) || m.At(1).Flags != extent.Bad {
			t.Errorf("%+v", formattest.Extents(m))
		}
	}
}

// TestBackingName checks that the backing file is raw if the image says so, and probed if not.
func TestBackingName(t *testing.T) {
	for features, want := range map[byte][]img.Reference{
		0: nil, 4: nil,
		1: {{Kind: img.Backing, Name: "base"}},
		5: {{Kind: img.Backing, Name: "base", Format: "raw"}},
	} {
		b := image(func(b []byte) { b[16] = features; b[56] = 64; b[60] = 4; copy(b[64:], "base") })
		r, f, err := formattest.Run(&qed.Driver, &format.Params{Dev: formattest.Bytes(b)},
			img.Whole)
		if f != nil || err != nil {
			t.Fatal(f, err)
		}
		if len(r.References) != len(want) || len(want) > 0 && r.References[0] != want[0] {
			t.Errorf("features %d: %+v, want %+v", features, r.References, want)
		}
	}
}

// long returns an image of 1 MiB clusters: one of zeroes, then n unallocated ones.
func long(n uint64) []byte {
	const cluster = 1 << 20
	b := make([]byte, 9*cluster)
	copy(b, "QED\x00")
	le.PutUint32(b[4:], cluster)
	le.PutUint32(b[8:], 4)
	le.PutUint32(b[12:], 1)
	le.PutUint64(b[40:], cluster)
	le.PutUint64(b[48:], (1+n)*cluster)
	le.PutUint64(b[cluster:], 5*cluster)
	le.PutUint64(b[5*cluster:], 1)
	return b
}

// TestLongRun checks that a run of 4 GiB or more makes an assertion of qemu fail, unless the
// window begins inside its first cluster and the run is a multiple of 4 GiB.
func TestLongRun(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	walk := func(n, start uint64, release img.Release) *formattest.Result {
		t.Helper()
		r, f, err := formattest.Run(&qed.Driver, &format.Params{Dev: formattest.Bytes(long(n)),
			Release: release},
			img.Window{Start: start, End: img.Whole.End})
		if f != nil || err != nil {
			t.Fatal(f, err)
		}
		return r
	}
	for _, tc := range []struct {
		n, start uint64
		qemu     img.Release
		want     []extent.Extent
	}{
		{4095, 0, qemu, []extent.Extent{e(0, mib, 0, zero), e(mib, 4095*mib, 0, 0)}},
		{4096, 0, qemu, []extent.Extent{e(0, mib, 0, zero), e(mib, 4*gib, 0, extent.Bad)}},
		{4096, mib + 1, qemu, []extent.Extent{e(mib+1, 4*gib-1, 0, extent.Bad)}},
		{4096, mib + 512, qemu, []extent.Extent{e(mib+512, 4*gib-512, 0, 0)}},
		{4096, 2 * mib, qemu, []extent.Extent{e(2*mib, 4095*mib, 0, 0)}},
		{4100, 0, qemu, []extent.Extent{e(0, mib, 0, zero), e(mib, 4*mib, 0, 0),
			e(5*mib, 4*gib, 0, extent.Bad)}},
		{4100, 0, 0, []extent.Extent{e(0, mib, 0, zero), e(mib, 4100*mib, 0, 0)}},
	} {
		r := walk(tc.n, tc.start, tc.qemu)
		got := formattest.Extents(r.Map)
		if len(got) != len(tc.want) {
			t.Errorf("%d clusters from %d: %+v, want %+v", tc.n, tc.start, got, tc.want)
			continue
		}
		for i := range got {
			if got[i] != tc.want[i] {
				t.Errorf("%d clusters from %d: %+v, want %+v", tc.n, tc.start, got, tc.want)
			}
		}
		for _, f := range r.Faults {
			if _, aborts := f.QemuWalkEnd(""); !aborts {
				t.Errorf("%v does not abort", f)
			}
		}
	}
}

// TestLargeTables walks L2 tables of 16 MiB, which do not fit in memory at once.
func TestLargeTables(t *testing.T) {
	const cluster = 2 << 20
	b := make([]byte, 18*cluster)
	copy(b, "QED\x00")
	le.PutUint32(b[4:], cluster)
	le.PutUint32(b[8:], 8)
	le.PutUint32(b[12:], 1)
	le.PutUint64(b[40:], cluster)
	entries := uint64(8 * cluster / 8)
	le.PutUint64(b[48:], entries*cluster)
	le.PutUint64(b[cluster:], 9*cluster)
	last := entries - 1
	le.PutUint64(b[9*cluster+last*8:], 17*cluster)
	dev := formattest.Bytes(b)
	r, f, err := formattest.Run(&qed.Driver, &format.Params{Dev: dev}, img.Whole)
	if f != nil || err != nil {
		t.Fatal(f, err)
	}
	if got := formattest.Extents(r.Map); len(got) != 2 || got[1] != e(last*cluster, cluster,
		17*cluster, data) {
		t.Errorf("%+v", got)
	}
	if at, twice := dev.ReadTwice(); twice {
		t.Errorf("byte %d is read twice", at)
	}
}

// TestDeviceFails makes reads fail at the header and at both tables.
func TestDeviceFails(t *testing.T) {
	for _, at := range []uint64{1, cluster, cluster + table} {
		dev := formattest.Bytes(image(func([]byte) {}))
		dev.FailAt = at
		_, f, err := formattest.Run(&qed.Driver, &format.Params{Dev: dev}, img.Whole)
		if err != nil || f == nil || f.Reason != fault.DeviceRead {
			t.Errorf("byte %d: %v %v", at, f, err)
		}
	}
}

// TestModel compares random images, whose entries are all valid, with a model at random places.
func TestModel(t *testing.T) {
	asked := 0
	for seed := range int64(60) {
		rng := rand.New(rand.NewSource(seed))
		b := qedtest.Random(rng)
		r := formattest.Properties(t, &qed.Driver, b, qemu, rng.Uint64(), rng.Uint64(), false)
		if len(r.Faults) > 0 || r.Map.End() == 0 {
			continue
		}
		size, tables := uint64(le.Uint32(b[4:])), uint64(le.Uint32(b[8:]))
		entries := size * tables / 8
		for range 2000 {
			asked++
			off := uint64(rng.Int63n(int64(r.Map.End())))
			got := r.Map.At(r.Map.Find(off))
			want, host := extent.Flags(0), uint64(0)
			if at := le.Uint64(b[size+off/(entries*size)*8:]); at != 0 {
				switch entry := le.Uint64(b[at+off/size%entries*8:]); entry {
				case 0:
				case 1:
					want = zero
				default:
					want, host = data, entry+off%size
				}
			}
			if got.Flags != want || want == data && got.Offset+off-got.Start != host {
				t.Fatalf("seed %d, byte %d: %+v, want %x at %d", seed, off, got, want, host)
			}
		}
	}
	if asked == 0 {
		t.Error("no image is right")
	}
}

// FuzzQed walks arbitrary bytes.
func FuzzQed(f *testing.F) {
	for seed := range int64(6) {
		f.Add(qedtest.Random(rand.New(rand.NewSource(seed))), uint64(seed)<<10, uint64(1)<<20)
	}
	f.Add(image(func([]byte) {}), uint64(5), uint64(1000))
	f.Fuzz(func(t *testing.T, b []byte, start, length uint64) {
		formattest.Properties(t, &qed.Driver, b, 0, start, length, false)
		formattest.Properties(t, &qed.Driver, b, qemu, start, length, false)
	})
}
