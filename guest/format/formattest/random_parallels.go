package formattest

import (
	"crypto/md5"
	"encoding/binary"
	"math/rand"
)

// RandomParallelsExtension is an image of Parallels with a format extension that holds a few dirty
// bitmaps. ext is the offset of the extension, which is the last cluster, in bytes.
func RandomParallelsExtension(rng *rand.Rand) (b []byte, ext uint64) {
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
	ParallelsSum(b, ext)
	return b, ext
}

// ParallelsSum makes the checksum of the extension at an offset right, in the cluster that the
// header says, as far as there is one.
func ParallelsSum(b []byte, ext uint64) {
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
