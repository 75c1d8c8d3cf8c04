// Package vmmtest lets tests map images without KVM: the code that runs in the guest runs in the process of the test. What the
// walkers find is compared with qemu-img a thousand times faster that way. That a guest finds the same is for other tests.
package vmmtest

import (
	"context"
	"math"

	"instarfs/guest/abi"
	"instarfs/guest/format"
	"instarfs/guest/format/all"
	"instarfs/guest/format/formattest"
	"instarfs/vmm"
)

// Walker carries out runs in place of a vmm.Pool.
type Walker struct{}

// Run is what a guest does with a job.
func (Walker) Run(ctx context.Context, job *vmm.Job) (*vmm.Layer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dev := formattest.NewDevice(reader{ctx, job.Image}, job.Size)
	driver, f := all.Choose(job.Format, dev, job.DmgName)
	if f != nil {
		return nil, f
	}
	found, f, err := formattest.Run(driver, &format.Params{Dev: dev, Allocated: job.Allocated, Release: job.Release}, job.Window)
	switch {
	case err != nil:
		return nil, err
	case f != nil:
		return nil, f
	}
	l := &vmm.Layer{Map: found.Map, Format: driver.Format, VirtualSize: found.Size, Overhang: found.Overhang, References: found.References}
	for _, f := range found.Faults {
		l.Faults = append(l.Faults, abi.RoleFault{Role: abi.RoleBad, Fault: f})
	}
	for _, f := range found.Warnings {
		l.Faults = append(l.Faults, abi.RoleFault{Role: abi.RoleWarn, Fault: f})
	}
	if found.Refuse != nil {
		l.Faults = append(l.Faults, abi.RoleFault{Role: abi.RoleRefuse, Fault: found.Refuse})
	}
	if found.Size > math.MaxInt64 {
		panic("a disk larger than the host accepts")
	}
	return l, nil
}

// reader is an image in the terms of package io.
type reader struct {
	ctx   context.Context
	image vmm.Image
}

func (r reader) ReadAt(p []byte, off int64) (int, error) { return r.image.ReadAt(r.ctx, p, off) }
