package image

import "context"

// Spans returns the data and the holes of the file from byte off on, in order: at least the first
// span, and as many more as can be found in little time, until one reaches limit.
func (f *File) Spans(ctx context.Context, off, limit uint64) ([]Span, error) {
	return call(ctx, f, func() ([]Span, error) {
		if f.listed.Load() {
			if list := f.spansListed(off, limit); list != nil {
				return list, nil
			}
		}
		list := SpansOf(f, off, limit)
		if len(list) == MaxSpans && onExt4(f.fd) {
			f.listed.Store(true)
		}
		return list, nil
	})
}

// spansListed returns what SpansOf would, of a file that has many holes: the kernel lists hundreds
// of extents in the time of a few calls of lseek(2). It returns nil where only these can tell.
func (f *File) spansListed(off, limit uint64) []Span {
	m := fiemap{start: off, length: limit - off, count: listedExtents}
	if limit <= off || m.list(f.fd) != nil || m.mapped > listedExtents {
		return nil
	}
	return spansOfExtents(m.extents[:m.mapped], off, limit, f.size, m.mapped < listedExtents)
}
