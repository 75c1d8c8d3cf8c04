package qcow2_test

import (
	"fmt"
	"math/rand"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qcow2"
	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/guest/img"
)

const (
	data       = extent.Present | extent.Data | extent.Offset
	zeroPlain  = extent.Present | extent.Zero
	zeroAlloc  = zeroPlain | extent.Offset
	compressed = extent.Present | extent.Data | extent.Compressed
)

// piece is an extent without its start: pieces tile the window.
type piece struct {
	length uint64
	flags  extent.Flags
	offset uint64
}

func pieces(start uint64, p ...piece) []extent.Extent {
	var s []extent.Extent
	for _, p := range p {
		s = append(s, extent.Extent{Start: start, Length: p.length, Offset: p.offset,
			State: extent.State{Flags: p.flags}})
		start += p.length
	}
	return s
}

// TestWalk compares maps of built images with the extents wanted. Data starts after the header,
// the L1 table and one L2 table.
func TestWalk(t *testing.T) {
	const c, first = 1 << 16, 3 << 16
	for _, v := range []struct {
		name   string
		size   uint64
		build  func(q *qcow2test.Image)
		window img.Window
		want   []extent.Extent
		faults []*fault.Fault
	}{
		{"empty", 1 << 20, func(*qcow2test.Image) {}, img.Whole, pieces(0, piece{1 << 20, 0, 0}),
			nil},
		{"size 0", 0, func(*qcow2test.Image) {}, img.Whole, nil, nil},
		{"size rounded down", 1023, func(*qcow2test.Image) {}, img.Whole,
			pieces(0, piece{512, 0, 0}), nil},
		{"one cluster", 4 * c, func(q *qcow2test.Image) { q.Sparse(1, 1) }, img.Whole,
			pieces(0, piece{c, 0, 0}, piece{c, data, first}, piece{2 * c, 0, 0}), nil},
		{"zero clusters", 4 * c, func(q *qcow2test.Image) {
			q.Sparse(0, 2)
			*q.Entry(1) |= qcow2test.EntryZero
			q.Zero(2, 1)
		}, img.Whole, pieces(0, piece{c, data, first}, piece{c, zeroAlloc, first + c},
			piece{c, zeroPlain, 0}, piece{c, 0, 0}), nil},
		{"compressed clusters are one extent", 4 * c,
			func(q *qcow2test.Image) { q.Compressed(1, 2) }, img.Whole,
			pieces(0, piece{c, 0, 0}, piece{2 * c, compressed, 0}, piece{c, 0, 0}), nil},
		{"window within a cluster", 4 * c, func(q *qcow2test.Image) { q.Sparse(1, 1) },
			window(c+1, c+4),
			pieces(c+1, piece{3, data, first + 1}), nil},
		{"window over three extents", 4 * c, func(q *qcow2test.Image) { q.Sparse(1, 1) },
			window(60000, 160000),
			pieces(60000, piece{5536, 0, 0}, piece{c, data, first}, piece{160000 - 2*c, 0, 0}),
			nil},
		{"zero flag in version 2", 4 * c, func(q *qcow2test.Image) {
			q.Version = 2
			q.Sparse(0, 1)
			*q.Entry(3) = qcow2test.EntryZero
		}, img.Whole, pieces(0, piece{c, data, first}, piece{2 * c, 0, 0}, piece{c, extent.Bad, 0}),
			[]*fault.Fault{fault.New(fault.Qcow2ZeroInV2, 2*c+24, 2*c, 3)}},
		{"cluster unaligned", 4 * c, func(q *qcow2test.Image) {
			q.Sparse(0, 4)
			*q.Entry(2) |= 0x200
		}, img.Whole, pieces(0, piece{2 * c, data, first}, piece{c, extent.Bad, 0},
			piece{c, data, first + 3*c}),
			[]*fault.Fault{fault.New(fault.Qcow2ClusterUnaligned, 2*c+16, first+2*c+0x200, 2*c,
				2)}},
		{"L2 table unaligned", 600 << 20, func(q *qcow2test.Image) { *q.L1(0) = 0x40200 },
			img.Whole,
			pieces(0, piece{512 << 20, extent.Bad, 0}, piece{88 << 20, 0, 0}),
			[]*fault.Fault{fault.New(fault.Qcow2L2Unaligned, c, 0x40200, 0)}},
		{"L2 table past the end", 4 * c, func(q *qcow2test.Image) { *q.L1(0) = 1 << 40 },
			img.Whole,
			pieces(0, piece{4 * c, 0, 0}), nil},
		{"reserved bits", 4 * c, func(q *qcow2test.Image) {
			q.Sparse(0, 1)
			*q.Entry(0) |= 0x3f<<56 | 0x1fe
			*q.L1(0) |= 0x7f<<56 | 0x1ff
		}, img.Whole, pieces(0, piece{c, data, first}, piece{3 * c, 0, 0}), nil},
		{"host offset beyond everything", 2 * c,
			func(q *qcow2test.Image) { *q.Entry(0) = 0x00ffffffffff0000 }, img.Whole,
			pieces(0, piece{c, data, 0x00ffffffffff0000}, piece{c, 0, 0}), nil},
		{"subclusters", c, func(q *qcow2test.Image) {
			q.ExtendedL2 = true
			q.Sparse(0, 1)
			*q.Bitmap(0) = 1<<36 | 2
		}, img.Whole, pieces(0, piece{2048, extent.Offset, first}, piece{2048, data, first + 2048},
			piece{4096, extent.Offset, first + 4096}, piece{2048, zeroAlloc, first + 8192},
			piece{c - 10240, extent.Offset, first + 10240}), nil},
		{"invalid bitmap is met a run ahead", 4 * c, func(q *qcow2test.Image) {
			q.ExtendedL2 = true
			q.Sparse(0, 4)
			*q.Bitmap(0) = 0xffff
			*q.Bitmap(1) = 0xfffffff0
			*q.Bitmap(2) |= 1 << 32
		}, img.Whole, pieces(0, piece{c / 2, data, first}, piece{c/2 + c/8, extent.Offset, first +
			c/2},
			piece{c - c/8, data | extent.BadAhead, first + c + c/8}, piece{c, extent.Bad, 0},
			piece{c, data, first + 3*c}),
			[]*fault.Fault{fault.New(fault.Qcow2InvalidSubcluster, 2*c+32, 2*c, 2)}},
		{"invalid bitmap after the window", 4 * c, func(q *qcow2test.Image) {
			q.ExtendedL2 = true
			q.Sparse(0, 4)
			*q.Bitmap(2) |= 1 << 32
		}, window(0, 2*c), pieces(0, piece{2 * c, data, first}), nil},
	} {
		t.Run(v.name, func(t *testing.T) {
			q := qcow2test.New(v.size, 16)
			q.NoRefcounts = true
			v.build(q)
			r, n := image(q)
			same(t, agree(t, r, n, 1<<40, v.window), v.want, v.faults)
		})
	}
}

