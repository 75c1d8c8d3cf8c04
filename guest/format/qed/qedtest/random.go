// Package qedtest builds QED images for tests.
package qedtest

import (
	"encoding/binary"
	"math/rand"

	"instarfs/guest/format/formattest"
)

// Random returns an image full of entries of every kind.
func Random(rng *rand.Rand) []byte {
	le := binary.LittleEndian
	cluster, tableSize := uint64(4096)<<rng.Intn(3), uint64(2)<<rng.Intn(2)
	entries := cluster * tableSize / 8
	l1 := uint64(1 + rng.Intn(3))
	size := (l1*entries*cluster - uint64(rng.Int63n(int64(entries*cluster)))) &^ 511
	b := make([]byte, cluster*(1+tableSize*(1+l1))+uint64(rng.Intn(100000)))
	copy(b, "QED\x00")
	le.PutUint32(b[4:], uint32(cluster))
	le.PutUint32(b[8:], uint32(tableSize))
	le.PutUint32(b[12:], 1)
	le.PutUint64(b[40:], cluster)
	le.PutUint64(b[48:], size)
	wrong := []int{0, 0, 50, 1000}[rng.Intn(4)]
	for i := range l1 {
		table := cluster * (1 + tableSize*(1+i))
		if rng.Intn(5) > 0 {
			le.PutUint64(b[cluster+i*8:], table)
		}
		if wrong > 0 && rng.Intn(4) == 0 {
			le.PutUint64(b[cluster+i*8:], table+uint64(rng.Intn(1<<16)))
		}
		for at := table; at < table+cluster*tableSize; {
			kind, entry := rng.Intn(4), cluster*uint64(1+rng.Intn(len(b)/int(cluster)))
			for range 1 + rng.Intn(40) {
				if at >= table+cluster*tableSize {
					break
				}
				switch {
				case wrong > 0 && rng.Intn(wrong) == 0:
					le.PutUint64(b[at:], formattest.RandomNumber(rng))
				case kind < 2:
					le.PutUint64(b[at:], uint64(kind))
				case entry < uint64(len(b))&^(cluster-1):
					le.PutUint64(b[at:], entry)
					entry += cluster
				}
				at += 8
			}
		}
	}
	return b
}
