// Package extent says what an extent of a virtual disk is, and holds checked, packed, immutable
// sequences of them.
//
// Two kinds of sequence share the same shape. A layer map is what one guest run found in one file:
// its extents may still carry Holes or Bad, File counts the references of that layer (0 is the file
// itself), and Depth is 0. A composed map is the answer for an image: Holes and Bad are resolved,
// Depth counts backing steps from the top image, File indexes Map.Files.
//
// The package is a leaf: both sides of the VM use it, it knows no format, no ABI and no I/O.
package extent

// Flags is the state of an extent, one bit a fact. The names Present, Zero, Data, Compressed and
// Offset are those of the JSON that qemu-img map prints.
type Flags uint16

const (
	// Present: this layer (composed: some layer) decides the content.
	Present Flags = 1 << iota
	// Zero: reads as zeroes.
	Zero
	// Data: bytes are stored. Data and Zero together are preallocated space that the host file
	// keeps as a hole.
	Data
	// Offset: Extent.Offset is a byte offset in File where the extent's bytes stand as they are
	// read.
	Offset
	// Compressed: stored compressed; never together with Offset.
	Compressed
	// Encrypted: stored encrypted; never together with Offset.
	Encrypted
	// Holes, layer maps only, with Data and Offset: where File has a hole the extent reads as
	// zeroes (qemu: RECURSE).
	Holes
	// Bare, layer maps only, with Holes: where File has a hole the extent is not Data either (raw
	// images).
	Bare
	// Bad, layer maps only and alone: the metadata of this extent is corrupt. Extent.Offset is the
	// index of the fault.
	Bad
	// BadAhead, layer maps only: the walk of qemu-img looks from this extent into the Bad one that
	// follows it, so a question that reaches beyond this extent's end fails already at its start.
	BadAhead

	// All is every flag that exists.
	All = BadAhead<<1 - 1
)

// State is all that an extent says beside where it lies.
type State struct {
	Flags Flags
	Depth uint16 // backing steps from the top image; 0 in layer maps
	File  uint16 // index of the file that holds the bytes, when Offset is set; else 0
}

// Extent is a run of bytes of the virtual disk with one state.
type Extent struct {
	Start  uint64 // bytes from the start of the virtual disk
	Length uint64 // bytes, never 0
	// bytes from the start of File, see Flags.Offset; the index of a fault when Bad; else 0
	Offset uint64
	State
}

// End is the first byte after the extent.
func (e Extent) End() uint64 { return e.Start + e.Length }

// Has reports whether all bits of f are set.
func (f Flags) Has(bits Flags) bool { return f&bits == bits }

// continues reports whether next, which starts where e ends, goes on with the same state and
// contiguous host offsets, so that both are one extent (the merge rule of qemu-img map).
func (e Extent) continues(next Extent) bool {
	if e.State != next.State {
		return false
	}
	if e.Flags&Offset != 0 {
		return e.Offset+e.Length == next.Offset
	}
	return e.Offset == next.Offset
}

// Skip cuts n bytes, less than e.Length, from the front of e.
func (e Extent) Skip(n uint64) Extent {
	e.Start += n
	e.Length -= n
	if e.Flags&Offset != 0 {
		e.Offset += n
	}
	return e
}
