package raw

import (
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// Walk emits the window as one extent. The part past the end of the device, less than a sector,
// is a hole to the host.
func (m image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	if start < end {
		sink.Emit(end-start, extent.Present|extent.Data|extent.Offset|extent.Holes|extent.Bare,
			start, 0)
	}
	return nil
}
