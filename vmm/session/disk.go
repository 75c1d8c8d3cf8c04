package session

import (
	"errors"
	"fmt"
	"io"

	"instarfs/guest/abi"
)

// ErrReadLimit says that a guest wanted to read more of the image than its run may.
var ErrReadLimit = errors.New("the guest reads more of the image than a run may")

// Disk is the image of one run as the guest's device reads it: whole sectors, bounded, and by
// turns. It is not safe for concurrent use.
type Disk struct {
	meter     *Meter
	image     Image
	size      uint64 // bytes, as of the start of the run; more is never read
	blockSize uint32 // bytes
	read      uint64 // bytes read in this run
	failed    error  // the first read of the image that failed
}

func newDisk(m *Meter, job *Job, blockSize uint32) *Disk {
	return &Disk{meter: m, image: job.Image, size: job.Size, blockSize: blockSize}
}

// BlockSize is the block size that the device tells the guest, bytes.
func (d *Disk) BlockSize() uint32 { return d.blockSize }

// Sectors is the device's size in sectors; the last one may reach past the end of the image, where
// it holds zeroes.
func (d *Disk) Sectors() uint64 {
	n := d.size / abi.SectorLen
	if d.size%abi.SectorLen != 0 {
		n++
	}
	return n
}

// ReadSectors fills buf from the image, for a guest that says what it wants. A request that is not
// whole sectors inside the device, and a read that fails or ends early, is not ok, and the guest
// may go on. The error is ErrReadLimit, or why the run must end.
func (d *Disk) ReadSectors(buf []byte, sector uint64) (ok bool, err error) {
	n := uint64(len(buf))
	if n%abi.SectorLen != 0 || sector > d.Sectors() || n/abi.SectorLen > d.Sectors()-sector {
		return false, nil
	}
	if limit := d.meter.budget.Read; n > limit-min(d.read, limit) {
		return false, fmt.Errorf("%w (%d bytes)", ErrReadLimit, limit)
	}
	if n == 0 {
		return true, nil
	}
	d.read += n
	off := sector * abi.SectorLen
	inside := min(n, d.size-off)
	clear(buf[inside:])
	m, err := d.readAt(buf[:inside], int64(off))
	if uint64(m) == inside {
		return true, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if d.failed == nil {
		d.failed = fmt.Errorf("read of %d bytes at offset %d: %w", inside, off, err)
	}
	return false, nil
}

// readAt reads without a turn what is not in memory. A guest may ask for many reads at once, so the
// run yields between them, and they fail once it must end.
func (d *Disk) readAt(p []byte, off int64) (n int, err error) {
	m := d.meter
	if m.Left() <= 0 || m.ctx.Err() != nil {
		if err := m.Yield(); err != nil {
			return 0, err
		}
	}
	if d.image.Peek(p, off) {
		return len(p), nil
	}
	if over := m.Away(func() { n, err = d.image.ReadAt(m.ctx, p, off) }); over != nil {
		return 0, over
	}
	return n, err
}