// TestEncrypted maps an encrypted image, for which qemu-img needs a key.
func TestEncrypted(t *testing.T) {
	const c = 1 << 16
	q := qcow2test.New(4*c, 16)
	q.NoRefcounts, q.Crypt = true, 1
	q.Sparse(0, 2)
	*q.Entry(1) |= qcow2test.EntryZero
	r, n := image(q)
	same(t, agree(t, r, n, 0, img.Whole),
		pieces(0, piece{c, extent.Present | extent.Data | extent.Encrypted, 0},
			piece{c, zeroPlain, 0}, piece{2 * c, 0, 0}), nil)
}

// TestReferences finds the files that an image names, in order.
func TestReferences(t *testing.T) {
	q := qcow2test.New(1<<20, 16)
	q.Incompatible = 4
	q.Backing = "../base"
	q.Extensions = []qcow2test.Extension{extension(qcow2test.ExtensionBackingFormat, "raw\x00x"),
		extension(qcow2test.ExtensionDataFile, "data\x00x")}
	*q.Entry(0) = qcow2test.EntryCopied
	*q.Entry(1) = 1<<16 | qcow2test.EntryZero
	r, n := image(q)
	res := agree(t, r, n, 1<<40, img.Whole)
	want := []img.Reference{{Kind: img.DataFile, Name: "data"}, {Kind: img.Backing, Name: "../base",
		Format: "raw"}}
	if len(res.References) != 2 || res.References[0] != want[0] || res.References[1] != want[1] {
		t.Fatalf("references %+v, want %+v", res.References, want)
	}
	if e := res.Map.At(0); e.File != 1 || e.Flags != data || e.Length != 1<<16 {
		t.Fatalf("first extent %+v", e)
	}
}

