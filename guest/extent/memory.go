package extent

// Memory is asked before a builder takes memory, so that it can refuse. The map refers to it as
// long as the map lives.
type Memory interface {
	// Grow makes room for bytes more. Its error ends the building, and is what the builder returns.
	Grow(bytes int) error
}

// Account has m asked for the memory of the map, and for what renderings keep with it, see
// Map.Memo. It must be called before the first extent is added.
func (b *Builder) Account(m Memory) { b.m.memory = m }

// What an extent and a state cost, bytes: their columns, and what renderings keep of them (an index
// of 8 bytes for 256 extents, a few texts for each state).
const (
	extentCost = 18 + 1
	stateCost  = 256
	// What is shared costs headers, and what renderings keep of it.
	chunkCost  = 128
	sharedCost = 1
)

// grow asks for memory.
func (b *Builder) grow(bytes int) error {
	if b.m.memory == nil {
		return nil
	}
	return b.m.memory.Grow(bytes)
}
