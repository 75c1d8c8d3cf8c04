package formattest

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf16"
)

// Offsets of the fields of a VHD's footer and, from VpcHeader on, of the dynamic disk header behind the first footer. Big
// endian.
const (
	VpcDataOffset  = 16
	VpcCreator     = 28
	VpcCurrentSize = 48
	VpcGeometry    = 56
	VpcType        = 60
	VpcChecksum    = 64

	VpcHeader      = 512
	VpcTableOffset = VpcHeader + 16
	VpcMaxEntries  = VpcHeader + 28
	VpcBlockSize   = VpcHeader + 32
	VpcParentName  = VpcHeader + 64
	VpcLocators    = VpcHeader + 576
	VpcTable       = VpcHeader + 1024 + vpcLocatorSpace // of the images built here
)

// Types of VHD.
const (
	VpcFixed        = 2
	VpcDynamic      = 3
	VpcDifferencing = 4
)

// VpcUnallocated is an entry of the table without a block.
const VpcUnallocated = 0xffffffff

// Each of the first three locators of an image built here has so much room for its name.
const vpcLocatorSpace = 3 * 512

// Vpc is a virtual hard disk. Blocks are put behind the table in the order in which they are made.
type Vpc struct {
	Type      uint32
	Creator   string // 4 bytes
	Size      uint64 // current size; the geometry is made to fit
	CHS       [3]uint16
	BlockSize uint32
	Table     []uint32
	// Names of the parent. Locators are code and name; Unicode stands in the header.
	Locators [][2]string
	Unicode  string

	blocks []byte
}

// NewVpc is an image of size bytes of which nothing is allocated, as Hyper-V would make it but for the size of its blocks.
func NewVpc(kind uint32, size uint64, blockSize uint32) *Vpc {
	v := &Vpc{Type: kind, Creator: "win ", Size: size, BlockSize: blockSize, CHS: [3]uint16{3, 4, 17}}
	v.Table = make([]uint32, (size+uint64(blockSize)-1)/uint64(blockSize))
	for i := range v.Table {
		v.Table[i] = VpcUnallocated
	}
	return v
}

func (v *Vpc) firstBlock() int { return (VpcTable + 4*len(v.Table) + 511) &^ 511 }

// BitmapSize is the size of the bitmap in front of each block, in bytes.
func (v *Vpc) BitmapSize() int { return (int(v.BlockSize)/4096 + 511) &^ 511 }

