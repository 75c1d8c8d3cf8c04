package compose

import (
	"instarfs/guest/extent"
	"instarfs/vmm/image"
	"instarfs/vmm/session"
)

// regions remembers the spans of a file that were asked for last: extents that follow each other in
// the file need one question together, not one each.
type regions struct {
	file  Holes
	pace  *Pace
	start uint64 // bytes of the file
	spans []image.Span
}

// at returns whether byte off of the file lies in a hole, and up to where at least that is so. What
// lies between off and limit will be asked for next.
func (r *regions) at(off, limit uint64) (s image.Span, err error) {
	if off < r.start {
		r.spans = nil
	}
	for len(r.spans) > 0 && r.spans[0].End <= off {
		r.spans = r.spans[1:]
	}
	if len(r.spans) == 0 {
		err = r.pace.ask(func() (err error) {
			r.spans, err = r.file.Spans(r.pace.ctx, off, limit)
			return err
		})
		if err != nil {
			return image.Span{}, err
		}
	}
	r.start = off
	return r.spans[0], nil
}

// split passes on the pieces of an extent whose file's holes show through, in order. In a hole the
// extent is Zero; a Bare one is then not Data.
func (r *regions) split(e extent.Extent, emit func(extent.Extent) error) error {
	for {
		s, err := r.at(e.Offset, e.Offset+e.Length)
		if err != nil {
			return err
		}
		piece := e
		piece.Length = min(e.Length, s.End-e.Offset)
		if s.Hole {
			piece.Flags |= extent.Zero
			if e.Flags&extent.Bare != 0 {
				piece.Flags &^= extent.Data
			}
		}
		if err := emit(piece); err != nil {
			return err
		}
		if piece.Length == e.Length {
			return nil
		}
		e = e.Skip(piece.Length)
	}
}

// writer writes a map, with the holes of files in it.
type writer struct {
	pace    *Pace
	builder *extent.Builder
	final   func(extent.State) extent.State // what the state of a piece becomes
	regions map[*File]*regions
}

// newWriter begins a map of the bytes from start to end, of at most limit extents.
func (p *Pace) newWriter(
	start, end uint64, limit int, final func(extent.State) extent.State,
) (*writer, error) {
	b, err := p.builder(start, end, limit)
	if err != nil {
		return nil, err
	}
	return &writer{pace: p, builder: b, final: final, regions: map[*File]*regions{}}, nil
}

// add adds an extent as it is.
func (w *writer) add(e extent.Extent) error {
	if err := w.pace.step(); err != nil {
		return err
	}
	return w.builder.Add(e)
}

// share adds extents that another map lends.
func (w *writer) share(l extent.Lender, lo, hi int) error {
	if err := w.pace.step(); err != nil {
		return err
	}
	return w.builder.Share(l, lo, hi)
}

// addSplit adds an extent in pieces: the holes of the file show through.
func (w *writer) addSplit(e extent.Extent, file *File) error {
	if err := w.pace.step(); err != nil {
		return err
	}
	r := w.regions[file]
	if r == nil {
		r = &regions{file: file.Holes, pace: w.pace}
		w.regions[file] = r
	}
	return r.split(e, func(piece extent.Extent) error {
		piece.State = w.final(piece.State)
		return w.add(piece)
	})
}

// ShowHoles returns the map of a layer with the holes of its own file in it, of at most limit
// extents. The holes of files that it names depend on more than this file. Nor are they shown where
// a fault lies ahead: only the composition knows how far a question reaches.
func ShowHoles(p *Pace, l *session.Layer, file Holes, limit int) (*extent.Map, error) {
	unmarked := func(s extent.State) extent.State {
		s.Flags &^= marks
		return s
	}
	w, err := p.newWriter(l.Map.Start(), l.Map.End(), limit, unmarked)
	if err != nil {
		return nil, err
	}
	own := &File{Holes: file}
	for i := range l.Map.Len() {
		e := l.Map.At(i)
		if e.Flags&extent.Holes == 0 || e.Flags&extent.BadAhead != 0 || e.File != 0 {
			err = w.add(e)
		} else {
			err = w.addSplit(e, own)
		}
		if err != nil {
			return nil, err
		}
	}
	return w.builder.Finish(nil)
}
