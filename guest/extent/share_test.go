package extent

import (
	"errors"
	"testing"
)

// deeper is a state one layer further down.
func deeper(s State) State {
	s.Depth++
	return s
}

// zebra returns a map of n extents of one byte each, of two states in turn.
func zebra(t *testing.T, n int, m Memory) *Map {
	t.Helper()
	b := NewBuilder(0, uint64(n), 0)
	b.Account(m)
	for i := range uint64(n) {
		e := Extent{Start: i, Length: 1, State: State{Flags: Present | Zero}}
		if i%2 == 0 {
			e.Flags, e.Offset = Present|Data|Offset, 7*i
		}
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	made, err := b.Finish(nil)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// counter counts the bytes that a map takes.
type counter struct{ bytes int }

func (c *counter) Grow(n int) error {
	c.bytes += n
	return nil
}

// TestShare: extents between others are shared, and paid by the lender.
func TestShare(t *testing.T) {
	const n = 3*chunkLen + 100
	var paid, own counter
	base := zebra(t, n, &paid)
	b := NewBuilder(0, n+1, 0)
	b.Account(&own)
	l, ok, err := b.Lend(base, deeper)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	first := Extent{Length: 10, State: State{Flags: Present | Data}}
	if err := errors.Join(b.Add(first), b.Share(l, base.Find(10), base.Find(n-1))); err != nil {
		t.Fatal(err)
	}
	for i := uint64(n - 1); i <= n; i++ {
		e := Extent{Start: i, Length: 1, State: State{Flags: Present, Depth: uint16(i - n + 1)}}
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	m, err := b.Finish(nil)
	if err != nil || m.Len() != 1+n-1-10+2 {
		t.Fatal(m.Len(), err)
	}
	for off := uint64(0); off <= n; off++ {
		want := Extent{Start: off, Length: 1, State: State{Flags: Present | Zero, Depth: 1}}
		switch {
		case off < 10:
			want = first
		case off >= n-1:
			want.State = State{Flags: Present, Depth: uint16(off - n + 1)}
		case off%2 == 0:
			want.Flags, want.Offset = Present|Data|Offset, 7*off
		}
		if e := m.At(m.Find(off)); e != want {
			t.Fatalf("byte %d is %+v, want %+v", off, e, want)
		}
		c := m.Columns(m.Find(off), m.Len())
		if c.At(0) != want || m.States()[c.Base+int(c.State[0])] != want.State {
			t.Fatalf("columns from byte %d are %+v, want %+v", off, c.At(0), want)
		}
	}
	if own.bytes > paid.bytes/5 || m.Bytes() > base.Bytes()/20 {
		t.Errorf("%d bytes are booked, the map has %d", own.bytes, m.Bytes())
	}
	if len(m.others) != 1 || m.others[0] != Memory(&paid) {
		t.Errorf("what is shared is not held: %v", m.others)
	}
	if _, ok, err := NewBuilder(0, n+1, 0).Lend(m, deeper); ok || err != nil {
		t.Error("a map lends what is not its own:", err)
	}
}

// TestShareRefuses: what would not tile the window, or could merge.
func TestShareRefuses(t *testing.T) {
	base := zebra(t, 1000, nil)
	b := NewBuilder(0, 500, 300)
	for name, change := range map[string]func(State) State{
		"two states become one":  func(State) State { return State{Flags: Present | Zero} },
		"a state cannot be":      func(s State) State { s.Flags |= Bad; return s },
		"an offset is forgotten": func(s State) State { s.Flags &^= Offset; return s },
	} {
		if _, ok, err := b.Lend(base, change); ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	l, ok, err := b.Lend(base, deeper)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, test := range []struct {
		lo, hi int
		want   error
	}{{1, 10, ErrGap}, {0, 501, ErrOutside}, {0, 301, ErrTooMany}, {5, 5, nil}, {0, 300, nil}} {
		if err := b.Share(l, test.lo, test.hi); !errors.Is(err, test.want) {
			t.Errorf("[%d, %d): %v, want %v", test.lo, test.hi, err, test.want)
		}
	}
	if b.Next() != 300 {
		t.Error(b.Next())
	}
}
