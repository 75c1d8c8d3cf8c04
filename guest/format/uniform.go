package format

import (
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
)

// Uniform is an image of which all bytes have one state, without a place. It is what qemu-img
// knows of an image in a format that its driver can read and not map: that there is data.
type Uniform struct {
	Bytes uint64 // the size
	Flags extent.Flags
}

// Unmapped is an image of size bytes in such a format.
func Unmapped(size uint64) Uniform { return Uniform{size, extent.Present | extent.Data} }

// Size is the virtual disk's size in bytes.
func (u Uniform) Size() uint64 { return u.Bytes }

// References is empty.
func (u Uniform) References() []img.Reference { return nil }

// Walk emits the window as one extent.
func (u Uniform) Walk(start, end uint64, sink Sink) *fault.Fault {
	if start < end {
		sink.Emit(end-start, u.Flags, 0, 0)
	}
	return nil
}
