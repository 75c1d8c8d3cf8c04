// Package run is what a guest does with a job, whatever carries it: it reads the image by a device,
// finds its format, walks it, and hands over extents and a result. A carrier gives it a Port. The
// package runs in the guest; tests run it on the host as it is.
package run

import (
	"instarfs/guest/abi"
	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/all"
)

// Port is how a guest reaches its host. The host does its part before a method returns.
type Port interface {
	// Mirror is abi.MirrorLen bytes, which show the start of the device as far as Config.Mirror
	// says. Each piece stands at its own offset.
	Mirror() []byte
	// Buffers is the memory that Device.Buffer hands out.
	Buffers() []byte
	// Reaches reports whether the host can read into b.
	Reaches(b []byte) bool
	// Read fills the buffers of at most abi.MaxRequests reads. It returns how many of them
	// succeeded before the first that did not.
	Read(batch []Read) int
	// Ring is the memory for records, abi.RingLen bytes.
	Ring() []byte
	// Full hands over the ring, which is full of records for the produced/abi.RingRecords-th time.
	Full(produced uint64)
}

// Read is a request for whole sectors of the device.
type Read struct {
	Sector uint64
	Buf    []byte // whole sectors; see Port.Reaches
}

// Job carries out the job that an encoded configuration describes, and encodes its result to the
// start of page, which has abi.ResultLen bytes. It returns how many bytes of page the result took;
// Result.Extents of the records are in the ring or were handed over.
func Job(config []byte, p Port, page []byte) (produced uint64, length int) {
	out := newSink(p)
	r := job(config, p, out)
	r.Extents = out.produced
	n, err := r.Encode(page)
	if err != nil {
		// What an image names has no bound but this one.
		r = failure(fault.New(fault.TooManyReferences, 0, abi.MaxReferences))
		r.Extents = out.produced
		if n, err = r.Encode(page); err != nil {
			panic("a result without references does not fit")
		}
	}
	return out.produced, n
}

func job(config []byte, p Port, out *sink) abi.Result {
	c, err := abi.DecodeConfig(config)
	if err != nil {
		return failure(fault.New(fault.BadConfig, 0))
	}
	dev, f := newDisk(p, &c)
	if f != nil {
		return failure(f)
	}
	return mapImage(&c, dev, out)
}

// mapImage maps the image on a device as the configuration says.
func mapImage(c *abi.Config, dev block.Device, out *sink) abi.Result {
	driver, f := all.Choose(c.Format, dev, c.Flags&abi.FlagDmgName != 0)
	if f != nil {
		return failure(f)
	}
	p := &format.Params{Dev: dev, Allocated: c.Allocated, Release: c.Release}
	image, f := driver.Open(p)
	for _, w := range p.Warnings {
		out.Warn(w)
	}
	if f != nil {
		r := failure(f)
		r.Format = driver.Format
		r.Faults = append(r.Faults, out.faults...)
		return r
	}
	if p.Refuse != nil {
		out.faults = append(out.faults, abi.RoleFault{Role: abi.RoleRefuse, Fault: p.Refuse})
	}
	w := c.Window.Clip(image.Size())
	out.next = w.Start
	if !w.Empty() {
		if f := image.Walk(w.Start, w.End, out); f != nil {
			return failure(f)
		}
	}
	r := abi.Result{
		Format: driver.Format, VirtualSize: image.Size(), Faults: out.faults,
		References: image.References(),
	}
	if o, ok := image.(format.Overhanging); ok {
		r.Overhang = o.Overhang()
	}
	return r
}

// failure is the result of a run that ends with a fault.
func failure(f *fault.Fault) abi.Result {
	return abi.Result{Error: f.Class(), Faults: []abi.RoleFault{{Role: abi.RoleRun, Fault: f}}}
}
