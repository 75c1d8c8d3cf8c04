package extent

import (
	"errors"
	"math"
	"testing"
)

// tell is short for an extent in tests.
func tell(start, length uint64, f Flags, offset uint64) Extent {
	return Extent{Start: start, Length: length, Offset: offset, State: State{Flags: f}}
}

const stored = Present | Data | Offset

func TestAddRefuses(t *testing.T) {
	file := func(e Extent, n uint16) Extent { e.File = n; return e }
	tests := []struct {
		name string
		e    Extent
		want error
	}{
		{"no bytes", tell(100, 0, 0, 0), ErrEmpty},
		{"gap", tell(101, 1, 0, 0), ErrGap},
		{"overlap", tell(99, 1, 0, 0), ErrGap},
		{"one byte beyond the window", tell(100, 901, 0, 0), ErrOutside},
		{"length that wraps", tell(100, math.MaxUint64, 0, 0), ErrOutside},
		{"unknown flag", tell(100, 1, All+1, 0), ErrFlags},
		{"bad and something", tell(100, 1, Bad|Present, 0), ErrFlags},
		{"bad and more to come", tell(100, 1, Bad|BadAhead, 0), ErrFlags},
		{"compressed without data", tell(100, 1, Present|Compressed, 0), ErrFlags},
		{"compressed with offset", tell(100, 1, stored|Compressed, 0), ErrFlags},
		{"encrypted without data", tell(100, 1, Present|Encrypted, 0), ErrFlags},
		{"encrypted with offset", tell(100, 1, stored|Encrypted, 0), ErrFlags},
		{"data of nobody", tell(100, 1, Data, 0), ErrFlags},
		{"holes without data", tell(100, 1, Present|Offset|Holes, 0), ErrFlags},
		{"holes without offset", tell(100, 1, Present|Data|Holes, 0), ErrFlags},
		{"bare without holes", tell(100, 1, stored|Bare, 0), ErrFlags},
		{"offset without its flag", tell(100, 1, Present|Zero, 1), ErrFlags},
		{"file without offset", file(tell(100, 1, Present|Zero, 0), 1), ErrFlags},
		{"bad of a file", file(tell(100, 1, Bad, 3), 1), ErrFlags},
		{"host range ends behind 2^63", tell(100, 2, stored, math.MaxInt64-1), ErrOverflow},
		{"host range starts behind 2^63", tell(100, 1, stored, math.MaxInt64+1), ErrOverflow},
		{"host range that wraps", tell(100, 2, stored, math.MaxUint64), ErrOverflow},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := NewBuilder(100, 1000, 0)
			if err := b.Add(test.e); !errors.Is(err, test.want) {
				t.Fatalf("error is %v, want %v", err, test.want)
			}
			if b.Next() != 100 {
				t.Errorf("what was refused moved Next to %d", b.Next())
			}
			// A refusal changes nothing: the builder goes on as if it had not happened.
			if err := b.Add(tell(100, 900, Present|Zero, 0)); err != nil {
				t.Fatal(err)
			}
			if m, err := b.Finish(nil); err != nil || m.Len() != 1 {
				t.Fatal(m, err)
			}
		})
	}
}

func TestAddTakes(t *testing.T) {
	for _, e := range []Extent{
		tell(0, 1, 0, 0), tell(0, 1, Zero, 0), tell(0, 1, Present, 0), tell(0, 1, Present|Zero, 0),
		tell(0, 1, Offset, 7), tell(0, 1, Present|Zero|Offset, 7), tell(0, 1, stored, 0),
		tell(0, 1, stored|Zero, 7),
		tell(0, 1, stored|Holes, 7), tell(0, 1, stored|Holes|Bare, 7), tell(0, 1, Present|Data, 0),
		tell(0, 1, Present|Data|Compressed, 0), tell(0, 1, Present|Data|Encrypted, 0),
		tell(0, 1, Bad, 63),
		tell(0, 1, stored|BadAhead, 7), tell(0, 1, stored, math.MaxInt64-1),
		{Length: 1, Offset: 7,
			State: State{Flags: stored, File: math.MaxUint16, Depth: math.MaxUint16}},
	} {
		b := NewBuilder(0, 1, 1)
		if err := b.Add(e); err != nil {
			t.Errorf("%+v: %v", e, err)
		}
		m, err := b.Finish(nil)
		if err != nil || m.Len() != 1 || m.At(0) != e {
			t.Errorf("%+v became %+v, %v", e, m, err)
		}
	}
}

