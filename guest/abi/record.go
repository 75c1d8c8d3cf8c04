package abi

import (
	"encoding/binary"

	"instarfs/guest/extent"
)

// RecordLen is the size of an encoded extent in bytes; RingRecords is how many the ring holds.
const (
	RecordLen   = 32
	RingRecords = RingLen / RecordLen
)

// PutRecord writes an extent to the first RecordLen bytes of b:
// start u64 [0], length u64 [8], offset u64 [16], flags u32 [24], file u32 [28].
func PutRecord(b []byte, e extent.Extent) {
	PutFields(b, e.Start, e.Length, e.Offset, e.Flags, e.File)
}

// PutFields is PutRecord for who has no extent.Extent yet, and a million of them to write.
func PutFields(b []byte, start, length, offset uint64, flags extent.Flags, file uint16) {
	le := binary.LittleEndian
	_ = b[RecordLen-1]
	le.PutUint64(b[0:], start)
	le.PutUint64(b[8:], length)
	le.PutUint64(b[16:], offset)
	le.PutUint64(b[24:], uint64(flags)|uint64(file)<<32)
}

// Lengthen adds to the length of the extent in the first RecordLen bytes of b.
func Lengthen(b []byte, more uint64) {
	le := binary.LittleEndian
	le.PutUint64(b[8:], le.Uint64(b[8:])+more)
}

// Record reads an extent from the first RecordLen bytes of b. ok is false when flags or file do not
// fit their types; all else is for extent.Builder to check.
func Record(b []byte) (e extent.Extent, ok bool) {
	le := binary.LittleEndian
	_ = b[RecordLen-1]
	flags, file := le.Uint32(b[24:]), le.Uint32(b[28:])
	e.Start, e.Length, e.Offset = le.Uint64(b[0:]), le.Uint64(b[8:]), le.Uint64(b[16:])
	e.Flags, e.File = extent.Flags(flags), uint16(file)
	return e, flags <= uint32(extent.All) && file <= 0xffff
}
