// Package vditest builds images of VirtualBox for tests.
package vditest

import (
	"encoding/binary"
	"math/rand"
)

// Offsets of the fields of a header, in bytes. The fields are little endian.
const (
	Signature  = 0x40
	Version    = 0x44
	Type       = 0x4c
	OffBlocks  = 0x154
	OffData    = 0x158
	SectorSize = 0x168
	DiskSize   = 0x170
	BlockSize  = 0x178
	Blocks     = 0x180
	Linkage    = 0x1a8
	Parent     = 0x1b8
)

// Entries of the block map that point to no block.
const (
	Free = 0xffffffff
	Zero = 0xfffffffe
)

// BlockLen is the size of a block in bytes.
const BlockLen = 1 << 20

// Image is an image to build, up to the end of its block map.
type Image struct {
	Size      uint64 // of the disk, bytes
	Type      uint32
	OffBlocks uint32
	OffData   uint32
	Map       []uint32
}

// New starts a dynamic image of size bytes without blocks, laid out as VirtualBox does.
func New(size uint64) *Image {
	v := &Image{Size: size, Type: 1, OffBlocks: 512}
	v.Map = make([]uint32, (size+BlockLen-1)/BlockLen)
	v.OffData = uint32(512+4*len(v.Map)+511) &^ 511
	for i := range v.Map {
		v.Map[i] = Free
	}
	return v
}

// Bytes returns the header and the block map.
func (v *Image) Bytes() []byte {
	le := binary.LittleEndian
	b := make([]byte, int(v.OffBlocks)+4*len(v.Map))
	copy(b, "<<< Oracle VM VirtualBox Disk Image >>>\n")
	le.PutUint32(b[Signature:], 0xbeda107f)
	le.PutUint32(b[Version:], 1<<16|1)
	le.PutUint32(b[0x48:], 400) // cbHeader
	le.PutUint32(b[Type:], v.Type)
	le.PutUint32(b[OffBlocks:], v.OffBlocks)
	le.PutUint32(b[OffData:], v.OffData)
	le.PutUint32(b[SectorSize:], 512)
	le.PutUint64(b[DiskSize:], v.Size)
	le.PutUint32(b[BlockSize:], BlockLen)
	le.PutUint32(b[Blocks:], uint32(len(v.Map)))
	for i, e := range v.Map {
		le.PutUint32(b[int(v.OffBlocks)+4*i:], e)
	}
	return b
}

// Random returns an image whose map has every kind of entry, in runs and alone.
func Random(rng *rand.Rand) *Image {
	v := New(uint64(rng.Intn(600 << 20)))
	if rng.Intn(2) == 0 {
		v.Type = 2
	}
	v.OffBlocks, v.OffData = uint32(1+rng.Intn(9))*512, uint32(rng.Intn(5000))*512
	for i := 0; i < len(v.Map); {
		first := uint32(rng.Intn(1000))
		switch rng.Intn(8) {
		case 0, 1:
			first = Free
		case 2:
			first = Zero
		case 3:
			first = Zero - uint32(rng.Intn(4)) // a run up to the last block that there can be
		case 4:
			first = rng.Uint32()
		}
		for range 1 + rng.Intn(8) {
			if i == len(v.Map) {
				break
			}
			v.Map[i] = first
			i++
			if first < Zero {
				first++
			}
		}
	}
	return v
}
