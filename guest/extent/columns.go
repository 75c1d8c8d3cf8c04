package extent

// Columns is a run of extents the way a Map stores them, for those who pass over many of them and
// cannot spend a call on each. Nobody may change the slices.
type Columns struct {
	Start, Offset []uint64
	State         []uint16 // indexes of Map.States, from Base on
	Base          int
	End           uint64 // of the last extent
	states        []State
}

// Columns returns the extents from i on, 0 <= i < hi <= Len: at least one, and none from hi on.
func (m *Map) Columns(i, hi int) Columns {
	at := m.chunk(i)
	c := &m.chunks[at]
	from := i - c.first
	to := min(len(c.start), from+hi-i)
	end := m.chunkEnd(at)
	if to < len(c.start) {
		end = c.start[to]
	}
	return Columns{Start: c.start[from:to], Offset: c.offset[from:to], State: c.state[from:to],
		Base: c.base, End: end, states: m.states[c.base:]}
}

// Len is the number of extents.
func (c *Columns) Len() int { return len(c.Start) }

// Flags are those of extent j, 0 <= j < Len.
func (c *Columns) Flags(j int) Flags { return c.states[c.State[j]].Flags }

// Next is the first byte after extent j.
func (c *Columns) Next(j int) uint64 {
	if j+1 < len(c.Start) {
		return c.Start[j+1]
	}
	return c.End
}

// At returns extent j.
func (c *Columns) At(j int) Extent {
	return Extent{Start: c.Start[j], Length: c.Next(j) - c.Start[j], Offset: c.Offset[j],
		State: c.states[c.State[j]]}
}

// States are the different states of the map. Nobody may change them.
func (m *Map) States() []State { return m.states }
