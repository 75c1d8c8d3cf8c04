package session

import (
	"context"
	"errors"
	"math"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/vmm/bug"
	"instarfs/vmm/ledger"
)

// Transport is how one run reaches its guest. Its methods are called from one goroutine.
type Transport interface {
	// Carrier names what carries the run, for messages: "kvm" or "process".
	Carrier() string
	// Start hands a guest that has seen no image yet its configuration, for which it fills the
	// mirror (Job.Mirror), and the disk that the guest reads from then on.
	Start(c *abi.Config, job *Job, disk *Disk) error
	// Next lets the guest go on, reads the disk for it, and returns when it has records or the
	// result. It calls Meter.Exit each time before the guest goes on, and Meter.Yield when the
	// meter's kick says so. The error is a *GuestError when the guest is to blame.
	Next(m *Meter) (Event, error)
	// Blame makes a GuestError of the place where the guest is.
	Blame(k Kind, format string, args ...any) *GuestError
}

// Event is what a guest has for the host. Its bytes are valid until Transport.Next is called again,
// and the guest must not be able to change them.
type Event struct {
	Records [2][]byte // whole records, abi.RingLen bytes at most, in this order
	Result  []byte    // the encoded result; nil as long as the run goes on
}

// Serve carries out a job on a guest that has seen no image yet. The error is a *fault.Fault when
// the image is to blame, a *GuestError when the guest misbehaved or asked for too much, the
// reader's error when the image could not be read, or the cause of ctx.
func Serve(m *Meter, t Transport, job *Job) (*Layer, error) {
	layer, err := serve(m, t, job)
	var g *GuestError
	switch {
	case err == nil, IsFault(err):
	case m.ctx.Err() != nil:
		// Whatever it looked like to the guest, it was this.
		return nil, context.Cause(m.ctx)
	case errors.As(err, &g):
		g.Carrier = t.Carrier()
	}
	return layer, err
}

// IsFault reports whether an error is the image's own: the guest that found it did what it should.
func IsFault(err error) bool {
	var f *fault.Fault
	return errors.As(err, &f)
}

func serve(m *Meter, t Transport, job *Job) (layer *Layer, err error) {
	c, err := job.config()
	if err != nil {
		return nil, err
	}
	disk := newDisk(m, job, c.SectorSize)
	if err := t.Start(&c, job, disk); err != nil {
		return nil, err
	}
	lease := m.books.Lease()
	if err := lease.Grow(LayerCost); err != nil {
		return nil, err
	}
	in := newIntake(job.Window.Start, m.budget.Extents)
	in.out.Account(lease)
	defer func() {
		_ = in.stop() // an error was returned before, or is of records that no result claims
		if err != nil {
			lease.Free()
		}
	}()
	for {
		e, err := t.Next(m)
		if err != nil {
			if earlier := in.stop(); earlier != nil {
				return nil, in.blame(t, earlier)
			}
			return nil, err
		}
		if over := m.patiently(func() { err = in.take(e) }); over != nil {
			return nil, over
		}
		if err != nil {
			return nil, in.blame(t, err)
		}
		if e.Result != nil {
			if layer, err = in.finish(t, job, disk, e.Result); err != nil {
				return nil, err
			}
			return layer, lease.Grow(layer.texts())
		}
	}
}

// intake is what a run has found so far.
type intake struct {
	decoder
	limit  int     // extents
	behind *behind // decodes what was taken earlier; nil as long as that was nothing
	taken  uint64  // records
}

func newIntake(start uint64, limit int) *intake {
	return &intake{limit: limit,
		decoder: decoder{out: extent.NewBuilder(start, math.MaxInt64, limit)}}
}

// take decodes the records of an event: while the guest goes on, unless it has ended.
func (in *intake) take(e Event) error {
	for _, r := range e.Records {
		in.taken += uint64(len(r) / abi.RecordLen)
	}
	if e.Result == nil {
		if in.behind == nil {
			in.behind = newBehind(&in.decoder)
		}
		if !in.behind.decode(e.Records[0], e.Records[1]) {
			return in.stop()
		}
		return nil
	}
	if err := in.stop(); err != nil {
		return err
	}
	for _, r := range e.Records {
		if err := in.decode(r); err != nil {
			return err
		}
	}
	return nil
}

// stop waits until everything that was taken is decoded. It must be called before an intake is
// dropped.
func (in *intake) stop() error {
	if in.behind == nil {
		return nil
	}
	b := in.behind
	in.behind = nil
	return b.wait()
}

// blame makes of an error of take what the run fails with.
func (in *intake) blame(t Transport, err error) error {
	switch {
	case errors.Is(err, extent.ErrTooMany):
		return Errorf(KindExtents, "more than %d extents", in.limit)
	case errors.Is(err, ledger.ErrFull), errors.As(err, new(*bug.Error)):
		return err // which is not the guest's
	}
	return t.Blame(KindProtocol, "extent %d: %v", in.decoded, err)
}

// finish reads the result and checks it against the extents that came.
func (in *intake) finish(t Transport, job *Job, disk *Disk, result []byte) (*Layer, error) {
	r, err := abi.DecodeResult(result)
	if err != nil {
		return nil, t.Blame(KindProtocol, "%v", err)
	}
	if r.Error != fault.OK {
		return nil, failure(t, disk, r)
	}
	if r.Extents != in.taken || r.VirtualSize > math.MaxInt64 || r.Overhang > r.VirtualSize {
		return nil, t.Blame(KindProtocol, "result of %d extents and %d bytes after %d extents",
			r.Extents, r.VirtualSize, in.taken)
	}
	if in.maxFile > len(r.References) || in.bads > len(r.Faults) {
		return nil, t.Blame(KindProtocol, "extents point to reference %d of %d, fault %d of %d",
			in.maxFile, len(r.References), in.bads, len(r.Faults))
	}
	end := job.Window.Clip(r.VirtualSize).End
	if err := in.out.Bound(end); err != nil {
		return nil, t.Blame(KindProtocol, "extents up to %d of a window that ends at %d",
			in.out.Next(), end)
	}
	layer := &Layer{
		Format: r.Format, VirtualSize: r.VirtualSize, Overhang: r.Overhang,
		Faults: r.Faults, References: r.References,
	}
	if layer.Map, err = in.out.Finish(nil); err != nil {
		return nil, in.blame(t, err)
	}
	return layer, checkReferences(t, layer)
}

// checkReferences checks what a guest says of other files: one backing file at most, which holds no
// extents of this layer.
func checkReferences(t Transport, l *Layer) error {
	backings := 0
	for _, ref := range l.References {
		if ref.Kind == img.Backing {
			backings++
		}
	}
	if backings > 1 {
		return t.Blame(KindProtocol, "%d backing files", backings)
	}
	for _, s := range l.Map.States() {
		if s.File > 0 && l.References[s.File-1].Kind == img.Backing {
			return t.Blame(KindProtocol, "extents in the backing file")
		}
	}
	return nil
}

// failure is the error of a result that says that the run failed: the image's fault, or what the
// host saw when a read of the image failed.
func failure(t Transport, disk *Disk, r *abi.Result) error {
	if len(r.Faults) == 0 || r.Faults[0].Role != abi.RoleRun || r.Faults[0].Class() != r.Error {
		return t.Blame(KindProtocol, "error %d without its fault", r.Error)
	}
	if r.Error == fault.IO && disk.failed != nil {
		return disk.failed
	}
	return r.Faults[0].Fault
}
