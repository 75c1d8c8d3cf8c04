package extent

import "testing"

func TestColumnsAreTheExtents(t *testing.T) {
	const n = 2*chunkLen + 7
	b := NewBuilder(5, 5+3*n, 0)
	for i := range uint64(n) {
		e := Extent{Start: 5 + 3*i, Length: 3, State: State{Flags: Zero, Depth: uint16(i % 3)}}
		if i%2 == 0 {
			e.Flags, e.Offset = Present|Data|Offset, 100*i
		}
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	m, err := b.Finish(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []int{1, 256, chunkLen, n} {
		for lo := 0; lo < n; {
			hi := min(lo+step, n)
			c := m.Columns(lo, hi)
			if c.Len() == 0 || c.Len() > hi-lo {
				t.Fatalf("columns of [%d, %d): %d extents", lo, hi, c.Len())
			}
			for j := range c.Len() {
				if e := m.At(lo + j); c.At(j) != e || c.Flags(j) != e.Flags ||
					m.States()[c.State[j]] != e.State {
					t.Fatalf("extent %d: %+v, want %+v", lo+j, c.At(j), e)
				}
			}
			lo += c.Len()
		}
	}
}
