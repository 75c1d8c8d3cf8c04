package session

import (
	"context"
	"fmt"
	"math"

	"instarfs/guest/abi"
	"instarfs/guest/img"
)

// Job is one run: one file, seen as one read-only device, and what to map of it.
type Job struct {
	Image     Image  // read at positions inside Size only, from one goroutine
	Size      uint64 // bytes, as of now; below 2^63
	Allocated uint64 // st_blocks*512, bytes

	Format     img.Format // the one that is forced; img.Unknown probes
	SectorSize uint32     // bytes, see abi.SectorSizeValid; 0 is DefaultSectorSize
	Window     img.Window // the part of the disk to map
	DmgName    bool       // the file's name ends in .dmg
	Release    img.Release
}

// Image is the file that a run reads. What is in memory already is handed out by Peek, without a
// wait: a small image whose metadata lies where it usually does is mapped without any exit for
// reading.
type Image interface {
	// Peek fills p from byte off of the image, or reports that it cannot without waiting. It may
	// have changed p then.
	Peek(p []byte, off int64) bool
	// ReadAt fills p from byte off of the image, as io.ReaderAt does. It returns the cause of ctx
	// as soon as ctx ends, whatever becomes of the read itself, and leaves p alone afterwards.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
}

// DefaultSectorSize is the block size of the device in bytes when the job does not say.
const DefaultSectorSize = 65536

// config is what the guest is told of the job. The mirror is still empty.
func (job *Job) config() (abi.Config, error) {
	if job.Size > math.MaxInt64 {
		return abi.Config{}, fmt.Errorf("image of %d bytes is too large", job.Size)
	}
	c := abi.Config{
		SectorSize: job.SectorSize, Window: job.Window, Format: job.Format,
		DeviceSize: job.Size, Allocated: job.Allocated, Release: job.Release,
	}
	if c.SectorSize == 0 {
		c.SectorSize = DefaultSectorSize
	}
	if job.DmgName {
		c.Flags |= abi.FlagDmgName
	}
	return c, nil
}

// Mirror fills the mirror of the device's start, as far as that costs no more than a copy, and
// notes in c which pieces there are. place returns the memory for the n bytes of the mirror at off.
// A raw image whose format is known is not read at all: the guest will not look.
func (job *Job) Mirror(c *abi.Config, place func(off, n uint64) ([]byte, error)) error {
	if job.Format == img.Raw {
		return nil
	}
	for i := range uint64(abi.MirrorPieces) {
		off := i * abi.MirrorStride
		if off >= job.Size {
			return nil
		}
		b, err := place(off, min(c.MirrorPiece(i), job.Size-off))
		if err != nil {
			return err
		}
		if job.Image.Peek(b, int64(off)) {
			c.Mirror |= 1 << i
		}
	}
	return nil
}
