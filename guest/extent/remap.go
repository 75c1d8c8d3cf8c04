package extent

// Remap returns the same extents with every state replaced by change of it, sharing all else with
// m: its cost does not depend on the number of extents. ok is false, and nothing is returned, when
// two states would become one, for then neighbours might be one extent.
func (m *Map) Remap(files []string, change func(State) State) (r *Map, ok bool) {
	states := make([]State, len(m.states))
	seen := make(map[State]bool, len(states))
	for i, s := range m.states {
		states[i] = change(s)
		if seen[states[i]] {
			return nil, false
		}
		seen[states[i]] = true
	}
	c := *m
	c.states, c.files, c.memo = states, files, &memo{values: map[any]any{}}
	return &c, true
}

// Flags is the union of the flags of all extents.
func (m *Map) Flags() (f Flags) {
	for _, s := range m.states {
		f |= s.Flags
	}
	return f
}
