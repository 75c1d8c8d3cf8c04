// Package clooptest builds compressed loop images for tests.
package clooptest

import (
	"encoding/binary"
	"math/rand"

	"instarfs/guest/format/formattest"
)

// Random returns an image whose blocks cannot be decompressed. Some images have a wrong number
// in the header or among the offsets.
func Random(rng *rand.Rand) []byte {
	be := binary.BigEndian
	blocks := rng.Intn(1000)
	if rng.Intn(10) == 0 {
		blocks = 131000 + rng.Intn(200) // about as many offsets as the walker reads at once
	}
	b := make([]byte, 136+8*(blocks+1))
	copy(b, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && "+
		"mount -r -t iso9660 /dev/cloop $1\nexit $?\n")
	be.PutUint32(b[128:], uint32(512*(1+rng.Intn(300))))
	be.PutUint32(b[132:], uint32(blocks))
	at := uint64(len(b))
	for i := range blocks + 1 {
		be.PutUint64(b[136+8*i:], at)
		at += uint64(rng.Intn(70000))
	}
	switch rng.Intn(8) {
	case 0:
		be.PutUint64(b[136+8*rng.Intn(blocks+1):], formattest.RandomNumber(rng))
	case 1:
		be.PutUint32(b[128:], uint32(formattest.RandomNumber(rng))<<rng.Intn(10))
	case 2:
		be.PutUint32(b[132:], uint32(formattest.RandomNumber(rng)))
	case 3:
		be.PutUint32(b[132:], uint32(1<<29-3+rng.Intn(5)))
	case 4:
		clear(b[136:])
		be.PutUint32(b[132:], uint32(rng.Intn(1<<20)))
	}
	return b
}
