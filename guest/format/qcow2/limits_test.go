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

// TestPreallocation compares the heuristic with the model around its threshold, with refcounts of
// every width, in images of many refcount blocks.
func TestPreallocation(t *testing.T) {
	for order := range uint32(7) {
		for bits, clusters := range map[uint]uint64{9: 9000, 12: 9000, 16: 70000, 13: 10} {
			q := qcow2test.New(clusters<<bits, bits)
			q.RefcountOrder = order
			q.Sparse(0, clusters)
			q.Spoil((clusters+clusters/10)<<bits, 0) // the file ends with clusters not in use
			file, n := inMemory(t, q)
			used := q.Alloc(0) >> bits
			least := used * 9 / 10
			for real := max(least, 4) - 4; real < least+4; real++ {
				name := fmt.Sprintf("order %d, cluster bits %d, %d of %d", order, bits, real, used)
				model := qcow2test.NewModel(file, n, real<<bits)
				res, f := walk(t, file, n, real<<bits, window(0, 512))
				if f != nil {
					t.Fatal(name, f)
				}
				if got := res.Map.At(0).Flags.Has(extent.Holes); got != model.Preallocated() {
					t.Errorf("%s: %v, want %v", name, got, model.Preallocated())
				}
			}
		}
	}
}

// TestRefblockUnaligned checks that there is one warning, and a map as without preallocation.
func TestRefblockUnaligned(t *testing.T) {
	q := qcow2test.New(1<<20, 16)
	q.NoRefcounts = true
	q.Sparse(0, 1)
	table := q.Alloc(1)
	q.Spoil64(qcow2test.OffRefcountTableOffset, table)
	q.Spoil64(table, 0x20200)
	r, n := image(q)
	res := agree(t, r, n, 0, img.Whole)
	want := fault.New(fault.Qcow2RefblockUnaligned, table, 0x20200, 0)
	if len(res.Warnings) != 1 || res.Warnings[0].Error() != want.Error() {
		t.Errorf("warnings %v, want %v", res.Warnings, want)
	}
	if text := "Refblock offset 0x20200 unaligned (reftable index: 0)"; want.Message() != text {
		t.Errorf("message %q", want.Message())
	}
	if res, _ := walk(t, r, n, 0, window(5, 5)); len(res.Warnings) != 0 {
		t.Errorf("an empty window warns: %v", res.Warnings)
	}
}

// TestFullBatches has more L1 entries, of every kind, than a batch has parts, and tables that
// are not adjacent.
func TestFullBatches(t *testing.T) {
	const entries = 20000
	q := qcow2test.New(entries<<15, 9)
	q.NoRefcounts = true
	rng := rand.New(rand.NewSource(1))
	tables := make([]uint64, 700)
	for i := range tables {
		tables[i] = q.Alloc(2)
		q.Spoil64(tables[i]+uint64(rng.Intn(64))*8, uint64(1+rng.Intn(1000))<<9)
	}
	for i := range uint64(entries) {
		switch rng.Intn(4) {
		case 0:
			*q.L1(i) = tables[rng.Intn(len(tables))]
		case 1:
			*q.L1(i) = uint64(1+rng.Intn(1000)) << 50 // past the end
		}
	}
	r, n := image(q)
	agree(t, r, n, 1<<40, img.Whole)

	// Clusters of 512 bytes: an L2 table is never unaligned. With larger ones every other entry is.
	q = qcow2test.New(5000<<21, 12)
	q.NoRefcounts = true
	for i := uint64(0); i < 5000; i += 2 {
		*q.L1(i) = 0x200
	}
	r, n = image(q)
	if res := agree(t, r, n, 1<<40, img.Whole); len(res.Faults) != 2500 {
		t.Errorf("%d faults, want 2500", len(res.Faults))
	}
}

// TestNoMemory ends the run when the device has no memory left.
func TestNoMemory(t *testing.T) {
	for _, n := range []int{1 << 10, 100 << 10} {
		q := qcow2test.New(1<<20, 16)
		dev := formattest.Bytes(q.Bytes())
		for left := 4 << 20; left > n; left -= n {
			dev.Buffer(min(n, left-n))
		}
		_, f, err := formattest.Run(&qcow2.Driver, &format.Params{Dev: dev}, img.Whole)
		if err != nil || f == nil || f.Reason != fault.NoMemory {
			t.Errorf("fault %v, error %v", f, err)
		}
	}
}

// TestWalkAgain walks one opened image twice.
func TestWalkAgain(t *testing.T) {
	q := qcow2test.New(1<<20, 12)
	q.Data(3, 40)
	dev := formattest.Bytes(q.Bytes())
	m, f := qcow2.Driver.Open(&format.Params{Dev: dev})
	if f != nil {
		t.Fatal(f)
	}
	var maps []string
	for range 2 {
		s := formattest.NewSink(0, m.Size())
		if f := m.Walk(0, m.Size(), s); f != nil {
			t.Fatal(f)
		}
		got, err := s.Map()
		if err != nil {
			t.Fatal(err)
		}
		maps = append(maps, fmt.Sprint(formattest.Extents(got)))
	}
	if maps[0] != maps[1] {
		t.Errorf("first %s, then %s", maps[0], maps[1])
	}
}

// TestHeaderExtremes sets every field of the header, byte by byte, to extremes: there is a
// fault or a map, and never a long run.
func TestHeaderExtremes(t *testing.T) {
	q := qcow2test.New(1<<20, 12)
	q.Data(3, 4)
	b := q.Bytes()
	for off := range qcow2test.HeaderLength + 16 {
		for _, width := range []int{1, 4, 8} {
			for _, v := range []byte{0x00, 0x01, 0x7f, 0x80, 0xff} {
				c := append([]byte(nil), b...)
				for i := range width {
					c[off+i] = v
				}
				dev := formattest.Bytes(c)
				_, _, err := formattest.Run(&qcow2.Driver, &format.Params{Dev: dev},
					img.Window{End: 1 << 24})
				if err != nil {
					t.Fatalf("%d bytes of %#x at %d: %v", width, v, off, err)
				}
				if dev.Bytes > 64<<20 {
					t.Errorf("%d bytes of %#x at %d: %d bytes read", width, v, off, dev.Bytes)
				}
			}
		}
	}
}
