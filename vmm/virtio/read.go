package virtio

import (
	"errors"
	"fmt"
	"io"

	"instarfs/guest/abi"
)

// ErrReadLimit says that a guest wanted to read more of the image than its run may.
var ErrReadLimit = errors.New("the guest reads more of the image than a run may")

// readSectors fills buf from the image. A request that is not whole sectors inside the device, and a read that fails or
// ends early, is an error status for the driver. Only the part of the last sector that lies beyond the image is zeroes.
func (d *Block) readSectors(buf []byte, sector uint64) (status byte, err error) {
	n := uint64(len(buf))
	if n%abi.SectorLen != 0 || sector > d.capacity() || n/abi.SectorLen > d.capacity()-sector {
		return abi.BlkStatusIOErr, nil
	}
	if n > d.backend.ReadLimit-min(d.read, d.backend.ReadLimit) {
		return 0, fmt.Errorf("%w (%d bytes)", ErrReadLimit, d.backend.ReadLimit)
	}
	if n == 0 {
		return abi.BlkStatusOK, nil // the only read that a device without an image can be asked for
	}
	d.read += n
	off := sector * abi.SectorLen
	inside := min(n, d.backend.Size-off)
	clear(buf[inside:])
	m, err := d.backend.Image.ReadAt(buf[:inside], int64(off))
	if uint64(m) == inside {
		return abi.BlkStatusOK, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if d.failed == nil {
		d.failed = fmt.Errorf("read of %d bytes at offset %d: %w", inside, off, err)
	}
	return abi.BlkStatusIOErr, nil
}
