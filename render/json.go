package render

import (
	"strconv"

	"instarfs/guest/extent"
)

// separator ends every row but the last, which ends in closing. They are of one length, so the size
// of a row does not depend on its place.
const (
	separator = "},\n"
	closing   = "]\n"
)

// shown are the flags that JSON tells.
const shown = extent.Present | extent.Zero | extent.Data | extent.Offset | extent.Compressed

// rowRoom is the space that one JSON row may write into: its longest form (three numbers of 20
// digits, a depth of 5, and 118 bytes of fixed text) and the bytes that a fixed-size copy writes
// too many.
const rowRoom = 256

// The fixed texts of a row are arrays, so that copying one is a few moves of registers and no call.
// What is copied too much is overwritten by what follows.
var (
	startKey  = [16]byte([]byte(`{ "start":      `))
	lengthKey = [16]byte([]byte(`, "length":     `))
	rowEnd    = [4]byte([]byte(separator + " "))
)

const (
	startLen  = len(`{ "start": `)
	lengthLen = len(`, "length": `)
)

// fragment is what follows the length in all rows of a depth and of certain flags.
type fragment struct {
	// text ends in the key of the offset if there is one, else in the separator.
	text   [112]byte
	n      int
	fixed  int // bytes of a row that are no digits of start, length and offset
	offset bool
}

// json renders the entries of the JSON list.
type json struct {
	m         *extent.Map
	form      form
	fragments []fragment
	state     []uint16 // index into fragments of each state of the map
}

func newJSON(m *extent.Map, f form) *json {
	type kind struct {
		flags extent.Flags
		depth uint16
	}
	known := map[kind]uint16{}
	j := &json{m: m, form: f, state: make([]uint16, len(m.States()))}
	for i, s := range m.States() {
		k := kind{s.Flags & shown, s.Depth}
		at, ok := known[k]
		if !ok {
			at = uint16(len(j.fragments))
			known[k] = at
			j.fragments = append(j.fragments, f.fragment(s))
		}
		j.state[i] = at
	}
	return j
}

func (f form) fragment(s extent.State) (g fragment) {
	text := `, "depth": ` + strconv.Itoa(int(s.Depth)) + f.fields(s.Flags)
	g.fixed = startLen + lengthLen + len(text) + len(separator)
	if g.offset = s.Flags.Has(extent.Offset); g.offset {
		const key = `, "offset": `
		text += key
		g.fixed += len(key)
	} else {
		text += separator
	}
	g.n = copy(g.text[:], text)
	return g
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
	g := j.form.fragment(extent.State{})
	n := put(&b, j.m.Start(), 0, 0, &g, new(widths))
	return "[" + string(b[:n-len(closing)]) + closing
}

func (j *json) size(lo, hi int) int64 {
	n := 0
	for lo < hi {
		c := j.m.Columns(lo, hi)
		lo += c.Len()
		n += startDigits(c.Start)
		state := j.state[c.Base:]
		for i := range c.Start {
			g := &j.fragments[state[c.State[i]]]
			n += g.fixed + decimalLen(c.Next(i)-c.Start[i])
			if g.offset {
				n += decimalLen(c.Offset[i])
			}
		}
	}
	return int64(n)
}

// startDigits is the number of digits of ascending numbers, most often the same for all.
func startDigits(start []uint64) int {
	first := decimalLen(start[0])
	if first == decimalLen(start[len(start)-1]) {
		return first * len(start)
	}
	n := 0
	for _, v := range start {
		n += decimalLen(v)
	}
	return n
}

func (j *json) fill(p []byte, skip int64, lo, hi int) int {
	var w widths
	n := 0
	for lo < hi && n < len(p) {
		c := j.m.Columns(lo, hi)
		lo += c.Len()
		state := j.state[c.Base:]
		for i := 0; i < len(c.Start) && n < len(p); i++ {
			start, length, offset := c.Start[i], c.Next(i)-c.Start[i], c.Offset[i]
			g := &j.fragments[state[c.State[i]]]
			if skip > 0 {
				size := g.fixed + decimalLen(start) + decimalLen(length)
				if g.offset {
					size += decimalLen(offset)
				}
				if int64(size) <= skip {
					skip -= int64(size)
					continue
				}
			}
			if skip == 0 && len(p)-n >= rowRoom {
				n += put((*[rowRoom]byte)(p[n:]), start, length, offset, g, &w)
				continue
			}
			var row [rowRoom]byte
			n += copy(p[n:], row[skip:put(&row, start, length, offset, g, &w)])
			skip = 0
		}
	}
	return n
}

// widths are those of the columns of numbers.
type widths struct{ start, length, offset width }

// put renders one row and returns its size.
func put(b *[rowRoom]byte, start, length, offset uint64, g *fragment, w *widths) int {
	*(*[16]byte)(b[:]) = startKey
	n := startLen
	n += w.start.put((*[digitsRoom]byte)(b[n:]), start)
	*(*[16]byte)(b[n:]) = lengthKey
	n += lengthLen
	n += w.length.put((*[digitsRoom]byte)(b[n:]), length)
	*(*[112]byte)(b[n:]) = g.text
	n += g.n
	if g.offset {
		n += w.offset.put((*[digitsRoom]byte)(b[n:]), offset)
		*(*[4]byte)(b[n:]) = rowEnd
		n += len(separator)
	}
	return n
}
