// Package qcowtest builds qcow images, which are version 1 of qcow2, for tests.
package qcowtest

import (
	"encoding/binary"
	"math/rand"

	"instarfs/guest/format/formattest"
)

// Random returns an image full of entries of every kind.
func Random(rng *rand.Rand) []byte {
	be := binary.BigEndian
	clusterBits, l2Bits := uint(9+rng.Intn(8)), uint(6+rng.Intn(8))
	reach := uint64(1) << (clusterBits + l2Bits)
	l1 := uint64(1 + rng.Intn(4))
	size := l1*reach - uint64(rng.Int63n(int64(reach)))
	tables := 4096 + l1*8
	b := make([]byte, tables+l1<<(l2Bits+3)+uint64(rng.Intn(2000)))
	copy(b, "QFI\xfb\x00\x00\x00\x01")
	be.PutUint64(b[24:], max(size, 2))
	b[32], b[33] = byte(clusterBits), byte(l2Bits)
	be.PutUint64(b[40:], 4096)
	for i := range l1 {
		table := tables + i<<(l2Bits+3)
		switch rng.Intn(12) {
		case 0:
		case 1:
			be.PutUint64(b[4096+i*8:], formattest.RandomNumber(rng))
		default:
			be.PutUint64(b[4096+i*8:], table)
		}
		for at := table; at < table+1<<(l2Bits+3); {
			kind, entry := rng.Intn(5), formattest.RandomNumber(rng)&^(1<<63)>>rng.Intn(30)
			for range 1 + rng.Intn(20) {
				if at >= table+1<<(l2Bits+3) {
					break
				}
				switch kind {
				case 0:
					be.PutUint64(b[at:], 0)
				case 1:
					be.PutUint64(b[at:], entry|1<<63)
				case 2:
					be.PutUint64(b[at:], entry)
				default:
					entry = entry&^(1<<clusterBits-1) + 1<<clusterBits
					be.PutUint64(b[at:], entry&^(1<<63))
				}
				at += 8
			}
		}
	}
	return b
}
