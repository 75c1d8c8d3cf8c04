package extent

import (
	"errors"
	"testing"
)

var errNoRoom = errors.New("no room")

// memory is so many bytes.
type memory struct{ left int }

func (m *memory) Grow(n int) error {
	if n > m.left {
		return errNoRoom
	}
	m.left -= n
	return nil
}

// alternating adds n extents of two states that do not merge.
func alternating(b *Builder, n int) error {
	for i := range uint64(n) {
		e := Extent{Start: i, Length: 1}
		if i%2 == 0 {
			e.Flags = Present | Zero
		}
		if err := b.Add(e); err != nil {
			return err
		}
	}
	return nil
}

// TestAccount: a builder asks before it takes, for no less than the map then has, and a refusal
// ends it.
func TestAccount(t *testing.T) {
	for _, n := range []int{1, 2, 64, 65, 4096, 4097, 100_000} {
		b, m := NewBuilder(0, uint64(n), 0), &memory{1 << 30}
		b.Account(m)
		if err := alternating(b, n); err != nil {
			t.Fatal(err)
		}
		made, err := b.Finish(nil)
		if err != nil {
			t.Fatal(err)
		}
		asked := 1<<30 - m.left
		// The header of a map is what its maker accounts for.
		if columns := 18 * n; asked < columns || asked > 8*extentCost*max(n, 64)+2*stateCost {
			t.Errorf("%d extents: asked for %d bytes, has %d", n, asked, made.Bytes())
		}
		b = NewBuilder(0, uint64(n), 0)
		b.Account(&memory{asked - 1})
		err = alternating(b, n)
		if err == nil {
			_, err = b.Finish(nil)
		}
		if !errors.Is(err, errNoRoom) {
			t.Errorf("%d extents in a byte too little: %v", n, err)
		}
	}
}

// TestMapKeepsItsMemory: maps that share columns share what these are accounted on.
func TestMapKeepsItsMemory(t *testing.T) {
	b, m := NewBuilder(0, 10, 0), &memory{1 << 20}
	b.Account(m)
	if err := alternating(b, 10); err != nil {
		t.Fatal(err)
	}
	made, err := b.Finish(nil)
	if err != nil {
		t.Fatal(err)
	}
	again, ok := made.Remap([]string{"x"}, func(s State) State { return s })
	if !ok || made.memory != m || again.memory != m {
		t.Error(ok, made.memory, again.memory)
	}
}