// Block gives block i of the disk a block of the file, whose bitmap is the given one and zeroes, and returns the offset of its
// data.
func (v *Vpc) Block(i int, bitmap []byte) uint64 {
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

// utf16Bytes is s in UTF-16.
func utf16Bytes(s string, order binary.AppendByteOrder) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

func (v *Vpc) footer() []byte {
	be := binary.BigEndian
	b := make([]byte, 512)
	copy(b, "conectix")
	be.PutUint32(b[8:], 2)
	be.PutUint32(b[12:], 1<<16)
	be.PutUint64(b[VpcDataOffset:], VpcHeader)
	if v.Type == VpcFixed {
		be.PutUint64(b[VpcDataOffset:], 1<<64-1)
	}
	copy(b[VpcCreator:VpcCreator+4], v.Creator)
	be.PutUint64(b[40:], v.Size)
	be.PutUint64(b[VpcCurrentSize:], v.Size)
	be.PutUint16(b[VpcGeometry:], v.CHS[0])
	b[VpcGeometry+2], b[VpcGeometry+3] = byte(v.CHS[1]), byte(v.CHS[2])
	be.PutUint32(b[VpcType:], v.Type)
	VpcSum(b)
	return b
}

// VpcSum sets the checksum of a footer.
func VpcSum(footer []byte) {
	sum := uint32(0)
	copy(footer[VpcChecksum:], make([]byte, 4))
	for _, c := range footer[:512] {
		sum += uint32(c)
	}
	binary.BigEndian.PutUint32(footer[VpcChecksum:], ^sum)
}

// Bytes is the image; of a fixed one the footer alone, in front of which the disk's bytes belong.
func (v *Vpc) Bytes() []byte {
	be := binary.BigEndian
	if v.Type == VpcFixed {
		return v.footer()
	}
	b := append(v.footer(), make([]byte, v.firstBlock()-512)...)
	copy(b[VpcHeader:], "cxsparse")
	be.PutUint64(b[VpcHeader+8:], 1<<64-1)
	be.PutUint64(b[VpcTableOffset:], VpcTable)
	be.PutUint32(b[VpcHeader+24:], 1<<16)
	be.PutUint32(b[VpcMaxEntries:], uint32(len(v.Table)))
	be.PutUint32(b[VpcBlockSize:], v.BlockSize)
	copy(b[VpcParentName:VpcParentName+512], utf16Bytes(v.Unicode, be))
	for i, l := range v.Locators {
		name := utf16Bytes(l[1], binary.LittleEndian)
		at := VpcHeader + 1024 + i*512
		copy(b[at:at+512], name)
		e := b[VpcLocators+24*i:]
		copy(e, l[0])
		be.PutUint32(e[4:], 512)
		be.PutUint32(e[8:], uint32(len(name)))
		be.PutUint64(e[16:], uint64(at))
	}
	for i, e := range v.Table {
		be.PutUint32(b[VpcTable+4*i:], e)
	}
	b = append(b, v.blocks...)
	return append(b, v.footer()...)
}

// RandomVpcTable is an image with blocks of any size, here and there, in any order, with bitmaps of every kind.
func RandomVpcTable(rng *rand.Rand, kind uint32) *Vpc {
	blockSize := uint32(512) << rng.Intn(9)
	size := uint64(rng.Intn(int(blockSize)*(1+rng.Intn(60)))) &^ 511
	v := NewVpc(kind, size, blockSize)
	v.Locators = [][2]string{{"W2ru", `.\parent`}}
	for range rng.Intn(4) {
		v.Table = append(v.Table, VpcUnallocated) // more than the disk needs
	}
	for _, i := range rng.Perm(len(v.Table)) {
		if rng.Intn(3) == 0 {
			continue
		}
		v.Block(i, randomBits(rng, v.BitmapSize()))
		if rng.Intn(12) == 0 && i > 0 {
			v.Table[i-1] = v.Table[i] + uint32(rng.Intn(3)) // blocks that overlap, if they lie in the file
		}
	}
	switch rng.Intn(3) {
	case 0:
		v.Creator = []string{"vpc ", "qemu", "qem2", "d2v ", "CTXS", "tap\x00", "vbox", "wa\x00\x00", "\x00\x00\x00\x00"}[rng.Intn(9)]
		v.CHS = [3]uint16{uint16(rng.Intn(100)), uint16(1 + rng.Intn(16)), uint16(1 + rng.Intn(63))}
	case 1:
		v.CHS = [3]uint16{65535, 16, 255}
	}
	return v
}

// randomBits are n bytes of bits in runs.
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

// RandomVpc makes dir/name: by qemu-img and qemu-io, or with a table that no writer makes. Some are damaged afterwards. It
// reports whether the image is a fixed one, which does not show by itself.
func RandomVpc(tb testing.TB, rng *rand.Rand, dir, name string) (fixed bool) {
	tb.Helper()
	path := filepath.Join(dir, name)
	switch rng.Intn(3) {
	case 0:
		kind := []uint32{VpcDynamic, VpcDynamic, VpcDifferencing, VpcFixed, 7}[rng.Intn(5)]
		v := RandomVpcTable(rng, VpcDynamic)
		v.Type = kind // a fixed one that has a footer in front, too
		b := v.Bytes()
		if kind == VpcFixed && rng.Intn(2) == 0 {
			fixed = true
			b = append(make([]byte, v.Size), b...)
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			tb.Fatal(err)
		}
	default:
		size := int64(rng.Intn(20 << 20))
		options := []string{fmt.Sprintf("force_size=%t", rng.Intn(2) == 0)}
		if rng.Intn(3) == 0 {
			fixed = true
			options = append(options, "subformat=fixed")
		}
		create(tb, dir, name, "vpc", options, size)
		blockHistory(tb, rng, path, "vpc", size, 2<<20)
	}
	if rng.Intn(10) == 0 {
		Shorten(tb, rng, path)
	}
	be := binary.BigEndian
	switch rng.Intn(6) {
	case 0: // the table, where it is in both sorts of images made here
		SpoilRegions(tb, rng, path, be, Region{1536, 40}, Region{VpcTable, 40})
	case 1:
		SpoilRegions(tb, rng, path, be, Region{VpcHeader, 48})
	case 2: // the first footer, or the last, with its checksum mostly right
		st, err := os.Stat(path)
		if err != nil {
			tb.Fatal(err)
		}
		at := uint64(0)
		if n := uint64(st.Size()); n >= 512 && fixed {
			at = n - 512
		}
		SpoilRegions(tb, rng, path, be, Region{at, 16}, Region{at + 16, 8}, Region{at + 28, 40}, Region{at + 48, 16})
		if rng.Intn(4) > 0 {
			sum(tb, path, int64(at))
		}
	}
	return fixed
}

// sum makes the checksum of the footer at off right.
func sum(tb testing.TB, path string, off int64) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 512)
	f.ReadAt(b, off) // what is behind the end is zero
	VpcSum(b)
	if _, err := f.WriteAt(b, off); err != nil {
		tb.Fatal(err)
	}
}