// TestSlices compares images of which qemu reads the L2 tables in slices with the model.
func TestSlices(t *testing.T) {
	for _, v := range qcow2test.Slices {
		t.Run(fmt.Sprintf("%+v", v), func(t *testing.T) {
			f, n := inMemory(t, v.Image())
			start, length := v.Start(), v.Length()
			for _, w := range []img.Window{
				window(start, start+length),
				window(start+12345, start+12345+length),
				window(start, start+length-2*v.Cluster()),
				window(start, start+length-2*v.Cluster()+1),
			} {
				agree(t, f, n, 1<<40, w)
			}
		})
	}
}

// TestReadsOnce walks images of every cluster size. It checks that no byte is read twice, and
// that reads are few and large.
func TestReadsOnce(t *testing.T) {
	for bits := uint(9); bits <= 21; bits++ {
		for _, extended := range []bool{false, true} {
			if extended && bits < 14 {
				continue
			}
			q := qcow2test.New(3000<<bits+512, bits)
			q.ExtendedL2 = extended
			rng := rand.New(rand.NewSource(int64(bits)))
			for i := uint64(0); i < 3000; i += uint64(1 + rng.Intn(9)) {
				q.Sparse(i, 1)
			}
			file, n := inMemory(t, q)
			dev := formattest.NewDevice(file, n)
			_, f, err := formattest.Run(&qcow2.Driver, &format.Params{Dev: dev}, img.Whole)
			if f != nil || err != nil {
				t.Fatal(f, err)
			}
			if at, yes := dev.ReadTwice(); yes {
				t.Errorf("cluster bits %d: byte %d is read twice", bits, at)
			}
			if dev.Batches > 12 {
				t.Errorf("cluster bits %d: %d batches, %d reads, %d bytes", bits, dev.Batches,
					dev.Reads, dev.Bytes)
			}
		}
	}
}

// TestWindowReadsLittle checks that the cost of a window does not depend on the size of the
// image.
func TestWindowReadsLittle(t *testing.T) {
	q := qcow2test.New(1<<40, 16)
	q.NoRefcounts = true
	q.Sparse(5<<20, 3)
	f, n := inMemory(t, q)
	dev := formattest.NewDevice(f, n)
	res, ft, err := formattest.Run(&qcow2.Driver, &format.Params{Dev: dev, Allocated: 1 << 40},
		window(5<<36+1, 5<<36+3<<16))
	if ft != nil || err != nil {
		t.Fatal(ft, err)
	}
	if res.Map.Len() != 1 || dev.Bytes > 70<<10 {
		t.Errorf("%d extents, %d bytes read", res.Map.Len(), dev.Bytes)
	}
}

// TestDeviceFails makes reads of each part of an image fail in turn: the run ends with that
// fault, or did not need the part.
func TestDeviceFails(t *testing.T) {
	q := qcow2test.New(1<<20, 12)
	q.Data(0, 3)
	q.Data(100, 3)
	b := q.Bytes()
	failed := 0
	for at := uint64(1); at < uint64(len(b)); at += 512 {
		dev := formattest.Bytes(b)
		dev.FailAt = at
		_, f, err := formattest.Run(&qcow2.Driver, &format.Params{Dev: dev}, img.Whole)
		if err != nil {
			t.Fatal(err)
		}
		if f != nil {
			failed++
			if f.Reason != fault.DeviceRead || f.Offset != at {
				t.Errorf("byte %d: %v", at, f)
			}
		}
	}
	if failed < 5 {
		t.Errorf("only %d failures were noticed", failed)
	}
}
