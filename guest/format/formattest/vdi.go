package formattest

import (
	"encoding/binary"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
)

// Offsets of the fields of a VDI's header, little endian, for tests that spoil one.
const (
	VdiSignature  = 0x40
	VdiVersion    = 0x44
	VdiType       = 0x4c
	VdiOffBlocks  = 0x154
	VdiOffData    = 0x158
	VdiSectorSize = 0x168
	VdiDiskSize   = 0x170
	VdiBlockSize  = 0x178
	VdiBlocks     = 0x180
	VdiLinkage    = 0x1a8
	VdiParent     = 0x1b8
)

// What entries of a VDI's map say that stand for no block.
const (
	VdiFree = 0xffffffff
	VdiZero = 0xfffffffe
)

const vdiBlock = 1 << 20

// Vdi is an image of VirtualBox up to the end of its block map.
type Vdi struct {
	Size      uint64 // as the header has it
	Type      uint32
	OffBlocks uint32
	OffData   uint32
	Map       []uint32
}

// NewVdi is a dynamic image of size bytes, in which nothing is written, as VirtualBox lays it out.
func NewVdi(size uint64) *Vdi {
	v := &Vdi{Size: size, Type: 1, OffBlocks: 512, Map: make([]uint32, (size+vdiBlock-1)/vdiBlock)}
	v.OffData = uint32(512+4*len(v.Map)+511) &^ 511
	for i := range v.Map {
		v.Map[i] = VdiFree
	}
	return v
}

// Bytes are the header and the map.
func (v *Vdi) Bytes() []byte {
	le := binary.LittleEndian
	b := make([]byte, int(v.OffBlocks)+4*len(v.Map))
	copy(b, "<<< Oracle VM VirtualBox Disk Image >>>\n")
	le.PutUint32(b[VdiSignature:], 0xbeda107f)
	le.PutUint32(b[VdiVersion:], 1<<16|1)
	le.PutUint32(b[0x48:], 400) // cbHeader
	le.PutUint32(b[VdiType:], v.Type)
	le.PutUint32(b[VdiOffBlocks:], v.OffBlocks)
	le.PutUint32(b[VdiOffData:], v.OffData)
	le.PutUint32(b[VdiSectorSize:], 512)
	le.PutUint64(b[VdiDiskSize:], v.Size)
	le.PutUint32(b[VdiBlockSize:], vdiBlock)
	le.PutUint32(b[VdiBlocks:], uint32(len(v.Map)))
	for i, e := range v.Map {
		le.PutUint32(b[int(v.OffBlocks)+4*i:], e)
	}
	return b
}

// RandomVdiMap is an image whose map has every kind of entry, in runs and alone.
func RandomVdiMap(rng *rand.Rand) *Vdi {
	v := NewVdi(uint64(rng.Intn(600 << 20)))
	if rng.Intn(2) == 0 {
		v.Type = 2
	}
	v.OffBlocks, v.OffData = uint32(1+rng.Intn(9))*512, uint32(rng.Intn(5000))*512
	for i := 0; i < len(v.Map); {
		first := uint32(rng.Intn(1000))
		switch rng.Intn(8) {
		case 0, 1:
			first = VdiFree
		case 2:
			first = VdiZero
		case 3:
			first = VdiZero - uint32(rng.Intn(4)) // a run up to the last block that there can be
		case 4:
			first = rng.Uint32()
		}
		for range 1 + rng.Intn(8) {
			if i == len(v.Map) {
				break
			}
			v.Map[i] = first
			i++
			if first < VdiZero {
				first++
			}
		}
	}
	return v
}

// RandomVdi makes dir/name: by qemu-img and qemu-io, or with a map that no writer makes. Some are damaged afterwards.
func RandomVdi(tb testing.TB, rng *rand.Rand, dir, name string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if rng.Intn(3) == 0 {
		if err := os.WriteFile(path, RandomVdiMap(rng).Bytes(), 0o666); err != nil {
			tb.Fatal(err)
		}
		if err := os.Truncate(path, int64(rng.Intn(1<<24))); err != nil {
			tb.Fatal(err)
		}
	} else {
		size := int64(rng.Intn(20 << 20))
		var options []string
		if rng.Intn(2) == 0 {
			options = []string{"static=on"}
		}
		create(tb, dir, name, "vdi", options, size)
		blockHistory(tb, rng, path, "vdi", size, vdiBlock)
	}
	if rng.Intn(8) == 0 {
		Shorten(tb, rng, path)
	}
	switch rng.Intn(4) {
	case 0: // the map
		SpoilRegions(tb, rng, path, binary.LittleEndian, Region{512, 80})
	case 1: // the header
		SpoilRegions(tb, rng, path, binary.LittleEndian, Region{0x40, 16}, Region{0x150, 0x34}, Region{0x1a8, 32})
	}
	return path
}
