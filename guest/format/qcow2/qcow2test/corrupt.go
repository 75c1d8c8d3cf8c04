package qcow2test

import (
	"encoding/binary"
	"io"
	"math/rand"
)

// File is the file of an image. Bytes past its end may read as zeroes, or as io.EOF.
type File interface {
	io.ReaderAt
	io.WriterAt
}

// Corrupt changes a few fields of a valid image: mostly L1 and L2 entries and bitmaps,
// sometimes the refcount table or the header.
func Corrupt(rng *rand.Rand, f File) error {
	c := corrupter{rng, f}
	clusterBits := uint(c.get(OffClusterBits) >> 32)
	l1, entries := c.get(OffL1TableOffset), c.get(OffL1Size)>>32
	cluster := uint64(1) << clusterBits
	extended := c.get(OffVersion)>>32 >= 3 && c.get(OffIncompatible)&(1<<4) != 0
	// choose returns the offset of a field, or false if the image has none of the chosen kind.
	choose := func() (off uint64, ok bool) {
		kind := rng.Intn(20)
		if kind == 0 {
			return uint64(rng.Intn(HeaderLength)) &^ 3, true
		}
		if kind == 1 {
			return c.get(OffRefcountTableOffset) + uint64(rng.Intn(4))*8, true
		}
		if entries == 0 {
			return 0, false
		}
		slot := l1 + uint64(rng.Intn(int(min(entries, 64))))*8
		if kind == 2 {
			return slot, true
		}
		table := c.get(slot) & 0x00fffffffffffe00
		if table == 0 || table%cluster != 0 {
			return 0, false
		}
		off = table + uint64(rng.Intn(int(min(cluster, 2048))))&^7
		if extended && rng.Intn(3) > 0 {
			off |= 8 // a bitmap
		}
		return off, true
	}
	for range 1 + rng.Intn(6) {
		off, ok := choose()
		if !ok || off > farAway {
			continue
		}
		if err := c.mangle(off); err != nil {
			return err
		}
	}
	return nil
}

// farAway is more than any offset of an image that is not corrupt, in bytes.
const farAway = 1 << 40

type corrupter struct {
	rng *rand.Rand
	f   File
}

func (c corrupter) get(off uint64) uint64 {
	var b [8]byte
	c.f.ReadAt(b[:], int64(off)) // bytes past the end stay zero
	return binary.BigEndian.Uint64(b[:])
}

// mangle changes the 8 bytes at off.
func (c corrupter) mangle(off uint64) error {
	v := c.get(off)
	switch c.rng.Intn(7) {
	case 0:
		v ^= 1 << c.rng.Intn(64)
	case 1:
		v |= 1
	case 2:
		v ^= 0x200 << c.rng.Intn(12)
	case 3:
		v = 0
	case 4:
		v |= EntryCompressed
	case 5:
		v = c.rng.Uint64()
	case 6:
		v |= v >> 32 // in a bitmap, a subcluster that is both allocated and zero
	}
	_, err := c.f.WriteAt(binary.BigEndian.AppendUint64(nil, v), int64(off))
	return err
}
