// Package bochstest builds images of Bochs for tests.
package bochstest

import (
	"encoding/binary"
	"math/rand"

	"instarfs/guest/format/formattest"
)

// Random returns a growing image. Some entries of its catalog have an extent, with the bits of
// some sectors set. Several entries may have the same extent, and some extents are past the
// end.
func Random(rng *rand.Rand) []byte {
	le := binary.LittleEndian
	extent := uint64(512) << rng.Intn(15)
	bitmap := (extent/512 + 7) / 8
	entries := uint64(1 + rng.Intn(60))
	size := entries*extent - uint64(rng.Int63n(int64(extent)))
	header := uint64(512)
	if rng.Intn(4) == 0 {
		header = uint64(96 + rng.Intn(1000))
	}
	perExtent := extent + (bitmap+511)&^511
	extents := 1 + rng.Intn(int(min(entries, 1+(4<<20)/perExtent)))
	b := make([]byte, header+entries*4+uint64(extents)*perExtent)
	copy(b, "Bochs Virtual HD Image")
	copy(b[32:], "Redolog")
	copy(b[48:], "Growing")
	le.PutUint32(b[64:], 0x20000)
	le.PutUint32(b[68:], uint32(header))
	le.PutUint32(b[72:], uint32(entries))
	le.PutUint32(b[76:], uint32(bitmap))
	le.PutUint32(b[80:], uint32(extent))
	le.PutUint64(b[88:], size)
	if rng.Intn(3) == 0 {
		le.PutUint32(b[64:], 0x10000)
		le.PutUint64(b[84:], size)
	}
	for i := range entries {
		entry := uint32(rng.Intn(extents))
		switch rng.Intn(6) {
		case 0:
			entry = uint32(formattest.RandomNumber(rng))
		case 1, 2:
			entry = 0xffffffff
		}
		le.PutUint32(b[header+i*4:], entry)
	}
	for i := range uint64(extents) {
		bits := b[header+entries*4+i*perExtent:][:bitmap]
		for s := 0; s < int(extent/512); {
			set, n := rng.Intn(2), 1+rng.Intn(1+rng.Intn(600))
			for ; n > 0 && s < int(extent/512); n-- {
				bits[s/8] |= byte(set << (s % 8))
				s++
			}
		}
	}
	return b
}
