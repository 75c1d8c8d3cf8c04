package extent

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
)

// stripes is a map of n extents of 3 bytes from byte 1 on, no two of which merge.
func stripes(t testing.TB, n int, state func(i int) State) *Map {
	t.Helper()
	b := NewBuilder(1, 1+3*uint64(n), n)
	for i := range n {
		e := Extent{Start: 1 + 3*uint64(i), Length: 3, State: state(i)}
		if e.Flags.Has(Offset) {
			e.Offset = 7 * uint64(i)
		}
		if err := b.Add(e); err != nil {
			t.Fatal(i, err)
		}
	}
	m, err := b.Finish(nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func dataAndZero(i int) State {
	if i%2 == 0 {
		return State{Flags: stored}
	}
	return State{Flags: Present | Zero}
}

func TestFindAndAtOverChunks(t *testing.T) {
	for _, n := range []int{1, 2, chunkLen - 1, chunkLen, chunkLen + 1, 2 * chunkLen, 10_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			m := stripes(t, n, dataAndZero)
			if m.Len() != n || m.Start() != 1 || m.End() != 1+3*uint64(n) {
				t.Fatal(m.Len(), m.Start(), m.End())
			}
			for i := range n {
				e := m.At(i)
				want := Extent{Start: 1 + 3*uint64(i), Length: 3, State: dataAndZero(i)}
				if i%2 == 0 {
					want.Offset = 7 * uint64(i)
				}
				if e != want {
					t.Fatalf("extent %d is %+v, want %+v", i, e, want)
				}
				for off := e.Start; off < e.End(); off++ {
					if got := m.Find(off); got != i {
						t.Fatalf("Find(%d) = %d, want %d", off, got, i)
					}
				}
			}
			for _, off := range []uint64{0, m.End(), m.End() + 1, math.MaxUint64} {
				if got := m.Find(off); got != n {
					t.Errorf("Find(%d) = %d outside of the window", off, got)
				}
			}
		})
	}
}

// TestManyStates: there is room for 65536, and no more.
func TestManyStates(t *testing.T) {
	file := func(i int) State { return State{Flags: stored, File: uint16(i)} }
	for _, n := range []int{2, 3, 9, 1000} {
		m := stripes(t, 3*n, func(i int) State { return file(i % n) })
		for i := range 3 * n {
			if m.At(i).State != file(i%n) {
				t.Fatalf("%d states: extent %d is %+v", n, i, m.At(i))
			}
		}
		if len(m.states) != n {
			t.Errorf("%d states are kept as %d", n, len(m.states))
		}
	}
	const most = math.MaxUint16 + 1
	b := NewBuilder(0, most+1, 0)
	for i := range uint64(most) {
		if err := b.Add(Extent{Start: i, Length: 1, Offset: 9 * i,
			State: file(int(i))}); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := b.Add(Extent{Start: most, Length: 1}); !errors.Is(err, ErrStates) {
		t.Fatal(err)
	}
}

// TestBytes: an extent costs at most 24 bytes, and Bytes tells what it costs.
func TestBytes(t *testing.T) {
	const n = 1 << 20
	var m *Map
	used := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m = stripes(b, n, dataAndZero)
		}
	})
	if per := float64(m.Bytes()) / n; per > 24 || per < 18 {
		t.Errorf("%.2f bytes an extent", per)
	}
	// The scratch chunk and the growth of the slice of chunks come on top while the map is made.
	if per := float64(used.AllocedBytesPerOp()) / n; per > 24 {
		t.Errorf("%.2f bytes allocated for an extent", per)
	}
	small := stripes(t, 1, dataAndZero)
	if small.Bytes() > 1024 {
		t.Errorf("a map of one extent takes %d bytes", small.Bytes())
	}
	b := NewBuilder(0, 0, 0)
	named, err := b.Finish([]string{string(make([]byte, 5000))})
	if err != nil || named.Bytes() < 5000 {
		t.Error("names are not counted:", named.Bytes(), err)
	}
}

func TestRemap(t *testing.T) {
	m := stripes(t, 5000, dataAndZero)
	if v := m.Memo("key", func() any { return 1 }); v != 1 {
		t.Fatal(v)
	}
	deeper := func(s State) State { s.Depth++; return s }
	r, ok := m.Remap([]string{"new"}, deeper)
	if !ok || r.Len() != m.Len() || r.Start() != m.Start() || r.End() != m.End() ||
		r.Files()[0] != "new" {
		t.Fatalf("%+v", r)
	}
	for i := range m.Len() {
		want := m.At(i)
		if want.Depth != 0 {
			t.Fatal("the original changed")
		}
		want.Depth = 1
		if r.At(i) != want {
			t.Fatalf("extent %d is %+v", i, r.At(i))
		}
	}
	if v := r.Memo("key", func() any { return 2 }); v != 2 {
		t.Error("what was derived from the original is taken for the new map's")
	}
	if m.Files() != nil || m.Flags() != stored|Zero {
		t.Error(m.Files(), m.Flags())
	}
	if r, ok := m.Remap(nil, func(State) State { return State{} }); ok || r != nil {
		t.Error("two states became one, and neighbours might be one extent")
	}
}

// TestMemo: eight goroutines ask for ten keys; each is derived once, and everybody gets that one.
func TestMemo(t *testing.T) {
	m := stripes(t, 1, dataAndZero)
	var derived atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 1000 {
				key := i % 10
				v := m.Memo(key, func() any { derived.Add(1); return key })
				if v != key {
					t.Errorf("key %d has %v", key, v)
				}
			}
		})
	}
	wg.Wait()
	if derived.Load() != 10 {
		t.Errorf("derived %d times", derived.Load())
	}
}

func TestSkip(t *testing.T) {
	if got := tell(10, 5, stored, 100).Skip(2); got != tell(12, 3, stored, 102) {
		t.Error(got)
	}
	if got := tell(10, 5, Bad, 100).Skip(2); got != tell(12, 3, Bad, 100) {
		t.Error(got)
	}
}
