// Package parallelstest builds images of Parallels for tests.
package parallelstest

import (
	"crypto/md5"
	"encoding/binary"
	"math/rand"

	"instarfs/guest/format/formattest"
)

const sectorSize = 512 // bytes

// Random returns an image full of entries of every kind.
func Random(rng *rand.Rand) []byte {
	le := binary.LittleEndian
	tracks := uint32(1 + rng.Intn(300))
	entries := uint32(rng.Intn(500))
	b := make([]byte, 64+4*entries+uint32(rng.Intn(2000)))
	copy(b, []string{"WithoutFreeSpace", "WithouFreSpacExt"}[rng.Intn(2)])
	le.PutUint32(b[16:], 2)
	le.PutUint32(b[28:], tracks)
	le.PutUint32(b[32:], entries)
	le.PutUint64(b[36:], uint64(tracks)*uint64(entries)+uint64(rng.Intn(1000)))
	if rng.Intn(8) == 0 {
		le.PutUint64(b[36:], formattest.RandomNumber(rng)>>9)
	}
	unit := tracks
	if b[14] == 'x' {
		unit = 1
	}
	for i := uint32(0); i < entries; {
		kind, entry := rng.Intn(3), uint32(formattest.RandomNumber(rng))
		for range 1 + rng.Intn(20) {
			if i >= entries {
				break
			}
			switch kind {
			case 1:
				le.PutUint32(b[64+4*i:], entry)
				entry += unit
			case 2:
				le.PutUint32(b[64+4*i:], uint32(formattest.RandomNumber(rng)))
			}
			i++
		}
	}
	return b
}

// RandomExtension returns an image with a format extension that holds a few dirty bitmaps. The
// extension is the last cluster; ext is its offset in bytes.
func RandomExtension(rng *rand.Rand) (b []byte, ext uint64) {
	le := binary.LittleEndian
	tracks, entries := uint64(8<<rng.Intn(4)), uint64(1+rng.Intn(8))
	cluster := tracks * sectorSize
	b = make([]byte, cluster*(entries+2))
	copy(b, "WithouFreSpacExt")
	le.PutUint32(b[16:], 2)
	le.PutUint32(b[28:], uint32(tracks))
	le.PutUint32(b[32:], uint32(entries))
	sectors := tracks*entries - uint64(rng.Intn(int(tracks)))
	le.PutUint64(b[36:], sectors)
	le.PutUint32(b[48:], uint32(tracks))
	for i := range entries {
		le.PutUint32(b[64+4*i:], uint32(rng.Intn(int(entries)+1)))
	}
	ext = cluster * (entries + 1)
	le.PutUint64(b[56:], ext/sectorSize)
	le.PutUint64(b[ext:], 0xAB234CEF23DCEA87)
	feature := b[ext+24:]
	for n := rng.Intn(3); n > 0; n-- {
		granules := uint64(8 << rng.Intn(4))
		le.PutUint64(feature, 0x20385FAE252CB34A)
		words := ((sectors+granules-1)/granules + 63) / 64
		l1 := (words*8 + cluster - 1) / cluster
		le.PutUint32(feature[16:], uint32(32+8*l1))
		le.PutUint64(feature[24:], sectors)
		copy(feature[32:], "0123456789abcde")
		feature[47] = byte(n)
		le.PutUint32(feature[48:], uint32(granules))
		le.PutUint32(feature[52:], uint32(l1))
		for i := range l1 {
			le.PutUint64(feature[56+8*i:], uint64(rng.Intn(3)))
		}
		feature = feature[56+8*l1:]
	}
	Sum(b, ext)
	return b, ext
}

// Sum sets the checksum of the extension at byte ext. It does nothing if the cluster of the
// extension is not in b.
func Sum(b []byte, ext uint64) {
	if len(b) < 64 {
		return
	}
	end := ext + uint64(binary.LittleEndian.Uint32(b[28:]))*sectorSize
	if end > uint64(len(b)) || end < ext+24 {
		return
	}
	sum := md5.Sum(b[ext+24 : end])
	copy(b[ext+8:], sum[:])
}
