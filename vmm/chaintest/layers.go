// Package chaintest holds what the tests of package chain, of those above it and of those below it
// share: layers, runs that find them, files to map, and the order of the files of a package.
package chaintest

import (
	"context"
	"sync/atomic"
	"testing"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/vmm/session"
)

// Flags that most extents of tests have.
const (
	Present, Zero, Data, Offset = extent.Present, extent.Zero, extent.Data, extent.Offset

	Stored = Present | Data | Offset
)

// Whole is the window of a whole disk.
var Whole = img.Whole

// Ext is short for an extent of File 0 and Depth 0.
func Ext(start, length uint64, f extent.Flags, off uint64) extent.Extent {
	return extent.Extent{Start: start, Length: length, Offset: off, State: extent.State{Flags: f}}
}

// Extents returns the extents of a map.
func Extents(m *extent.Map) (es []extent.Extent) {
	for i := range m.Len() {
		es = append(es, m.At(i))
	}
	return es
}

// Job and Layer are what a Runner takes and returns.
type (
	Job   = session.Job
	Layer = session.Layer
)

// NewLayer returns a layer of those extents.
func NewLayer(t testing.TB, es ...extent.Extent) *Layer {
	t.Helper()
	var start, end uint64
	if len(es) > 0 {
		start, end = es[0].Start, es[len(es)-1].End()
	}
	b := extent.NewBuilder(start, end, 0)
	for _, e := range es {
		if err := b.Add(e); err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
	}
	m, err := b.Finish(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Layer{Map: m, Format: img.Qcow2, VirtualSize: end}
}

// BadLayer returns a layer whose last third is damaged, and the damage.
func BadLayer(t testing.TB) (*Layer, *fault.Fault) {
	t.Helper()
	f := fault.New(fault.Qcow2L2Unaligned, 40, 1, 2)
	l := NewLayer(t, Ext(0, 512, Present|Zero, 0), Ext(512, 512, 0, 0),
		Ext(1024, 512, extent.Bad, 0))
	AddFault(l, Bad, f)
	return l, f
}

// The roles of faults.
const (
	Bad    = abi.RoleBad
	Warn   = abi.RoleWarn
	Refuse = abi.RoleRefuse
)

// AddFault adds a fault with a role to a layer.
func AddFault(l *Layer, role abi.Role, f *fault.Fault) {
	l.Faults = append(l.Faults, abi.RoleFault{Role: role, Fault: f})
}

// Runner counts runs, and does in each what a test wants.
type Runner struct {
	T    testing.TB
	Runs atomic.Int32
	// During may return nothing: then the run finds 512 bytes of zeroes. n counts from 1.
	During func(n int32, job *Job) (*Layer, error)
}

// Run implements chain.Runner.
func (r *Runner) Run(ctx context.Context, job *Job) (*Layer, error) {
	n := r.Runs.Add(1)
	if r.During != nil {
		if l, err := r.During(n, job); l != nil || err != nil {
			return l, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	return NewLayer(r.T, Ext(0, 512, Present|Zero, 0)), nil
}

// Count checks how many runs there have been.
func (r *Runner) Count(want int32) {
	r.T.Helper()
	if got := r.Runs.Load(); got != want {
		r.T.Errorf("%d runs, want %d", got, want)
	}
}
