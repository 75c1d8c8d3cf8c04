package session

import (
	"encoding/binary"
	"errors"

	"instarfs/guest/abi"
)

var errRingIndex = errors.New("the ring's index claims more records than the ring holds")

// Ring takes records out of a ring that guest and host share. It must be used while the guest
// stands still.
type Ring struct {
	taken uint64 // records taken in this run
}

// Take returns the records that the guest produced since the last time, where they are: the ring
// may wrap. control is the 8 bytes at abi.RingControl, ring the abi.RingLen bytes at
// abi.RingOffset.
func (r *Ring) Take(control, ring []byte) (records [2][]byte, err error) {
	n := binary.LittleEndian.Uint64(control) - r.taken
	if n > abi.RingRecords {
		return records, errRingIndex
	}
	from := r.taken % abi.RingRecords
	whole := min(n, abi.RingRecords-from)
	r.taken += n
	records[0] = ring[from*abi.RecordLen:][:whole*abi.RecordLen]
	records[1] = ring[:(n-whole)*abi.RecordLen]
	return records, nil
}

// Wrapped reports whether more records were taken than the ring holds.
func (r *Ring) Wrapped() bool { return r.taken > abi.RingRecords }
