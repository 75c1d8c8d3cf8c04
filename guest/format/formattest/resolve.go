package formattest

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
)

// Answer is what qemu-img map --output=json prints and how it ends.
type Answer struct {
	Stdout []byte
	Failed bool
	Fault  *fault.Fault // what a failed walk failed with
}

// whence values of lseek(2) that look for data and for holes.
const (
	seekData = 3
	seekHole = 4
)

// entry is one line of the answer.
type entry struct {
	start, length, offset            uint64
	present, zero, data, located, ok bool
}

func (e entry) continues(n entry) bool {
	return e.ok && e.present == n.present && e.zero == n.zero && e.data == n.data && e.located == n.located &&
		(!e.located || e.offset+e.length == n.offset)
}

func (e entry) json() string {
	s := fmt.Sprintf(`{ "start": %d, "length": %d, "depth": 0, "present": %t, "zero": %t, "data": %t`,
		e.start, e.length, e.present, e.zero, e.data)
	if e.located {
		s += fmt.Sprintf(`, "offset": %d`, e.offset)
	}
	return s + "}"
}

// Resolve makes the answer of qemu-img 7.2 out of the layer map of an image without backing
// file: holes is the file whose holes show through.
func Resolve(r *Result, start uint64, holes *os.File) (Answer, error) {
	var out bytes.Buffer
	out.WriteByte('[')
	cur := entry{start: start}
	dump := func(last bool) {
		out.WriteString(cur.json())
		if !last {
			out.WriteString(",\n")
		}
	}
	for i := range r.Map.Len() {
		e := r.Map.At(i)
		if e.Flags&(extent.Bad|extent.BadAhead) != 0 {
			bad := e
			if e.Flags&extent.Bad == 0 {
				bad = r.Map.At(i + 1)
			}
			return Answer{out.Bytes(), true, r.Faults[bad.Offset]}, nil
		}
		for e.Length > 0 {
			n, err := resolve(e, holes)
			if err != nil {
				return Answer{}, err
			}
			if cur.continues(n) {
				cur.length += n.length
			} else {
				if cur.length > 0 {
					dump(false)
				}
				cur = n
			}
			if n.length == e.Length {
				break
			}
			e = e.Skip(n.length)
		}
	}
	dump(true)
	out.WriteString("]\n")
	return Answer{Stdout: out.Bytes()}, nil
}

// resolve is the entry that e starts with.
func resolve(e extent.Extent, holes *os.File) (entry, error) {
	n := entry{start: e.Start, length: e.Length, offset: e.Offset, ok: true,
		present: e.Flags.Has(extent.Present), zero: e.Flags.Has(extent.Zero),
		data: e.Flags.Has(extent.Data), located: e.Flags.Has(extent.Offset)}
	if !n.data && !n.zero {
		n.zero = true // nobody below
	}
	if e.Flags&extent.Holes == 0 {
		return n, nil
	}
	st, err := holes.Stat()
	if err != nil {
		return n, err
	}
	length, hole, err := status(holes, e.Offset, e.Length)
	if err != nil {
		return n, err
	}
	total := (uint64(st.Size()) + 511) / 512 * 512
	switch bare := e.Flags.Has(extent.Bare); {
	case e.Offset >= total:
		n.zero = true
	case hole && !bare && e.Offset+length >= total:
		n.zero = true // also behind the end of the file
	default:
		n.length = min(length, total-e.Offset)
		n.zero = hole
		n.data = !hole || !bare
	}
	return n, nil
}

// status says how far a file goes on from off as it is there, hole or data, at most n bytes.
func status(f *os.File, off, n uint64) (length uint64, hole bool, err error) {
	data, err := f.Seek(int64(off), seekData)
	if err != nil {
		if st, serr := f.Stat(); serr != nil || data > st.Size() {
			return 0, false, err
		}
		return n, true, nil // no data from here to the end
	}
	if uint64(data) > off {
		return min(n, uint64(data)-off), true, nil
	}
	end, err := f.Seek(int64(off), seekHole)
	if err != nil && err != io.EOF {
		return 0, false, err
	}
	return min(n, uint64(end)-off), false, nil
}
