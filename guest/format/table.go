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

// sectorLen is what a device reads without a copy, bytes: pieces begin and end at multiples of it
// where they can.
const sectorLen = 512

// From returns entry i and those after it that are in memory, at least need. They must fit in
// Buf, and may be past Limit. The bytes are valid until the next call.
func (t *Table) From(i, need uint64) ([]byte, *fault.Fault) {
	if need == 0 {
		return nil, nil
	}
	room := uint64(len(t.Buf)) / t.EntryLen
	next := t.first + t.have
	switch {
	case i >= t.first && i < next: // at least the first is in memory
		if i+need <= next {
			return t.Buf[(i-t.first)*t.EntryLen : t.have*t.EntryLen], nil
		}
		copy(t.Buf, t.Buf[(i-t.first)*t.EntryLen:t.have*t.EntryLen])
		t.first, t.have = i, next-i
	case next > 0 && i >= next && i-next < sectorLen/t.EntryLen && i-next+need <= room:
		t.first, t.have = next, 0 // a few entries were left out
	default:
		t.first, t.have = i, 0
	}
	skip := i - t.first
	n := min(max(t.Limit, i+need)-t.first, room)
	if n == room {
		over := (t.Off + (t.first+n)*t.EntryLen) % sectorLen / t.EntryLen
		if over < n && n-over > max(t.have, skip+need) {
			n -= over
		}
	}
	b := t.Buf[t.have*t.EntryLen : n*t.EntryLen]
	if f := block.ReadOne(t.Dev, b, t.Off+(t.first+t.have)*t.EntryLen); f != nil {
		t.have = 0
		return nil, f
	}
	t.have = n
	return t.Buf[skip*t.EntryLen : n*t.EntryLen], nil
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
