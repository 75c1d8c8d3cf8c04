package extent

import (
	"errors"
	"math"
)

// The ways in which a sequence can be wrong. All of them mean that whoever made it is not to be trusted.
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

// Builder makes a Map from extents in order. It checks each one, and merges neighbours that are one extent.
// It is for one goroutine; the zero value is not usable.
type Builder struct {
	m       Map
	limit   int
	last    Extent // merged so far, not yet stored; Length 0 when there is none
	scratch chunk
	index   map[State]uint16 // of the states beyond the first fewStates
}

// fewStates is how many states are looked through one by one, which is faster than a map; most maps have no more.
const fewStates = 8

// NewBuilder starts a map of the window [start, end), of at most limit extents. A limit of 0 means none.
func NewBuilder(start, end uint64, limit int) *Builder {
	if end < start {
		end = start
	}
	return &Builder{m: Map{start: start, end: end}, limit: limit, last: Extent{Start: start}, index: map[State]uint16{}}
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
	}
	if err := check(e); err != nil {
		return err
	}
	if b.last.Length != 0 {
		if b.last.continues(e) {
			b.last.Length += e.Length
			return nil
		}
		if err := b.store(); err != nil {
			return err
		}
	}
	b.last = e
	return nil
}

// check finds what is wrong with an extent by itself.
func check(e Extent) error {
	f := e.Flags
	switch {
	case f&^All != 0,
		f&Bad != 0 && f != Bad,
		f&Compressed != 0 && f&(Data|Offset) != Data,
		f&Encrypted != 0 && f&(Data|Offset) != Data,
		f&Data != 0 && f&Present == 0,
		f&Holes != 0 && !f.Has(Data|Offset),
		f&Bare != 0 && f&Holes == 0,
		f&(Offset|Bad) == 0 && e.Offset != 0,
		f&Offset == 0 && e.File != 0:
		return ErrFlags
	case f&Offset != 0 && (e.Offset > math.MaxInt64 || e.Length > math.MaxInt64-e.Offset):
		return ErrOverflow
	}
	return nil
}

// store moves the pending extent into the columns.
func (b *Builder) store() error {
	if b.limit > 0 && b.m.n >= b.limit {
		return ErrTooMany
	}
	i, err := b.stateIndex(b.last.State)
	if err != nil {
		return err
	}
	if len(b.scratch.start) == chunkLen {
		b.flush()
	}
	b.scratch.start = append(b.scratch.start, b.last.Start)
	b.scratch.offset = append(b.scratch.offset, b.last.Offset)
	b.scratch.state = append(b.scratch.state, i)
	b.m.n++
	return nil
}

func (b *Builder) stateIndex(s State) (uint16, error) {
	for i, known := range b.m.states[:min(len(b.m.states), fewStates)] {
		if s == known {
			return uint16(i), nil
		}
	}
	if i, ok := b.index[s]; ok {
		return i, nil
	}
	if len(b.m.states) > math.MaxUint16 {
		return 0, ErrStates
	}
	i := uint16(len(b.m.states))
	b.m.states = append(b.m.states, s)
	if i >= fewStates {
		b.index[s] = i
	}
	return i, nil
}

// flush stores a copy of the scratch chunk, of exactly the size it needs.
func (b *Builder) flush() {
	n := len(b.scratch.start)
	c := chunk{start: make([]uint64, n), offset: make([]uint64, n), state: make([]uint16, n)}
	copy(c.start, b.scratch.start)
	copy(c.offset, b.scratch.offset)
	copy(c.state, b.scratch.state)
	b.m.chunks = append(b.m.chunks, c)
	b.scratch.start, b.scratch.offset, b.scratch.state = b.scratch.start[:0], b.scratch.offset[:0], b.scratch.state[:0]
}

// Finish returns the map of the whole window. files are the names that State.File counts; it may be nil for layer maps.
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

// Cut returns the map of what was added except the pending extent, the way qemu-img prints a walk that fails: what still
// grows when the error strikes is lost. The window of the result ends there.
func (b *Builder) Cut(files []string) *Map {
	b.m.end = b.last.Start
	return b.done(files)
}

func (b *Builder) done(files []string) *Map {
	if len(b.scratch.start) > 0 {
		b.flush()
	}
	b.m.files = files
	m := b.m
	m.memo = &memo{values: map[any]any{}}
	return &m
}
