package formattest

import (
	"encoding/binary"
	"math/rand"
)

// RandomCloop is an image whose blocks are not those of a compressor. A few have a number that is wrong.
func RandomCloop(rng *rand.Rand) []byte {
	be := binary.BigEndian
	blocks := rng.Intn(1000)
	if rng.Intn(10) == 0 {
		blocks = 131000 + rng.Intn(200) // about as many offsets as are looked at in one step
	}
	b := make([]byte, 136+8*(blocks+1))
	copy(b, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\nexit $?\n")
	be.PutUint32(b[128:], uint32(512*(1+rng.Intn(300))))
	be.PutUint32(b[132:], uint32(blocks))
	at := uint64(len(b))
	for i := range blocks + 1 {
		be.PutUint64(b[136+8*i:], at)
		at += uint64(rng.Intn(70000))
	}
	switch rng.Intn(8) {
	case 0:
		be.PutUint64(b[136+8*rng.Intn(blocks+1):], number(rng))
	case 1:
		be.PutUint32(b[128:], uint32(number(rng))<<rng.Intn(10))
	case 2:
		be.PutUint32(b[132:], uint32(number(rng)))
	case 3:
		be.PutUint32(b[132:], uint32(1<<29-3+rng.Intn(5)))
	case 4:
		clear(b[136:])
		be.PutUint32(b[132:], uint32(rng.Intn(1<<20)))
	}
	return b
}
