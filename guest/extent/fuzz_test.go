package extent

import "testing"

// byteState is what the model below knows of one byte of the disk.
type byteState struct {
	State
	offset uint64 // of this byte, with Offset; else the extent's
}

// FuzzBuilder adds extents that the input describes, four bytes each, and compares the map with a
// slice that has an entry for every byte: the same state at each byte, extents that tile, are
// maximal, and are found.
func FuzzBuilder(f *testing.F) {
	f.Add([]byte{13, 0, 10, 0, 13, 0, 10, 10, 3, 0, 3, 0}) // two that merge, one that does not
	f.Add([]byte{0, 0, 1, 0, 0, 1, 5, 7, 0, 1, 5, 7, 0, 1, 5, 8, 13, 0, 200, 9})
	f.Add([]byte{13, 0x80, 9, 0, 13, 0x40, 9, 9, 0xff, 0xff, 1, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		const start = 5
		var model []byteState
		b := NewBuilder(start, 1<<40, 0)
		for ; len(in) >= 4; in = in[4:] {
			e := Extent{Start: b.Next(), Length: uint64(in[2]), Offset: uint64(in[3])}
			// The two highest bits are no flags: one is the file, the other makes a gap, which must
			// be refused.
			e.Flags, e.File = Flags(in[0])|Flags(in[1]&0x3f)<<8, uint16(in[1]>>7)
			e.Start += uint64(in[1] >> 6 & 1)
			if b.Add(e) != nil {
				if e.Start == b.Next() && e.Length != 0 && !contradictory(e.State) &&
					(e.Offset == 0 || e.Flags&(Offset|Bad) != 0) {
					t.Fatalf("%+v is refused", e)
				}
				continue
			}
			for i := range e.Length {
				s := byteState{e.State, e.Offset}
				if e.Flags.Has(Offset) {
					s.offset += i
				}
				model = append(model, s)
			}
		}
		if err := b.Bound(start + uint64(len(model))); err != nil {
			t.Fatal(err)
		}
		m, err := b.Finish(nil)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, m, start, model)
	})
}

func compare(t *testing.T, m *Map, start uint64, model []byteState) {
	next := start
	for i := range m.Len() {
		e := m.At(i)
		if e.Start != next || e.Length == 0 {
			t.Fatalf("extent %d is %+v, and the one before ended at %d", i, e, next)
		}
		if i > 0 && m.At(i-1).continues(e) {
			t.Fatalf("extents %d and %d are one", i-1, i)
		}
		for off := e.Start; off < e.End(); off++ {
			want := model[off-start]
			got := byteState{e.State, e.Offset}
			if e.Flags.Has(Offset) {
				got.offset += off - e.Start
			}
			if got != want || m.Find(off) != i {
				t.Fatalf("byte %d is %+v of extent %d, want %+v", off, got, m.Find(off), want)
			}
		}
		next = e.End()
	}
	if next != m.End() || next != start+uint64(len(model)) {
		t.Fatalf("map ends at %d, window at %d, model at %d", next, m.End(), start+
			uint64(len(model)))
	}
}
