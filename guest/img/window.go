package img

import "math"

// Window is the part [Start, End) of a virtual disk, bytes. A window may reach past the end of the
// disk, or lie past it.
type Window struct{ Start, End uint64 }

// Whole is the window that holds every disk.
var Whole = Window{End: math.MaxInt64}

// Clip returns the part of w that lies in a disk of size bytes. Its Start is always that of w; it
// is empty if that is at or past the end.
func (w Window) Clip(size uint64) Window {
	return Window{w.Start, max(w.Start, min(w.End, size))}
}

// Empty reports whether w has no byte.
func (w Window) Empty() bool { return w.Start >= w.End }

// Len is how many bytes w has.
func (w Window) Len() uint64 { return w.End - min(w.Start, w.End) }
