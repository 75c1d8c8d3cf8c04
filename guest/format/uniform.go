package format

import (
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
)

// Uniform is an image whose bytes all have one state, without offsets. It is all that qemu-img
// shows of an image whose driver can read it but not map it: data.
type Uniform struct {
	Bytes uint64 // the size of the virtual disk
	Flags extent.Flags
}

// Unmapped returns an image of size bytes whose driver in qemu does not map it.
func Unmapped(size uint64) Uniform { return Uniform{size, extent.Present | extent.Data} }

// Size returns the size of the virtual disk in bytes.
func (u Uniform) Size() uint64 { return u.Bytes }

// References returns nil.
func (u Uniform) References() []img.Reference { return nil }

// Walk emits the window as one extent.
func (u Uniform) Walk(start, end uint64, sink Sink) *fault.Fault {
	if start < end {
		sink.Emit(end-start, u.Flags, 0, 0)
	}
	return nil
}
