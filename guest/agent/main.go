// Command agent is the map guest: the program that parses one image inside the VM. It runs at CPL3 on a bare processor:
// no kernel, no files, no clock. It sees one read-only block device and one window of shared memory, described in package
// abi, and learns nothing of the image's name. The host wipes it after every run.
package main

import (
	"runtime"

	"instarfs/guest/abi"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/all"
)

func main() {
	shared := sharedWindow()
	d := newDisk(shared)
	if !d.initialise() {
		panic("the block device does not answer as virtio 1.2 wants it to")
	}
	growHeap()
	bell(abi.BellReady)
	// The host's snapshot was taken inside bell. Every run begins here.
	s := newSink(shared)
	r := run(shared, d, s)
	r.Extents = s.flush()
	if err := r.Encode(shared[abi.ResultOffset:][:abi.ResultLen]); err != nil {
		r = failure(fault.New(fault.TooManyReferences, 0, abi.MaxReferences))
		if r.Encode(shared[abi.ResultOffset:][:abi.ResultLen]) != nil {
			panic("a result without references does not fit")
		}
	}
	bell(abi.BellDone)
	panic("the host went on behind the end of a run")
}

// growHeap makes the runtime ask for memory now rather than during a run: a run that maps memory changes the page tables, and
// its machine cannot be reset. What is grown here is untouched, and costs nothing until it is used.
func growHeap() {
	const enough = 16 << 20
	keep := make([]byte, enough)
	runtime.KeepAlive(keep)
	runtime.GC() // the block is free again, its memory stays
}

// bell rings a doorbell: the host does its work before this returns.
func bell(b uintptr) { store32(abi.DoorbellVA+b, 1) }

// run maps the image as the configuration says.
func run(shared []byte, d *disk, s *sink) abi.Result {
	c, err := abi.DecodeConfig(shared[abi.ConfigOffset:][:abi.ConfigLen])
	if err != nil {
		return failure(fault.New(fault.BadConfig, 0))
	}
	if f := d.attach(&c); f != nil {
		return failure(f)
	}
	driver, f := all.Choose(c.Format, d, c.Flags&abi.FlagDmgName != 0)
	if f != nil {
		return failure(f)
	}
	p := &format.Params{Dev: d, Allocated: c.Allocated, Release: c.Release}
	image, f := driver.Open(p)
	for _, w := range p.Warnings {
		s.Warn(w)
	}
	if f != nil {
		r := failure(f)
		r.Format = driver.Format
		r.Faults = append(r.Faults, s.faults...)
		return r
	}
	if p.Refuse != nil {
		s.faults = append(s.faults, abi.RoleFault{Role: abi.RoleRefuse, Fault: p.Refuse})
	}
	w := c.Window.Clip(image.Size())
	s.next = w.Start
	if !w.Empty() {
		if f := image.Walk(w.Start, w.End, s); f != nil {
			return failure(f)
		}
	}
	r := abi.Result{Format: driver.Format, VirtualSize: image.Size(), Faults: s.faults}
	if o, ok := image.(format.Overhanging); ok {
		r.Overhang = o.Overhang()
	}
	r.References = image.References()
	return r
}

// failure is the result of a run that ends with a fault.
func failure(f *fault.Fault) abi.Result {
	return abi.Result{Error: f.Class(), Faults: []abi.RoleFault{{Role: abi.RoleRun, Fault: f}}}
}
