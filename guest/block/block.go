// Package block is the device that format code parses: a read-only array of bytes that is read
// in batches. It knows neither virtio nor files.
package block

import "instarfs/guest/fault"

// Limits of qemu.
const (
	// MaxOffset is the highest end of a read, and the size of the largest file and of the largest
	// virtual disk, bytes (BDRV_MAX_LENGTH).
	MaxOffset = 1<<63 - 1<<30
	// MaxRead is the longest read of a file, bytes (BDRV_REQUEST_MAX_BYTES).
	MaxRead = 1<<31 - 512
)

// Request is one read: it fills Buf, which is memory from Device.Buffer or a slice of it, from
// byte Off on.
type Request struct {
	Off uint64 // bytes, any alignment
	Buf []byte
}

// Device is a read-only source of bytes.
type Device interface {
	// Size returns the size of the device in bytes. It need not be a multiple of a sector.
	Size() uint64
	// Read carries out all requests, in one go where the transport can, and returns when every
	// Buf is filled. Bytes at or past Size read as zeroes, as they do for qemu. The fault is
	// DeviceRead at the first byte that could not be read.
	Read(reqs []Request) *fault.Fault
	// Buffer returns n bytes that Read fills without a copy. They stay valid until the end of
	// the run and cannot be returned: a walker takes what it needs once, at its start. Buffer
	// returns nil when no such memory is left.
	Buffer(n int) []byte
}

// Length returns the size of d in bytes as qemu counts it, rounded up to sectors of 512 bytes.
func Length(d Device) uint64 { return (d.Size() + 511) &^ 511 }

// Take returns n bytes of memory from d, or the fault NoMemory.
func Take(d Device, n int) ([]byte, *fault.Fault) {
	if b := d.Buffer(n); b != nil {
		return b, nil
	}
	return nil, fault.New(fault.NoMemory, 0, uint64(n))
}

// ReadOne reads len(buf) bytes at off.
func ReadOne(d Device, buf []byte, off uint64) *fault.Fault {
	return d.Read([]Request{{Off: off, Buf: buf}})
}
