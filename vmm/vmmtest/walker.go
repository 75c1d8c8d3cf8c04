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
	driver, f := all.Choose(format.ID(job.Format), dev, job.DmgName)
	if f != nil {
		return nil, f
	}
	c := abi.Config{Start: job.Start, MaxLength: job.MaxLength}
	if job.Empty {
		c.Flags = abi.FlagEmptyWindow
	}
	found, f, err := formattest.Run(driver, &format.Params{Dev: dev, Allocated: job.Allocated, Qemu: job.QemuVersion}, c.Window)
	switch {
	case err != nil:
		return nil, err
	case f != nil:
		return nil, f
	}
	l := &vmm.Layer{Map: found.Map, Format: uint32(driver.ID), VirtualSize: found.Size, Overhang: found.Overhang}
	for _, f := range found.Faults {
		l.Faults = append(l.Faults, abi.RoleFault{Role: abi.RoleBad, Fault: f})
	}
	for _, f := range found.Warnings {
		l.Faults = append(l.Faults, abi.RoleFault{Role: abi.RoleWarn, Fault: f})
	}
	if found.Refuse != nil {
		l.Faults = append(l.Faults, abi.RoleFault{Role: abi.RoleRefuse, Fault: found.Refuse})
	}
	for _, r := range found.References {
		l.References = append(l.References, abi.Reference{Kind: uint32(r.Kind), Name: r.Name, Format: r.Format})
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
