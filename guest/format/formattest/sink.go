package formattest

import (
	"fmt"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Sink implements format.Sink: it collects the extents of a walk, and checks them.
type Sink struct {
	Faults   []*fault.Fault // the Offset of a Bad extent is an index of it
	Warnings []*fault.Fault
	Err      error // why the first wrong extent is wrong
	b        *extent.Builder
}

// NewSink returns a sink for the window [start, end).
func NewSink(start, end uint64) *Sink { return &Sink{b: extent.NewBuilder(start, end, 0)} }

// Emit adds an extent.
func (s *Sink) Emit(length uint64, flags extent.Flags, offset uint64, file uint16) {
	state := extent.State{Flags: flags, File: file}
	s.add(extent.Extent{Length: length, Offset: offset, State: state})
}

// Bad adds an extent with a fault.
func (s *Sink) Bad(length uint64, f *fault.Fault) {
	i := uint64(len(s.Faults))
	s.Faults = append(s.Faults, f)
	s.add(extent.Extent{Length: length, Offset: i, State: extent.State{Flags: extent.Bad}})
}

// Warn keeps a warning.
func (s *Sink) Warn(f *fault.Fault) { s.Warnings = append(s.Warnings, f) }

func (s *Sink) add(e extent.Extent) {
	e.Start = s.b.Next()
	if err := s.b.Add(e); err != nil && s.Err == nil {
		s.Err = fmt.Errorf("extent %+v: %w", e, err)
	}
}

// Map returns the map, or an error if the extents do not tile the window.
func (s *Sink) Map() (*extent.Map, error) {
	if s.Err != nil {
		return nil, s.Err
	}
	return s.b.Finish(nil)
}

// Result is what Run found on a device.
type Result struct {
	*Sink
	Size       uint64
	Overhang   uint64
	References []img.Reference
	Refuse     *fault.Fault
	Map        *extent.Map
}

// Run opens and walks a device as the agent does. It returns a result or a fault. An error says
// how the driver breaks the contract of format.Driver or format.Image.
func Run(d *format.Driver, p *format.Params, w img.Window) (*Result, *fault.Fault, error) {
	image, f := d.Open(p)
	if (image == nil) == (f == nil) {
		return nil, nil, fmt.Errorf("%s: open returned image %v and fault %v", d.Format, image, f)
	}
	if f != nil {
		f.Before = p.Warnings
		return nil, f, nil
	}
	if image.Size()%512 != 0 {
		return nil, nil, fmt.Errorf("%s: size %d is not a multiple of 512", d.Format, image.Size())
	}
	w = w.Clip(image.Size())
	r := &Result{Sink: NewSink(w.Start, w.End), Size: image.Size(), References: image.References()}
	r.Warnings, r.Refuse = append(r.Warnings, p.Warnings...), p.Refuse
	if o, ok := image.(format.Overhanging); ok {
		r.Overhang = o.Overhang()
	}
	if f := image.Walk(w.Start, w.End, r.Sink); f != nil {
		return nil, f, nil
	}
	var err error
	if r.Map, err = r.Sink.Map(); err != nil {
		return nil, nil, fmt.Errorf("%s: walk of [%d,%d): %w", d.Format, w.Start, w.End, err)
	}
	for i := range r.Map.Len() {
		if e := r.Map.At(i); int(e.File) > len(r.References) {
			return nil, nil, fmt.Errorf("%s: extent %+v names file %d of %d", d.Format, e, e.File,
				len(r.References))
		}
	}
	return r, nil, nil
}

// Extents returns the extents of m as a slice.
func Extents(m *extent.Map) []extent.Extent {
	var s []extent.Extent
	for i := range m.Len() {
		s = append(s, m.At(i))
	}
	return s
}
