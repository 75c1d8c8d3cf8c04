package vhdxtest

import (
	"encoding/binary"
	"hash/crc32"

	"instarfs/guest/format/formattest"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum sets the checksum of a header, a region table or a log entry.
func Sum(b []byte) {
	binary.LittleEndian.PutUint32(b[4:], 0)
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b, castagnoli))
}

// Change is a descriptor of a log entry. It writes Data, which is 4096 bytes, at Off, or Length
// zeroes if Data is nil.
type Change struct {
	Off, Length uint64
	Data        []byte
}

// Entry is an entry of the log.
type Entry struct {
	GUID          string
	Sequence      uint64
	Tail          uint32
	Flushed, Last uint64
	Changes       []Change
}

// Bytes returns the entry as the log stores it, with its checksum.
func (e *Entry) Bytes() []byte {
	le := binary.LittleEndian
	b := make([]byte, 64)
	copy(b, "loge")
	le.PutUint32(b[12:], e.Tail)
	le.PutUint64(b[16:], e.Sequence)
	le.PutUint32(b[24:], uint32(len(e.Changes)))
	copy(b[32:48], e.GUID)
	le.PutUint64(b[48:], e.Flushed)
	le.PutUint64(b[56:], e.Last)
	var data []byte
	for _, c := range e.Changes {
		d := make([]byte, 32)
		le.PutUint64(d[16:], c.Off)
		le.PutUint64(d[24:], e.Sequence)
		if c.Data == nil {
			copy(d, "zero")
			le.PutUint64(d[8:], c.Length)
		} else {
			copy(d, "desc")
			copy(d[4:8], c.Data[4092:])
			copy(d[8:16], c.Data[:8])
			s := append([]byte("data"), 0, 0, 0, 0)
			le.PutUint32(s[4:], uint32(e.Sequence>>32))
			s = append(s, c.Data[8:4092]...)
			data = append(data, le.AppendUint32(s, uint32(e.Sequence))...)
		}
		b = append(b, d...)
	}
	b = append(b, make([]byte, -len(b)&4095)...)
	b = append(b, data...)
	le.PutUint32(b[8:], uint32(len(b)))
	Sum(b)
	return b
}

// PutLog writes b at byte at of the log in a file of File, and continues at the start of the
// log when it reaches the end. It returns the position in the log after the last byte.
func (v *Image) PutLog(s *formattest.Sparse, at uint64, b []byte) uint64 {
	for len(b) > 0 {
		n := min(uint64(len(b)), uint64(v.LogLength)-at)
		s.Put(Log+at, b[:n])
		b = b[n:]
		at = (at + n) % uint64(v.LogLength)
	}
	return at
}
