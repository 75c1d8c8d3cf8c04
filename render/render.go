// Package render turns a map into the bytes that a person or a program reads: JSON and the table of
// qemu-img map, byte for byte. It is pure: no I/O, no clock, no knowledge of images. A rendering
// knows its exact size without having been rendered, and renders any part of itself without what
// lies before, so that a file system can serve it to readers that seek. Everything here is safe for
// use by many goroutines.
package render

import (
	"errors"
	"io"
	"sort"

	"instarfs/guest/extent"
	"instarfs/guest/img"
)

// View is what a rendering looks like.
type View uint8

// The views of qemu-img map --output.
const (
	JSON View = iota
	Text
)

// ErrNotPlain says that the table of a qemu-img release cannot show an extent: its bytes are
// stored, but nowhere as they are read. The text is qemu-img's.
//
//lint:ignore ST1005 qemu-img's words
var ErrNotPlain = errors.New("File contains external, encrypted or compressed clusters.")

// Rendering is the bytes of one view of a map: a head, then the rows of the extents in order.
type Rendering struct {
	head string
	rows rows
	// pos[b] is where the first row of block b starts, in bytes after the head; the last element is
	// where all rows end.
	pos     []int64
	extents int  // how many extents of the map have their rows here
	closed  bool // the last row ends in closing instead of separator
	err     error
}

// rows is how the extents of a map look in one view.
type rows interface {
	// size is the bytes of the rows of the extents [lo, hi).
	size(lo, hi int) int64
	// fill renders the rows of the extents [lo, hi) into p, leaving out their first skip bytes,
	// until p is full. It returns the bytes rendered and may use the rest of p as scratch space.
	fill(p []byte, skip int64, lo, hi int) int
}

// form is everything that shapes a rendering in addition to the map: the key under which the map
// keeps it.
type form struct {
	view                        View
	present, compressed, strict bool
	cut                         bool
}

// formOf returns the form in which a view has the bytes of a release. What does not shape the view
// is left alike, so that renderings are shared.
func formOf(r img.Release, v View, cut bool) form {
	if v == JSON {
		return form{view: v, present: r.HasPresent(), compressed: r.HasCompressed(), cut: cut}
	}
	return form{view: v, strict: r.IsQemu()}
}

// New renders a complete map. The error is ErrNotPlain, for Text in a qemu-img profile; the
// rendering then holds the rows before the extent that cannot be shown, which is what qemu-img has
// printed when it gives up.
//
// Map.Files must name the files of the layers first, in the order of their depth, and then all
// others: the row of an extent without an offset names the file of its layer.
func New(m *extent.Map, v View, r img.Release) (*Rendering, error) {
	return memoized(m, formOf(r, v, false))
}

// NewCut renders a map that ends where the walk failed, the way qemu-img leaves its output then:
// the rows, and in JSON neither an end of the list nor an entry for an empty map. The error is that
// of New.
func NewCut(m *extent.Map, v View, r img.Release) (*Rendering, error) {
	return memoized(m, formOf(r, v, true))
}

func memoized(m *extent.Map, f form) (*Rendering, error) {
	r := m.Memo(f, func() any { return build(m, f) }).(*Rendering)
	return r, r.err
}

func build(m *extent.Map, f form) *Rendering {
	r := &Rendering{extents: m.Len()}
	switch f.view {
	case JSON:
		j := newJSON(m, f)
		r.rows, r.head, r.closed = j, "[", !f.cut && m.Len() > 0
		if m.Len() == 0 && !f.cut {
			r.head = j.empty()
		}
	default:
		r.rows, r.head = text{m}, textHead
		if f.strict {
			r.extents = firstNotPlain(m)
			if r.extents < m.Len() {
				r.err = ErrNotPlain
			}
		}
	}
	r.index()
	return r
}

// Size is the length of the rendering in bytes.
func (r *Rendering) Size() int64 {
	return int64(len(r.head)) + r.pos[len(r.pos)-1]
}

// ReadAt implements io.ReaderAt. It takes time in proportion to len(p), allocates nothing, and
// fails at the end only.
func (r *Rendering) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("render: negative offset")
	}
	if off >= r.Size() {
		return 0, io.EOF
	}
	n, skip := 0, off-int64(len(r.head))
	if skip < 0 {
		n, skip = copy(p, r.head[off:]), 0
	}
	blocks := len(r.pos) - 1
	for b := r.block(skip); b < blocks && n < len(p); b = r.after(b) {
		n += r.rows.fill(p[n:], skip-r.pos[b], b*blockLen, min((b+1)*blockLen, r.extents))
		skip = r.pos[b+1]
	}
	if last := r.Size() - int64(len(closing)); r.closed && off+int64(n) > last {
		if off <= last {
			copy(p[last-off:n], closing)
		} else {
			copy(p[:n], closing[off-last:])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// writeLen is the bytes that WriteTo hands over at once: large enough that the calls do not count,
// small enough for the second-level cache of the processor.
const writeLen = 256 << 10

// WriteTo implements io.WriterTo.
func (r *Rendering) WriteTo(w io.Writer) (int64, error) {
	buf := make([]byte, min(writeLen, r.Size()))
	var off int64
	for off < r.Size() {
		n, err := r.ReadAt(buf, off)
		if err != nil && err != io.EOF {
			return off, err
		}
		n, err = w.Write(buf[:n])
		off += int64(n)
		if err != nil {
			return off, err
		}
	}
	return off, nil
}

// block finds the block that holds byte off after the head, or the number of blocks if off lies
// behind them.
func (r *Rendering) block(off int64) int {
	ends := r.pos[1:]
	return sort.Search(len(ends), func(b int) bool { return ends[b] > off })
}

// after finds the next block that has rows: in a table most blocks of a map may have none.
func (r *Rendering) after(b int) int {
	b++
	if b+1 < len(r.pos) && r.pos[b+1] == r.pos[b] {
		return r.block(r.pos[b])
	}
	return b
}
