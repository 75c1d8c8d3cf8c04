package raw

import (
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// Walk emits the window as one extent. Its part behind the device's end, less than a sector, is
// a hole to the host.
func (m image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	if start < end {
		sink.Emit(end-start, extent.Present|extent.Data|extent.Offset|extent.Holes|extent.Bare, start, 0)
	}
	return nil
}
