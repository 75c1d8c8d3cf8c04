package qcow2

import (
	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// windowLen is how much of a structure of variable length is in memory at once, bytes.
const windowLen = 64 << 10

// window reads structures whose length is not known beforehand, each from its start to its end.
// To it, the device is a table of bytes. Limit is the device offset at which reading ahead
// stops.
type window struct{ format.Table }

// newWindow returns a window with windowLen bytes of memory of dev.
func newWindow(dev block.Device) (window, *fault.Fault) {
	buf, f := block.Take(dev, windowLen)
	return window{format.Table{Dev: dev, Buf: buf, EntryLen: 1}}, f
}

// seek starts a structure.
func (w *window) seek(limit uint64) {
	w.Table = format.Table{Dev: w.Dev, Buf: w.Buf, EntryLen: 1, Limit: limit}
}

// bytes returns n <= windowLen bytes at device offset off, which may be past the limit. They
// are valid until the next call.
func (w *window) bytes(off uint64, n int) ([]byte, *fault.Fault) {
	b, f := w.From(off, uint64(n))
	if f != nil {
		return nil, f
	}
	return b[:n], nil
}
