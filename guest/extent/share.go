package extent

import "math"

// A map can share the chunks of another one, with a state table of its own: the maps of a hundred
// images over one base cost what these images change, and not the base again.

// Lender is a map whose extents others can share, as they are but for their states.
type Lender struct {
	from *Map
	base int // where the table of the changed states begins in the builder's map
}

// Lend prepares the sharing of extents of m, whose states become change of them. ok is false if
// that cannot be, because neighbours might become one extent, or because m has them from a lender
// itself.
func (b *Builder) Lend(m *Map, change func(State) State) (l Lender, ok bool, err error) {
	states := make([]State, len(m.states))
	seen := make(map[State]bool, len(states))
	for i, s := range m.states {
		c := change(s)
		if seen[c] || contradictory(c) || (c.Flags^s.Flags)&Offset != 0 {
			return Lender{}, false, nil
		}
		states[i], seen[c] = c, true
	}
	if len(b.m.states)+len(states) > math.MaxUint16 {
		return Lender{}, false, nil
	}
	cost := len(states) * stateCost
	for i := range m.chunks {
		if m.chunks[i].shared {
			return Lender{}, false, nil
		}
		cost += chunkCost + len(m.chunks[i].start)*sharedCost
	}
	if err := b.grow(cost); err != nil {
		return Lender{}, false, err
	}
	l = Lender{m, len(b.m.states)}
	b.m.states = append(b.m.states, states...)
	if m.memory != nil {
		b.m.others = append(b.m.others, m.memory)
	}
	return l, true, nil
}

// Share appends the extents [lo, hi) of the lender, the first of which must start at Next. The
// extents before and after them must be neighbours of theirs in the lender's map, or cut off from
// those: nobody looks whether they are one extent with these.
func (b *Builder) Share(l Lender, lo, hi int) error {
	if lo >= hi {
		return nil
	}
	if b.last.Length != 0 {
		if err := b.store(); err != nil {
			return err
		}
	}
	first, last := l.from.At(lo), l.from.At(hi-1)
	switch {
	case first.Start != b.Next():
		return ErrGap
	case last.End() > b.m.end:
		return ErrOutside
	case b.limit > 0 && b.m.n+hi-lo > b.limit:
		return ErrTooMany
	}
	b.flush()
	for at := l.from.chunk(lo); lo < hi; at++ {
		c := l.from.chunks[at]
		from, to := lo-c.first, min(hi-c.first, len(c.start))
		b.m.chunks = append(b.m.chunks, chunk{
			start: c.start[from:to:to], offset: c.offset[from:to:to], state: c.state[from:to:to],
			first: b.m.n, base: l.base, shared: true,
		})
		b.m.n += to - from
		lo += to - from
	}
	b.last = Extent{Start: last.End()}
	return nil
}
