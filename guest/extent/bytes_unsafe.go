package extent

import "unsafe"

// Bytes is the memory that the map holds on to, in bytes, without what it shares with others.
func (m *Map) Bytes() int {
	n := int(unsafe.Sizeof(*m)) + cap(m.states)*int(unsafe.Sizeof(State{})) +
		cap(m.chunks)*int(unsafe.Sizeof(chunk{}))
	for _, c := range m.chunks {
		if c.shared {
			continue
		}
		n += cap(c.start)*8 + cap(c.offset)*8 + cap(c.state)*2
	}
	for _, f := range m.files {
		n += len(f) + int(unsafe.Sizeof(f))
	}
	return n
}
