package format

import (
	"bytes"

	"instarfs/guest/block"
	"instarfs/guest/fault"
)

// Table reads a table from a device in pieces. If entries are asked for in order, each is read
// once.
type Table struct {
	Dev      block.Device
	Buf      []byte // memory for a piece, from Dev
	Off      uint64 // device offset of entry 0, bytes
	EntryLen uint64 // bytes
	Limit    uint64 // the entry before which reading ahead stops

	first, have uint64 // the entries in Buf
}

// From returns entry i and those after it that are in memory, at least need. They must fit in
// Buf, and may be past Limit. The bytes are valid until the next call.
func (t *Table) From(i, need uint64) ([]byte, *fault.Fault) {
	if i < t.first || i >= t.first+t.have {
		t.first, t.have = i, 0
	}
	skip := i - t.first
	if skip+need > t.have {
		copy(t.Buf, t.Buf[skip*t.EntryLen:t.have*t.EntryLen])
		t.first, t.have, skip = i, t.have-skip, 0
		n := min(max(t.Limit, i+need)-i, uint64(len(t.Buf))/t.EntryLen)
		b := t.Buf[t.have*t.EntryLen : n*t.EntryLen]
		if f := block.ReadOne(t.Dev, b, t.Off+(i+t.have)*t.EntryLen); f != nil {
			t.have = 0
			return nil, f
		}
		t.have = n
	}
	return t.Buf[skip*t.EntryLen : t.have*t.EntryLen], nil
}

// Repeats returns how many entries at the start of b are equal. b has at least one. entryLen is a
// power of two, in bytes.
func Repeats(b []byte, entryLen int) int {
	const stride = 4096
	// Entries are equal as long as the bytes equal those that are one entry earlier.
	i := entryLen
	for i+stride <= len(b) && bytes.Equal(b[i:i+stride], b[i-entryLen:i-entryLen+stride]) {
		i += stride
	}
	for i+entryLen <= len(b) && bytes.Equal(b[i:i+entryLen], b[:entryLen]) {
		i += entryLen
	}
	return i / entryLen
}
