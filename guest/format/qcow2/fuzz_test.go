package qcow2_test

import (
	"bytes"
	"math/rand"
	"slices"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qcow2"
	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/guest/img"
)

// fuzzWindow is the most bytes of a disk that a fuzz input walks, so that an input takes
// milliseconds whatever its header says.
const fuzzWindow = 1 << 26

// FuzzQcow2 walks arbitrary bytes: it does not panic, extents tile the window or there is a
// fault, the cost is bounded, and a window has the same extents as the whole disk. If there are
// few clusters, the model agrees.
func FuzzQcow2(f *testing.F) {
	for seed := range int64(20) {
		q := qcow2test.RandomEntries(rand.New(rand.NewSource(seed)), "data")
		if q.ClusterBits > 14 {
			continue
		}
		f.Add(small(q), uint64(seed)<<12, uint64(seed), uint64(10000))
	}
	for _, v := range slices.Concat(headerVectors, bitmapVectors) {
		if v.reason == fault.Qcow2SnapshotTableSize {
			continue // too large to mutate
		}
		q := qcow2test.New(1<<15, 9)
		v.build(q)
		q.Sparse(1, 2)
		f.Add(small(q), uint64(1<<30), uint64(1), uint64(1<<12))
	}
	f.Fuzz(func(t *testing.T, b []byte, allocated, start, length uint64) {
		dev := formattest.Bytes(b)
		whole := img.Window{End: fuzzWindow}
		res, ft, err := formattest.Run(&qcow2.Driver,
			&format.Params{Dev: dev, Allocated: allocated}, whole)
		if err != nil {
			t.Fatal(err)
		}
		// The first cluster, snapshots, bitmaps and their tables, refcounts, L1, and an L2
		// table for each of its entries.
		if dev.Bytes > 1<<31 {
			t.Fatalf("%d bytes read", dev.Bytes)
		}
		if ft != nil {
			return
		}
		end := res.Map.End()
		if end == 0 {
			return
		}
		start %= end
		part := window(start, min(end, start+length%end+1))
		again, ft := walk(t, bytes.NewReader(b), uint64(len(b)), allocated, part)
		if ft != nil {
			t.Fatalf("window: %v", ft)
		}
		sameContent(t, res, again)
		if bits := b[qcow2test.OffClusterBits+3]; end>>bits < 4096 {
			agree(t, bytes.NewReader(b), uint64(len(b)), allocated, whole)
			agree(t, bytes.NewReader(b), uint64(len(b)), allocated, part)
		}
	})
}

// small returns an image without the zeroes at its end, which a device reads anyway.
func small(q *qcow2test.Image) []byte { return bytes.TrimRight(q.Bytes(), "\x00") }

// sameContent compares a window with the whole map. Only how far ahead a fault is found depends
// on where the window starts and ends.
func sameContent(t *testing.T, whole, part *formattest.Result) {
	t.Helper()
	at := part.Map.Start()
	for at < part.Map.End() {
		w, p := whole.Map.At(whole.Map.Find(at)), part.Map.At(part.Map.Find(at))
		w, p = from(w, at), from(p, at)
		n := min(w.Length, p.Length)
		w.Length, p.Length = n, n
		if w.Flags == extent.Bad && p.Flags == extent.Bad {
			if whole.Faults[w.Offset].Error() != part.Faults[p.Offset].Error() {
				t.Fatalf("at %d: fault %v, in a window %v", at, whole.Faults[w.Offset],
					part.Faults[p.Offset])
			}
			w, p = extent.Extent{}, extent.Extent{}
		}
		w.Flags &^= extent.BadAhead
		p.Flags &^= extent.BadAhead
		if w != p {
			t.Fatalf("at %d: %+v, in a window %+v", at, w, p)
		}
		at += n
	}
}

func from(e extent.Extent, at uint64) extent.Extent {
	if at == e.Start {
		return e
	}
	return e.Skip(at - e.Start)
}
