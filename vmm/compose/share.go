package compose

import "instarfs/guest/extent"

// leastShared is how many extents are worth sharing: less than that is copied in a microsecond.
const leastShared = 256

// share takes over, from byte pos on, the extents of the layer at a depth that decided about what
// lies before pos, as far as no layer above it decides and they end before byte until. It returns
// where to go on. Of a run that is shared, the extents at both ends are not: those may be one
// extent with what other layers have there.
func (o *output) share(depth int, pos, until uint64) (next uint64, err error) {
	f := o.layers[depth]
	if f.parts != nil || pos >= until {
		return pos, nil
	}
	m, lo := f.Layer.Map, o.near[depth]+1
	if lo+leastShared > m.Len() || m.At(lo).Start != pos {
		return pos, nil
	}
	end := min(until, m.End())
	for above := range o.layers[:depth] {
		own := o.layers[above]
		if own.parts != nil {
			return pos, nil
		}
		open := own.Layer.Map.At(o.near[above])
		if open.Flags&extent.Present != 0 || pos < open.Start || pos >= open.End() {
			return pos, nil
		}
		end = min(end, open.End(), o.layers[above+1].Size())
	}
	if end <= pos {
		return pos, nil
	}
	hi := m.Find(end - 1)
	if hi-lo < leastShared {
		return pos, nil
	}
	l, err := o.lender(depth)
	if err != nil || !l.usable {
		return pos, err
	}
	if err := o.writer.share(l.Lender, lo, hi); err != nil {
		return pos, err
	}
	o.near[depth] = hi
	return m.At(hi).Start, nil
}

// lender looks whether the layer at a depth can lend its extents: nothing in it may be left to
// layers below, have holes that show through, or be bad, here or in a layer above.
func (o *output) lender(depth int) (*lender, error) {
	l := &o.lenders[depth]
	if l.known {
		return l, nil
	}
	l.known = true
	for _, f := range o.layers[:depth+1] {
		if f.Layer.Map.Flags()&(extent.Bad|extent.BadAhead) != 0 {
			return l, nil
		}
	}
	f := o.layers[depth]
	for _, s := range f.Layer.Map.States() {
		if s.Flags&extent.Holes != 0 ||
			s.Flags&extent.Present == 0 && depth+1 < len(o.layers) {
			return l, nil
		}
	}
	var err error
	l.Lender, l.usable, err = o.writer.builder.Lend(f.Layer.Map,
		func(s extent.State) extent.State { return o.shown(depth, s, f.holder(s)) })
	return l, err
}
