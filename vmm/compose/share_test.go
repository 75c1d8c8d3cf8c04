package compose

import (
	"math"
	"math/rand"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/img"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
	"instarfs/vmm/turns"
)

// randomLayer is a layer of some extents. Of a bottom layer none is left to layers below.
func randomLayer(t *testing.T, rng *rand.Rand, n, longest int, bottom bool) *session.Layer {
	t.Helper()
	flags := []extent.Flags{present | zero, stored, present | zero | offset, present | data, 0}
	var es []extent.Extent
	for next := uint64(0); len(es) < n; {
		e := ext(next, uint64(512*(1+rng.Intn(longest))), flags[rng.Intn(len(flags))], 0)
		if !bottom && rng.Intn(4) > 0 {
			e.Flags = 0
		}
		if e.Flags.Has(offset) {
			e.Offset = uint64(512 * rng.Intn(100))
		}
		es = append(es, e)
		next = e.End()
	}
	return layerOf(t, es...)
}

// composed is the map of layers, with or without chunks that are shared.
func composed(
	t *testing.T, layers []*File, r img.Release, until uint64, limit int, shares bool,
) (*extent.Map, error) {
	t.Helper()
	p, err := Enter(t.Context(), turns.New(1), ledger.New(1<<30),
		&Allowance{Limit: math.MaxInt64})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Leave()
	s := styleOf(r)
	w, err := p.newWriter(0, until, limit, s.final)
	if err != nil {
		t.Fatal(err)
	}
	o := newOutput(layers, nil, s, w)
	if !shares {
		for i := range o.lenders {
			o.lenders[i].known = true
		}
	}
	if bad, err := o.write(0, until, until); err != nil || bad.bad != nil {
		return nil, err
	}
	var names []string
	for _, f := range layers {
		names = append(names, f.Name)
	}
	return w.builder.Finish(names)
}

// TestSharedIsTheSame: a map with shared chunks is the map without, in less memory.
func TestSharedIsTheSame(t *testing.T) {
	less := 0
	for seed := range int64(60) {
		rng := rand.New(rand.NewSource(seed))
		base := &File{Name: "base", Layer: randomLayer(t, rng, 6000, 8, true)}
		layers := []*File{base}
		for range 1 + rng.Intn(2) {
			top := randomLayer(t, rng, 1+rng.Intn(6), 1<<(8+rng.Intn(8)), false)
			layers = append([]*File{{Name: "top", Layer: top}}, layers...)
		}
		until := layers[0].Size() - uint64(rng.Intn(2)*rng.Intn(int(layers[0].Size())))
		for _, r := range []img.Release{0, 7<<16 | 2, 5<<16 | 2} {
			plain, err := composed(t, layers, r, until, 0, false)
			if err != nil {
				t.Fatal(err)
			}
			shared, err := composed(t, layers, r, until, 0, true)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			same(t, rng, plain, shared)
			if shared.Bytes() < plain.Bytes()/2 {
				less++
			}
			if shared.Len() > 1 {
				if _, err := composed(t, layers, r, until, shared.Len()-1, true); err == nil {
					t.Errorf("seed %d: the limit of extents is exceeded", seed)
				}
			}
		}
	}
	if less < 40 {
		t.Errorf("%d maps are smaller by half: nothing is shared", less)
	}
}

// same compares two maps.
func same(t *testing.T, rng *rand.Rand, want, got *extent.Map) {
	t.Helper()
	if got.Len() != want.Len() || got.Start() != want.Start() || got.End() != want.End() {
		t.Fatalf("%d extents in [%d, %d), want %d in [%d, %d)", got.Len(), got.Start(), got.End(),
			want.Len(), want.Start(), want.End())
	}
	for i := range want.Len() {
		if got.At(i) != want.At(i) {
			t.Fatalf("extent %d is %+v, want %+v", i, got.At(i), want.At(i))
		}
	}
	for range 100 {
		if off := uint64(rng.Int63n(int64(want.End()) + 1)); got.Find(off) != want.Find(off) {
			t.Fatalf("byte %d is in extent %d, want %d", off, got.Find(off), want.Find(off))
		}
	}
}
