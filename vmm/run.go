package vmm

import (
	"context"
	"errors"
	"fmt"
	"math"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/vmm/bug"
	"instarfs/vmm/ledger"
	"instarfs/vmm/turns"
	"instarfs/vmm/virtio"
)

// Job is one run: one file, seen as one read-only device, and what to map of it.
type Job struct {
	Image     Image  // read at positions inside Size only, from one goroutine
	Size      uint64 // bytes, as of now; below 2^63
	Allocated uint64 // st_blocks*512, bytes

	Format     img.Format // the one that is forced, img.Unknown probes
	SectorSize uint32     // bytes, see abi.SectorSizeValid; 0 is DefaultSectorSize
	Window     img.Window // the part of the disk to map
	DmgName    bool       // the file's name ends in .dmg
	Release    img.Release
}

// Image is the file that a run reads. What is in memory already is handed out by Peek, without a wait: a small image whose
// metadata lies where it usually does is mapped without any exit for reading.
type Image interface {
	// Peek fills p from byte off of the image, or reports that it cannot without waiting. It may have changed p then.
	Peek(p []byte, off int64) bool
	// ReadAt fills p from byte off of the image, as io.ReaderAt does. It returns the cause of ctx as soon as ctx ends,
	// whatever becomes of the read itself, and leaves p alone afterwards.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
}

// DefaultSectorSize is the block size of the device in bytes when the job does not say.
const DefaultSectorSize = 65536

// Layer is what one run found in one file.
type Layer struct {
	// Map covers the window; see package extent for what a layer map may hold. An extent with extent.Bad has the index of
	// its fault in Faults as its offset.
	Map         *extent.Map
	Format      img.Format
	VirtualSize uint64 // bytes
	Overhang    uint64 // bytes, see abi.Result
	Faults      []abi.RoleFault
	References  []img.Reference
}

// run carries out a job on a machine that stands at its snapshot. The machine is fit for a reset only if the error is nil
// or a *fault.Fault, which is the image's own.
func (m *machine) run(
	ctx context.Context, job *Job, budget Budget, turn *turns.Turn, s *seat,
) (layer *Layer, err error) {
	err = m.until(ctx, func(kick func()) (err error) {
		b := newMeter(ctx, budget, turn, s, kick)
		defer b.stop()
		layer, err = m.serve(b, job)
		return err
	})
	if err != nil && ctx.Err() != nil && !isFault(err) {
		// Whatever it looked like to the guest, it was this.
		return nil, context.Cause(ctx)
	}
	return layer, err
}

func isFault(err error) bool {
	var f *fault.Fault
	return errors.As(err, &f)
}

// serve runs the guest until it rings Done, on the machine's thread.
func (m *machine) serve(b *meter, job *Job) (layer *Layer, err error) {
	if err := m.configure(b, job); err != nil {
		return nil, err
	}
	lease := m.books.Lease()
	if err := lease.Grow(layerCost); err != nil {
		return nil, err
	}
	out := extent.NewBuilder(job.Window.Start, math.MaxInt64, b.budget.Extents)
	out.Account(lease)
	s := stream{mem: m.mem, decoder: decoder{out: out}}
	defer func() {
		_ = s.stop() // an error was returned before, or is of records that no result claims
		if err != nil {
			lease.Free()
		}
	}()
	for {
		bell, err := m.enter(b)
		if err != nil {
			return nil, err
		}
		drain := s.drainBehind
		switch bell {
		case abi.BellRing:
		case abi.BellDone:
			drain = s.drain
		default:
			return nil, m.blame(KindProtocol, "doorbell %#x during a run", bell)
		}
		if over := b.patiently(func() { err = drain() }); over != nil {
			return nil, over
		}
		switch {
		case err == nil:
		case errors.Is(err, extent.ErrTooMany):
			return nil, guestError(KindExtents, "more than %d extents", b.budget.Extents)
		case errors.Is(err, ledger.ErrFull), errors.As(err, new(*bug.Error)):
			return nil, err // which is not the guest's
		default:
			return nil, m.blame(KindProtocol, "extent %d: %v", s.decoded, err)
		}
		if bell == abi.BellDone {
			m.large = s.taken > abi.RingRecords
			if layer, err = m.finish(&s, job); err != nil {
				return nil, err
			}
			return layer, lease.Grow(layer.beside())
		}
	}
}

