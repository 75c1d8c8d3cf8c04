package render

import "instarfs/guest/extent"

// separator ends every row but the last, which ends in closing. They are of one length, so the size of a row does not
// depend on its place.
const (
	separator = "},\n"
	closing   = "]\n"
)

// shown are the flags that JSON tells; they are the low bits of extent.Flags, so they index a table.
const shown = extent.Present | extent.Zero | extent.Data | extent.Offset | extent.Compressed

// rowRoom is the space that one JSON row may write into: its longest form (three numbers of 20 digits, a depth of 5, and 118
// bytes of fixed text) and the bytes that a fixed-size copy writes too many.
const rowRoom = 256

// The fixed texts of a row are arrays, so that copying one is a few moves of registers and no call. What is copied too much is
// overwritten by what follows.
type fragment struct {
	text [96]byte
	n    int
}

var (
	startKey  = [16]byte([]byte(`{ "start":      `))
	lengthKey = [16]byte([]byte(`, "length":     `))
	depthKey  = [16]byte([]byte(`, "depth":      `))
)

const (
	startLen  = len(`{ "start": `)
	lengthLen = len(`, "length": `)
	depthLen  = len(`, "depth": `)
)

// json renders the entries of the JSON list.
type json struct {
	m *extent.Map
	// states holds what follows the depth, by the flags of the extent. With extent.Offset it ends in the key of the offset,
	// else in the separator.
	states [shown + 1]fragment
	// fixed is the bytes of a row that are no digits.
	fixed [shown + 1]int64
}

func newJSON(m *extent.Map, f form) *json {
	j := &json{m: m}
	for s := range j.states {
		flags := extent.Flags(s)
		text := f.fields(flags)
		end := separator
		if flags.Has(extent.Offset) {
			text += `, "offset": `
		} else {
			text += separator
			end = ""
		}
		j.states[s].n = copy(j.states[s].text[:], text)
		j.fixed[s] = int64(startLen + lengthLen + depthLen + len(text) + len(end))
	}
	return j
}

// fields is the booleans of an entry.
func (f form) fields(flags extent.Flags) string {
	field := func(name string, bit extent.Flags) string {
		if flags.Has(bit) {
			return `, "` + name + `": true`
		}
		return `, "` + name + `": false`
	}
	var s string
	if f.present {
		s += field("present", extent.Present)
	}
	s += field("zero", extent.Zero) + field("data", extent.Data)
	if f.compressed {
		s += field("compressed", extent.Compressed)
	}
	return s
}

// empty is the whole list for an empty window: qemu-img prints the entry that it began with.
func (j *json) empty() string {
	var b [rowRoom]byte
	n := j.put(&b, &extent.Extent{Start: j.m.Start()}, new(widths))
	return "[" + string(b[:n-len(closing)]) + closing
}

func (j *json) size(lo, hi int) int64 {
	var n int64
	for i := lo; i < hi; i++ {
		e := j.m.At(i)
		n += j.rowSize(&e)
	}
	return n
}

func (j *json) rowSize(e *extent.Extent) int64 {
	digits := decimalLen(e.Start) + decimalLen(e.Length) + decimalLen(uint64(e.Depth))
	if e.Flags&extent.Offset != 0 {
		digits += decimalLen(e.Offset)
	}
	return j.fixed[e.Flags&shown] + int64(digits)
}

func (j *json) fill(p []byte, skip int64, lo, hi int) int {
	var w widths
	n := 0
	for i := lo; i < hi && n < len(p); i++ {
		e := j.m.At(i)
		if skip > 0 {
			if size := j.rowSize(&e); size <= skip {
				skip -= size
				continue
			}
		}
		if skip == 0 && len(p)-n >= rowRoom {
			n += j.put((*[rowRoom]byte)(p[n:]), &e, &w)
			continue
		}
		var row [rowRoom]byte
		n += copy(p[n:], row[skip:j.put(&row, &e, &w)])
		skip = 0
	}
	return n
}

// widths are those of the columns.
type widths struct{ start, length, depth, offset width }

// put renders one row and returns its size.
func (j *json) put(b *[rowRoom]byte, e *extent.Extent, w *widths) int {
	*(*[16]byte)(b[:]) = startKey
	n := startLen
	n += w.start.put((*[digitsRoom]byte)(b[n:]), e.Start)
	*(*[16]byte)(b[n:]) = lengthKey
	n += lengthLen
	n += w.length.put((*[digitsRoom]byte)(b[n:]), e.Length)
	*(*[16]byte)(b[n:]) = depthKey
	n += depthLen
	n += w.depth.put((*[digitsRoom]byte)(b[n:]), uint64(e.Depth))
	s := &j.states[e.Flags&shown]
	*(*[96]byte)(b[n:]) = s.text
	n += s.n
	if e.Flags&extent.Offset != 0 {
		n += w.offset.put((*[digitsRoom]byte)(b[n:]), e.Offset)
		*(*[4]byte)(b[n:]) = [4]byte{'}', ',', '\n'}
		n += len(separator)
	}
	return n
}
