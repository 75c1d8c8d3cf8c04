package extent

import (
	"sort"
	"sync"
)

// chunkLen is the number of extents a chunk holds: small enough that the unused rest of the last
// chunk of a map costs nothing worth counting, large enough that chunk headers do not either.
const chunkLen = 4096

// chunk holds up to chunkLen extents as columns, 18 bytes an extent. Lengths are not stored: an
// extent ends where the next one starts.
type chunk struct {
	start  []uint64
	offset []uint64
	state  []uint16 // index into Map.states, from base on
	first  int      // index of the first extent in the map
	base   int
	shared bool // with another map, whose memory it is
}

// Map is an immutable sequence of extents that tiles the window [Start, End) without gap or
// overlap; neighbours differ. It is safe for use by many goroutines.
type Map struct {
	chunks     []chunk
	states     []State
	n          int
	start, end uint64
	files      []string
	memo       *memo
	memory     Memory // what the map's memory is accounted on, nil for nothing
	// others are what the memory of shared chunks is accounted on.
	others []Memory
}

// memo keeps what others derived from a map, see Map.Memo.
type memo struct {
	mu     sync.Mutex
	values map[any]any
}

// Len is the number of extents.
func (m *Map) Len() int { return m.n }

// Start is the first byte of the window. A map of an empty window keeps the offset that was asked
// for.
func (m *Map) Start() uint64 { return m.start }

// End is the first byte after the window.
func (m *Map) End() uint64 { return m.end }

// Files names the files that State.File counts, as they are shown to people. Nobody may change it.
func (m *Map) Files() []string { return m.files }

// At returns extent i, 0 <= i < Len.
func (m *Map) At(i int) Extent {
	at := m.chunk(i)
	c := &m.chunks[at]
	j := i - c.first
	end := m.chunkEnd(at)
	if j+1 < len(c.start) {
		end = c.start[j+1]
	}
	return Extent{Start: c.start[j], Length: end - c.start[j], Offset: c.offset[j],
		State: m.states[c.base+int(c.state[j])]}
}

// chunk returns the number of the chunk that holds extent i. Most maps share nothing, and all their
// chunks but the last are full.
func (m *Map) chunk(i int) int {
	at := i / chunkLen
	if c := &m.chunks[at]; i-c.first < len(c.start) {
		return at
	}
	return at + sort.Search(len(m.chunks)-at, func(k int) bool {
		return m.chunks[at+k].first > i
	}) - 1
}

// chunkEnd is the first byte after a chunk.
func (m *Map) chunkEnd(at int) uint64 {
	if at+1 < len(m.chunks) {
		return m.chunks[at+1].start[0]
	}
	return m.end
}

// Find returns the index of the extent that holds byte off of the disk, or Len when off is outside
// the window.
func (m *Map) Find(off uint64) int {
	if off < m.start || off >= m.end {
		return m.n
	}
	c := sort.Search(len(m.chunks), func(i int) bool { return m.chunks[i].start[0] > off }) - 1
	s := m.chunks[c].start
	return m.chunks[c].first + sort.Search(len(s), func(i int) bool { return s[i] > off }) - 1
}

// Memo returns what derive made for key the first time, and keeps it as long as the map lives: an
// index of a rendering, say. derive must not use Memo itself, and what it makes must be small
// beside the map: Bytes does not count it, and a Builder accounts for little (see Builder.Account).
func (m *Map) Memo(key any, derive func() any) any {
	m.memo.mu.Lock()
	defer m.memo.mu.Unlock()
	v, ok := m.memo.values[key]
	if !ok {
		v = derive()
		m.memo.values[key] = v
	}
	return v
}
