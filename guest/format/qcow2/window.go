package qcow2

import (
	"instarfs/guest/block"
	"instarfs/guest/fault"
)

// windowLen is how much of a variable-length structure is in memory at once, in bytes.
const windowLen = 64 << 10

// window reads a structure whose length is not known beforehand, from its start to its end, each byte at most once. The
// zero value, given a device and memory, is ready.
type window struct {
	dev   block.Device
	buf   []byte // all its memory, windowLen bytes
	off   uint64 // device offset of buf[0]
	have  int    // bytes of buf that hold the device's
	limit uint64 // do not read ahead past this device offset
}

// seek starts a new structure. Reading ahead stops at limit; asking beyond it is allowed.
func (w *window) seek(off, limit uint64) { w.off, w.have, w.limit = off, 0, limit }

// bytes returns n <= windowLen bytes of the device at off, which must not be before an earlier off of the same structure.
// They are valid until the next call.
func (w *window) bytes(off uint64, n int) ([]byte, *fault.Fault) {
	if off >= w.off+uint64(w.have) {
		w.off, w.have = off, 0
	}
	at := int(off - w.off)
	if at+n > w.have {
		copy(w.buf, w.buf[at:w.have])
		w.off, w.have, at = off, w.have-at, 0
		next := w.off + uint64(w.have)
		more := n - w.have
		if next < w.limit {
			more = max(more, int(min(w.limit-next, uint64(len(w.buf)-w.have))))
		}
		if f := block.ReadOne(w.dev, w.buf[w.have:w.have+more], next); f != nil {
			return nil, f
		}
		w.have += more
	}
	return w.buf[at : at+n], nil
}