func TestMerging(t *testing.T) {
	with := func(e Extent, s State) Extent { e.State = s; return e }
	tests := []struct {
		name string
		a, b Extent
		want bool
	}{
		{"zeroes", tell(0, 5, Present|Zero, 0), tell(5, 5, Present|Zero, 0), true},
		{"nothing", tell(0, 5, 0, 0), tell(5, 5, 0, 0), true},
		{"other flags", tell(0, 5, Present|Zero, 0), tell(5, 5, Zero, 0), false},
		{"contiguous data", tell(0, 5, stored, 100), tell(5, 5, stored, 105), true},
		{"data apart", tell(0, 5, stored, 100), tell(5, 5, stored, 106), false},
		{"data overlapping", tell(0, 5, stored, 100), tell(5, 5, stored, 100), false},
		{"compressed", tell(0, 5, Present|Data|Compressed, 0),
			tell(5, 5, Present|Data|Compressed, 0), true},
		{"same fault", tell(0, 5, Bad, 2), tell(5, 5, Bad, 2), true},
		{"other fault", tell(0, 5, Bad, 2), tell(5, 5, Bad, 3), false},
		{"other depth", tell(0, 5, Zero, 0), with(tell(5, 5, 0, 0), State{Zero, 1, 0}), false},
		{"other file", tell(0, 5, stored, 0), with(tell(5, 5, 0, 5), State{stored, 0, 1}), false},
		{"bad ahead", tell(0, 5, stored, 0), tell(5, 5, stored|BadAhead, 5), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := NewBuilder(0, 10, 0)
			if err := errors.Join(b.Add(test.a), b.Add(test.b)); err != nil {
				t.Fatal(err)
			}
			m, err := b.Finish(nil)
			if err != nil {
				t.Fatal(err)
			}
			if merged := m.Len() == 1; merged != test.want {
				t.Fatalf("%d extents", m.Len())
			}
			if m.At(0).Start != 0 || m.At(m.Len()-1).End() != 10 {
				t.Fatal(m.At(0), m.At(m.Len()-1))
			}
		})
	}
}

func TestBound(t *testing.T) {
	b := NewBuilder(100, math.MaxInt64, 0)
	if err := b.Add(tell(100, 50, 0, 0)); err != nil {
		t.Fatal(err)
	}
	for end, want := range map[uint64]error{149: ErrOutside, 0: ErrOutside,
		math.MaxUint64: ErrOutside, math.MaxInt64: nil, 200: nil, 150: nil} {
		c := *b
		if err := c.Bound(end); !errors.Is(err, want) {
			t.Errorf("Bound(%d) = %v, want %v", end, err, want)
		}
	}
	if err := b.Bound(200); err != nil {
		t.Fatal(err)
	}
	if err := b.Bound(201); !errors.Is(err, ErrOutside) {
		t.Errorf("the end went up again: %v", err)
	}
	if _, err := b.Finish(nil); !errors.Is(err, ErrShort) {
		t.Errorf("Finish at 150 of 200: %v", err)
	}
	if err := b.Add(tell(150, 51, 0, 0)); !errors.Is(err, ErrOutside) {
		t.Errorf("Add behind the new end: %v", err)
	}
}

func TestEmptyWindow(t *testing.T) {
	for _, end := range []uint64{7, 0} {
		b := NewBuilder(7, end, 1)
		if err := b.Add(tell(7, 1, 0, 0)); !errors.Is(err, ErrOutside) {
			t.Error(err)
		}
		m, err := b.Finish([]string{"a"})
		if err != nil || m.Len() != 0 || m.Start() != 7 || m.End() != 7 || m.Find(7) != 0 ||
			m.Flags() != 0 || m.Files()[0] != "a" {
			t.Errorf("%+v, %v", m, err)
		}
		if m := NewBuilder(7, end, 1).Cut(nil); m.Len() != 0 || m.Start() != 7 || m.End() != 7 {
			t.Errorf("%+v", m)
		}
	}
}

// TestLimit: what merges costs nothing, and the extent that is still pending counts when the map is
// finished.
func TestLimit(t *testing.T) {
	b := NewBuilder(0, 100, 2)
	add := func(start, n uint64, f Flags) error { return b.Add(tell(start, n, f, 0)) }
	if err := errors.Join(add(0, 10, 0), add(10, 10, 0), add(20, 10, Zero),
		add(30, 10, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Finish(nil); !errors.Is(err, ErrShort) {
		t.Fatal(err)
	}
	if err := add(40, 60, Zero); !errors.Is(err, ErrTooMany) {
		t.Fatal(err)
	}
	if err := add(40, 60, 0); err != nil {
		t.Fatal("what merges is refused:", err)
	}
	if _, err := b.Finish(nil); !errors.Is(err, ErrTooMany) {
		t.Fatal(err)
	}
}

// TestCut: what still grows is lost, the way qemu-img prints a walk that fails.
func TestCut(t *testing.T) {
	b := NewBuilder(10, 100, 0)
	if err := errors.Join(b.Add(tell(10, 5, 0, 0)), b.Add(tell(15, 5, Zero, 0)),
		b.Add(tell(20, 5, Zero, 0))); err != nil {
		t.Fatal(err)
	}
	m := b.Cut([]string{"x"})
	if m.Len() != 1 || m.At(0) != tell(10, 5, 0, 0) || m.Start() != 10 || m.End() != 15 ||
		m.Find(15) != 1 || m.Files()[0] != "x" {
		t.Fatalf("%+v", m)
	}
}
