package render

import "instarfs/guest/extent"

// textHead is the first line of the table, columns of 16 characters.
const textHead = "Offset          Length          Mapped to       File\n"

// columnLen is the width to which a number is padded with blanks. A longer number touches the next
// column.
const columnLen = 16

// columnsRoom holds the three numbers of a row at their longest, 0x and 16 digits each.
const columnsRoom = 3 * 18

// text renders the rows of the table: the extents whose bytes are stored and not known to be zero.
type text struct{ m *extent.Map }

func isRow(f extent.Flags) bool { return f&(extent.Data|extent.Zero) == extent.Data }

// firstNotPlain finds the first extent that belongs into the table but has no offset, or m.Len.
func firstNotPlain(m *extent.Map) int {
	for lo := 0; lo < m.Len(); {
		c := m.Columns(lo, m.Len())
		for i := range c.Len() {
			if f := c.Flags(i); isRow(f) && f&extent.Offset == 0 {
				return lo + i
			}
		}
		lo += c.Len()
	}
	return m.Len()
}

// mapped is what stands in the column Mapped to when there is no offset.
func mapped(f extent.Flags) string {
	switch {
	case f&extent.Compressed != 0:
		return "compressed"
	case f&extent.Encrypted != 0:
		return "encrypted"
	default:
		return "unknown"
	}
}

// file is the name of the file that holds the bytes of e: without an offset, that of its layer, see
// New.
func (t text) file(e *extent.Extent) string {
	i := int(e.Depth)
	if e.Flags&extent.Offset != 0 {
		i = int(e.File)
	}
	if files := t.m.Files(); i < len(files) {
		return files[i]
	}
	return ""
}

func (t text) size(lo, hi int) int64 {
	var n int64
	for lo < hi {
		c := t.m.Columns(lo, hi)
		lo += c.Len()
		for i := range c.Len() {
			if isRow(c.Flags(i)) {
				e := c.At(i)
				n += t.rowSize(&e)
			}
		}
	}
	return n
}

func (t text) rowSize(e *extent.Extent) int64 {
	n := max(hexLen(e.Start), columnLen) + max(hexLen(e.Length), columnLen)
	if e.Flags&extent.Offset != 0 {
		n += max(hexLen(e.Offset), columnLen)
	} else {
		n += columnLen
	}
	return int64(n) + int64(len(t.file(e))) + 1
}

func (t text) fill(p []byte, skip int64, lo, hi int) int {
	n := 0
	for lo < hi && n < len(p) {
		c := t.m.Columns(lo, hi)
		lo += c.Len()
		for i := 0; i < c.Len() && n < len(p); i++ {
			if !isRow(c.Flags(i)) {
				continue
			}
			e := c.At(i)
			if skip > 0 {
				if size := t.rowSize(&e); size <= skip {
					skip -= size
					continue
				}
			}
			n += t.put(p[n:], skip, &e)
			skip = 0
		}
	}
	return n
}

// put renders one row without its first skip bytes, as far as there is room.
func (t text) put(p []byte, skip int64, e *extent.Extent) int {
	var columns [columnsRoom]byte
	width := int64(putColumns(&columns, e))
	n := 0
	if skip < width {
		n = copy(p, columns[skip:width])
		skip = width
	}
	name := t.file(e)
	if at := skip - width; at < int64(len(name)) {
		n += copy(p[n:], name[at:])
	}
	return n + copy(p[n:], "\n")
}

// putColumns renders the columns before the file name.
func putColumns(b *[columnsRoom]byte, e *extent.Extent) int {
	n := pad(b[:], putHex(b[:], e.Start))
	n += pad(b[n:], putHex(b[n:], e.Length))
	if e.Flags&extent.Offset != 0 {
		return n + pad(b[n:], putHex(b[n:], e.Offset))
	}
	return n + pad(b[n:], copy(b[n:], mapped(e.Flags)))
}

// pad fills the column at the front of b, of which n bytes are written, with blanks. It returns the
// width of the column.
func pad(b []byte, n int) int {
	for ; n < columnLen; n++ {
		b[n] = ' '
	}
	return n
}
