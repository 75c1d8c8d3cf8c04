// Package vpctest builds virtual hard disks (VHD) for tests.
package vpctest

import (
	"encoding/binary"
	"math/rand"
	"unicode/utf16"
)

// Offsets in an image built here, in bytes: of the fields of the footer, then of the dynamic
// disk header that follows the first footer, and of its fields. The fields are big endian.
const (
	DataOffset  = 16
	Creator     = 28
	CurrentSize = 48
	Geometry    = 56
	Type        = 60
	Checksum    = 64

	Header      = 512
	TableOffset = Header + 16
	MaxEntries  = Header + 28
	BlockSize   = Header + 32
	ParentName  = Header + 64
	Locators    = Header + 576
	Table       = Header + 1024 + locatorSpace
)

// Types of images.
const (
	Fixed        = 2
	Dynamic      = 3
	Differencing = 4
)

// Unallocated is the entry of a block that has no place.
const Unallocated = 0xffffffff

// locatorSpace holds the names of three locators, in bytes.
const locatorSpace = 3 * 512

// Image is an image to build. Blocks follow the table in the order of the calls of Block.
type Image struct {
	Type      uint32
	Creator   string // 4 bytes
	Size      uint64 // the current size, bytes
	CHS       [3]uint16
	BlockSize uint32
	Table     []uint32
	Locators  [][2]string // codes and names of the parent
	Unicode   string      // name of the parent in the header

	blocks []byte
}

// New starts an image of size bytes with nothing allocated. It is one of Hyper-V except for the
// sizes of its blocks.
func New(kind uint32, size uint64, blockSize uint32) *Image {
	v := &Image{Type: kind, Creator: "win ", Size: size, BlockSize: blockSize,
		CHS: [3]uint16{3, 4, 17}}
	v.Table = make([]uint32, (size+uint64(blockSize)-1)/uint64(blockSize))
	for i := range v.Table {
		v.Table[i] = Unallocated
	}
	return v
}

func (v *Image) firstBlock() int { return (Table + 4*len(v.Table) + 511) &^ 511 }

// BitmapSize returns the size of the bitmap in front of each block, in bytes.
func (v *Image) BitmapSize() int { return (int(v.BlockSize)/4096 + 511) &^ 511 }

// Block allocates block i of the disk and returns the offset of its data. Its bitmap starts
// with the given bytes, the rest is zeroes.
func (v *Image) Block(i int, bitmap []byte) uint64 {
	at := v.firstBlock() + len(v.blocks)
	v.Table[i] = uint32(at / 512)
	b := make([]byte, v.BitmapSize()+int(v.BlockSize))
	copy(b, bitmap)
	for j := v.BitmapSize(); j < len(b); j++ {
		b[j] = byte(j) | 1
	}
	v.blocks = append(v.blocks, b...)
	return uint64(at + v.BitmapSize())
}

// utf16Bytes returns s in UTF-16.
func utf16Bytes(s string, order binary.AppendByteOrder) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

func (v *Image) footer() []byte {
	be := binary.BigEndian
	b := make([]byte, 512)
	copy(b, "conectix")
	be.PutUint32(b[8:], 2)
	be.PutUint32(b[12:], 1<<16)
	be.PutUint64(b[DataOffset:], Header)
	if v.Type == Fixed {
		be.PutUint64(b[DataOffset:], 1<<64-1)
	}
	copy(b[Creator:Creator+4], v.Creator)
	be.PutUint64(b[40:], v.Size)
	be.PutUint64(b[CurrentSize:], v.Size)
	be.PutUint16(b[Geometry:], v.CHS[0])
	b[Geometry+2], b[Geometry+3] = byte(v.CHS[1]), byte(v.CHS[2])
	be.PutUint32(b[Type:], v.Type)
	Sum(b)
	return b
}

// Sum sets the checksum of a footer.
func Sum(footer []byte) {
	sum := uint32(0)
	copy(footer[Checksum:], make([]byte, 4))
	for _, c := range footer[:512] {
		sum += uint32(c)
	}
	binary.BigEndian.PutUint32(footer[Checksum:], ^sum)
}

// Bytes returns the image. For a fixed image it returns only the footer, which follows the
// bytes of the disk.
func (v *Image) Bytes() []byte {
	be := binary.BigEndian
	if v.Type == Fixed {
		return v.footer()
	}
	b := append(v.footer(), make([]byte, v.firstBlock()-512)...)
	copy(b[Header:], "cxsparse")
	be.PutUint64(b[Header+8:], 1<<64-1)
	be.PutUint64(b[TableOffset:], Table)
	be.PutUint32(b[Header+24:], 1<<16)
	be.PutUint32(b[MaxEntries:], uint32(len(v.Table)))
	be.PutUint32(b[BlockSize:], v.BlockSize)
	copy(b[ParentName:ParentName+512], utf16Bytes(v.Unicode, be))
	for i, l := range v.Locators {
		name := utf16Bytes(l[1], binary.LittleEndian)
		at := Header + 1024 + i*512
		copy(b[at:at+512], name)
		e := b[Locators+24*i:]
		copy(e, l[0])
		be.PutUint32(e[4:], 512)
		be.PutUint32(e[8:], uint32(len(name)))
		be.PutUint64(e[16:], uint64(at))
	}
	for i, e := range v.Table {
		be.PutUint32(b[Table+4*i:], e)
	}
	b = append(b, v.blocks...)
	return append(b, v.footer()...)
}

// Random returns an image of the given type with blocks of a random size, in any order, with
// bitmaps of every kind.
func Random(rng *rand.Rand, kind uint32) *Image {
	blockSize := uint32(512) << rng.Intn(9)
	size := uint64(rng.Intn(int(blockSize)*(1+rng.Intn(60)))) &^ 511
	v := New(kind, size, blockSize)
	v.Locators = [][2]string{{"W2ru", `.\parent`}}
	for range rng.Intn(4) {
		v.Table = append(v.Table, Unallocated) // more than the disk needs
	}
	for _, i := range rng.Perm(len(v.Table)) {
		if rng.Intn(3) == 0 {
			continue
		}
		v.Block(i, randomBits(rng, v.BitmapSize()))
		if rng.Intn(12) == 0 && i > 0 {
			// The blocks overlap if they are in the file.
			v.Table[i-1] = v.Table[i] + uint32(rng.Intn(3))
		}
	}
	switch rng.Intn(3) {
	case 0:
		creators := []string{"vpc ", "qemu", "qem2", "d2v ", "CTXS", "tap\x00", "vbox",
			"wa\x00\x00", "\x00\x00\x00\x00"}
		v.Creator = creators[rng.Intn(9)]
		v.CHS = [3]uint16{uint16(rng.Intn(100)), uint16(1 + rng.Intn(16)), uint16(1 + rng.Intn(63))}
	case 1:
		v.CHS = [3]uint16{65535, 16, 255}
	}
	return v
}

// randomBits returns n bytes with runs of bits.
func randomBits(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := 0; i < 8*n; {
		run := 1 + rng.Intn(1+rng.Intn(200))
		set := rng.Intn(2) == 0
		for ; run > 0 && i < 8*n; run, i = run-1, i+1 {
			if set {
				b[i/8] |= 0x80 >> (i % 8)
			}
		}
	}
	return b
}
