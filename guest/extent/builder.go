package extent

import (
	"errors"
	"math"
)

// The ways in which a sequence can be wrong. All of them mean that whoever made it is not to be
// trusted.
var (
	ErrGap      = errors.New("extent does not start where the one before it ended")
	ErrEmpty    = errors.New("extent of length 0")
	ErrOutside  = errors.New("extent reaches beyond the window")
	ErrOverflow = errors.New("extent's host range wraps around 2^63")
	ErrFlags    = errors.New("flags that contradict each other")
	ErrShort    = errors.New("extents end before the window does")
	ErrTooMany  = errors.New("more extents than the budget allows")
	ErrStates   = errors.New("more different states than a map can hold")
)

// Builder makes a Map from extents in order. It checks each one, and merges neighbours that are one
// extent. It is for one goroutine; the zero value is not usable.
type Builder struct {
	m       Map
	limit   int
	last    Extent // merged so far, not yet stored; Length 0 when there is none
	lastIdx uint16 // index of last's state
	// A map mostly alternates between two states: the one before last's is tried first.
	other    State
	otherIdx uint16
	scratch  chunk // of chunkLen extents, the first used of which are stored
	used     int
	index    map[State]uint16
}

// NewBuilder starts a map of the window [start, end), of at most limit extents. A limit of 0 means
// none.
func NewBuilder(start, end uint64, limit int) *Builder {
	if end < start {
		end = start
	}
	return &Builder{m: Map{start: start, end: end}, limit: limit, last: Extent{Start: start},
		index: map[State]uint16{}}
}

// Next is the first byte that no extent covers yet.
func (b *Builder) Next() uint64 { return b.last.End() }

// Bound lowers the end of the window to what has become known since NewBuilder.
func (b *Builder) Bound(end uint64) error {
	if end < b.Next() || end > b.m.end {
		return ErrOutside
	}
	b.m.end = end
	return nil
}

// Add appends an extent, which must start at Next.
func (b *Builder) Add(e Extent) error {
	switch {
	case e.Length == 0:
		return ErrEmpty
	case e.Start != b.last.End():
		return ErrGap
	case e.Length > b.m.end-e.Start:
		return ErrOutside
	case e.Flags&Offset != 0 && (e.Offset > math.MaxInt64 || e.Length > math.MaxInt64-e.Offset):
		return ErrOverflow
	case e.Flags&(Offset|Bad) == 0 && e.Offset != 0:
		return ErrFlags
	}
	if b.last.Length == 0 {
		i, err := b.stateIndex(e.State)
		if err != nil {
			return err
		}
		b.last, b.lastIdx, b.other, b.otherIdx = e, i, e.State, i
		return nil
	}
	if b.last.continues(e) {
		b.last.Length += e.Length
		return nil
	}
	i := b.otherIdx
	if e.State != b.other {
		var err error
		if i, err = b.stateIndex(e.State); err != nil {
			return err
		}
	}
	if err := b.store(); err != nil {
		return err
	}
	b.other, b.otherIdx = b.last.State, b.lastIdx
	b.last, b.lastIdx = e, i
	return nil
}

// stateIndex returns the number of a state, which is checked when it is seen first.
func (b *Builder) stateIndex(s State) (uint16, error) {
	if i, ok := b.index[s]; ok {
		return i, nil
	}
	if contradictory(s) {
		return 0, ErrFlags
	}
	if len(b.m.states) > math.MaxUint16 {
		return 0, ErrStates
	}
	if err := b.grow(stateCost); err != nil {
		return 0, err
	}
	i := uint16(len(b.m.states))
	b.m.states = append(b.m.states, s)
	b.index[s] = i
	return i, nil
}

// contradictory reports whether a state cannot be.
func contradictory(s State) bool {
	f := s.Flags
	return f&^All != 0 ||
		f&Bad != 0 && f != Bad ||
		f&Compressed != 0 && f&(Data|Offset) != Data ||
		f&Encrypted != 0 && f&(Data|Offset) != Data ||
		f&Data != 0 && f&Present == 0 ||
		f&Holes != 0 && !f.Has(Data|Offset) ||
		f&Bare != 0 && f&Holes == 0 ||
		f&Offset == 0 && s.File != 0
}

// store moves the pending extent into the columns.
func (b *Builder) store() error {
	if b.limit > 0 && b.m.n >= b.limit {
		return ErrTooMany
	}
	if b.used == len(b.scratch.start) {
		if err := b.room(); err != nil {
			return err
		}
	}
	b.scratch.start[b.used] = b.last.Start
	b.scratch.offset[b.used] = b.last.Offset
	b.scratch.state[b.used] = b.lastIdx
	b.used++
	b.m.n++
	return nil
}

// room makes the scratch chunk take at least one more: most maps are small, so it starts small.
func (b *Builder) room() error {
	if b.used == chunkLen {
		b.flush()
	}
	n := min(max(64, 8*b.used), chunkLen)
	if err := b.grow((n - b.used) * extentCost); err != nil {
		return err
	}
	b.scratch = b.scratch.resize(n, b.used)
	return nil
}

// resize returns a chunk of length n with the first used extents of c.
func (c chunk) resize(n, used int) chunk {
	r := chunk{start: make([]uint64, n), offset: make([]uint64, n), state: make([]uint16, n)}
	copy(r.start, c.start[:used])
	copy(r.offset, c.offset[:used])
	copy(r.state, c.state[:used])
	return r
}

// flush hands the scratch chunk over to the map: as it is when it is full, else in a copy of just
// the size it needs.
func (b *Builder) flush() {
	c := b.scratch
	if b.used < len(c.start) {
		c = c.resize(b.used, b.used)
	}
	if b.used > 0 {
		c.first = b.m.n - b.used
		b.m.chunks = append(b.m.chunks, c)
	}
	b.scratch, b.used = chunk{}, 0
}

// Finish returns the map of the whole window. files are the names that State.File counts; it may be
// nil for layer maps.
func (b *Builder) Finish(files []string) (*Map, error) {
	if b.Next() != b.m.end {
		return nil, ErrShort
	}
	if b.last.Length != 0 {
		if err := b.store(); err != nil {
			return nil, err
		}
	}
	return b.done(files), nil
}

// Cut returns the map of what was added except the pending extent, the way qemu-img prints a walk
// that fails: what still grows when the error strikes is lost. The window of the result ends there.
func (b *Builder) Cut(files []string) *Map {
	b.m.end = b.last.Start
	return b.done(files)
}

func (b *Builder) done(files []string) *Map {
	b.flush()
	b.m.files = files
	m := b.m
	m.memo = &memo{values: map[any]any{}}
	return &m
}
