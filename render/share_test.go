package render

import (
	"bytes"
	"io"
	"math/rand"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/img"
)

// TestSharedChunks: a map that has chunks of another looks as if they were its own, whole and in
// parts.
func TestSharedChunks(t *testing.T) {
	const n = 20_000
	deeper := func(s extent.State) extent.State {
		s.Depth++
		return s
	}
	rng := rand.New(rand.NewSource(1))
	lent := extent.NewBuilder(0, 512*n, 0)
	for i := range uint64(n) {
		e := extent.Extent{Start: 512 * i, Length: 512,
			State: extent.State{Flags: extent.Present | extent.Zero, Depth: uint16(i % 3)}}
		if i%2 == 0 {
			e.Flags = extent.Present | extent.Data | extent.Offset
			e.Offset = uint64(rng.Intn(1 << (1 + rng.Intn(40))))
		}
		if err := lent.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	base, err := lent.Finish(nil)
	if err != nil {
		t.Fatal(err)
	}
	shared, plain := extent.NewBuilder(0, 512*n, 0), extent.NewBuilder(0, 512*n, 0)
	l, ok, err := shared.Lend(base, deeper)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	for i := 0; i < n; {
		if run := min(rng.Intn(9000), n-i); run > 300 {
			if err := shared.Share(l, i, i+run); err != nil {
				t.Fatal(err)
			}
			for ; run > 0; i, run = i+1, run-1 {
				e := base.At(i)
				e.State = deeper(e.State)
				if err := plain.Add(e); err != nil {
					t.Fatal(err)
				}
			}
			continue
		}
		e := base.At(i)
		e.State = extent.State{Flags: extent.Present | extent.Data, File: 0}
		e.Offset = 0
		for _, b := range []*extent.Builder{shared, plain} {
			if err := b.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		i++
	}
	names := []string{"a", "b", "c", "d"}
	got, err := shared.Finish(names)
	if err != nil {
		t.Fatal(err)
	}
	want, err := plain.Finish(names)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []img.Release{0, 7<<16 | 2} {
		for _, v := range []View{JSON, Text} {
			a, errA := New(want, v, r)
			b, errB := New(got, v, r)
			if (errA == nil) != (errB == nil) || a.Size() != b.Size() {
				t.Fatalf("%d bytes, %v; want %d, %v", b.Size(), errB, a.Size(), errA)
			}
			whole, err := io.ReadAll(io.NewSectionReader(a, 0, a.Size()))
			if err != nil {
				t.Fatal(err)
			}
			for range 200 {
				off := rng.Int63n(a.Size() + 1)
				p := make([]byte, rng.Intn(200_000))
				m, _ := b.ReadAt(p, off)
				if end := min(len(whole), int(off)+len(p)); !bytes.Equal(p[:m], whole[off:end]) {
					t.Fatalf("%d bytes from %d differ", len(p), off)
				}
			}
		}
	}
}