// configure writes the Config and attaches the image.
func (m *machine) configure(b *meter, job *Job) error {
	if job.Size > math.MaxInt64 {
		return fmt.Errorf("image of %d bytes is too large", job.Size)
	}
	c := job.config()
	if err := m.mirror(&c, job); err != nil {
		return err
	}
	at, err := m.mem.Writable(abi.SharedGPA+abi.ConfigOffset, abi.ConfigLen)
	if err != nil {
		return err
	}
	c.Encode(at)
	m.disk.Attach(virtio.Backend{
		Image: reader{b, job.Image}, Size: job.Size,
		BlockSize: c.SectorSize, ReadLimit: b.budget.Read,
	})
	return nil
}

// mirror fills the mirror of the device's start, as far as that costs no more than a copy. A raw image whose format is known
// is not read at all: the guest will not look.
func (m *machine) mirror(c *abi.Config, job *Job) error {
	if job.Format == img.Raw {
		return nil
	}
	length := uint64(c.SectorSize)
	for i := uint64(0); i < abi.MirrorPieces && i*abi.MirrorStride < job.Size; i++ {
		off := i * abi.MirrorStride
		b, err := m.mem.Writable(abi.SharedGPA+abi.MirrorOffset+off, min(length, job.Size-off))
		if err != nil {
			return err
		}
		if job.Image.Peek(b, int64(off)) {
			c.Mirror |= 1 << i
		}
		length = abi.MirrorPieceLen
	}
	return nil
}

func (job *Job) config() abi.Config {
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
	return c
}

// reader is the image of one run as the device reads it. A single notification of the guest may ask
// for many reads, so the run yields between them, and they fail once it must end. What is not in
// memory is read without a turn.
type reader struct {
	*meter
	image Image
}

// ReadAt implements io.ReaderAt.
func (r reader) ReadAt(p []byte, off int64) (n int, err error) {
	if r.left() <= 0 || r.ctx.Err() != nil {
		if err := r.yield(); err != nil {
			return 0, err
		}
	}
	if r.image.Peek(p, off) {
		return len(p), nil
	}
	if over := r.away(func() { n, err = r.image.ReadAt(r.ctx, p, off) }); over != nil {
		return 0, over
	}
	return n, err
}

// finish reads the Result and checks it against the extents that came.
func (m *machine) finish(s *stream, job *Job) (*Layer, error) {
	b, err := m.mem.Readable(abi.SharedGPA+abi.ResultOffset, abi.ResultLen)
	if err != nil {
		return nil, err
	}
	r, err := abi.DecodeResult(b)
	if err != nil {
		return nil, m.blame(KindProtocol, "%v", err)
	}
	if r.Error != fault.OK {
		return nil, m.failure(r)
	}
	if r.Extents != s.taken || r.VirtualSize > math.MaxInt64 || r.Overhang > r.VirtualSize {
		return nil, m.blame(KindProtocol, "result of %d extents and %d bytes after %d extents", r.Extents, r.VirtualSize, s.taken)
	}
	if s.maxFile > len(r.References) || s.bads > len(r.Faults) {
		return nil, m.blame(KindProtocol, "extents point to reference %d of %d, fault %d of %d",
			s.maxFile, len(r.References), s.bads, len(r.Faults))
	}
	end := job.Window.Clip(r.VirtualSize).End
	if err := s.out.Bound(end); err != nil {
		return nil, m.blame(KindProtocol, "extents up to %d of a window that ends at %d", s.out.Next(), end)
	}
	layer := &Layer{Format: r.Format, VirtualSize: r.VirtualSize, Overhang: r.Overhang, Faults: r.Faults, References: r.References}
	switch layer.Map, err = s.out.Finish(nil); {
	case errors.Is(err, extent.ErrTooMany):
		return nil, guestError(KindExtents, "more extents than the budget allows")
	case errors.Is(err, ledger.ErrFull):
		return nil, err
	case err != nil:
		return nil, m.blame(KindProtocol, "%v", err)
	}
	return layer, nil
}

// failure is the error of a result that says that the run failed: the image's fault, or what the host saw when a read of
// the image failed.
func (m *machine) failure(r *abi.Result) error {
	if len(r.Faults) == 0 || r.Faults[0].Role != abi.RoleRun || r.Faults[0].Class() != r.Error {
		return m.blame(KindProtocol, "error %d without its fault", r.Error)
	}
	if cause := m.disk.Failed(); r.Error == fault.IO && cause != nil {
		return cause
	}
	return r.Faults[0].Fault
}
