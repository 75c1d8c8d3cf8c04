package vdi

import "encoding/binary"

// The bytes of an image, as VDICore.h of VirtualBox lays them out (a preheader of 72 bytes,
// then VDIHEADER1PLUS). All integers are little endian; offsets and sizes are bytes. Accessors
// carry the names of VirtualBox.

const (
	signature  = 0xbeda107f
	version11  = 1<<16 | 1
	headerSize = 512 // as qemu reads it; VirtualBox uses 400 bytes
	sectorSize = 512
	uuidSize   = 16

	// blockBits is log2 of the one block size that qemu takes. VirtualBox writes no other
	// unless it is asked to.
	blockBits = 20
	blockSize = 1 << blockBits

	// maxBlocks is how many blocks qemu accepts: their entries in the map just fit in what it
	// reads at once, 2 GiB less a sector, rounded down to 128 blocks.
	maxBlocks = 0x1fffff80
	maxSize   = maxBlocks << blockBits

	typeStatic = 2 // VDI_IMAGE_TYPE_FIXED: all others are dynamic to qemu

	entrySize = 4
	// Entries from here on have no block in the file: 0xfffffffe (VDI_IMAGE_BLOCK_ZERO) was
	// discarded, 0xffffffff (VDI_IMAGE_BLOCK_FREE) nobody wrote.
	lowestUnused = 0xfffffffe
)

// header is the start of an image.
type header [headerSize]byte

// Offsets of the fields, for faults.
const (
	offSignature  = 0x40
	offVersion    = 0x44
	offType       = 0x4c
	offOffBlocks  = 0x154
	offOffData    = 0x158
	offSectorSize = 0x168
	offDiskSize   = 0x170
	offBlockSize  = 0x178
	offBlocks     = 0x180
	offLinkage    = 0x1a8
	offParent     = 0x1b8
)

func (h *header) u32(off int) uint32 { return binary.LittleEndian.Uint32(h[off:]) }

func (h *header) signature() uint32 { return h.u32(offSignature) }
func (h *header) version() uint32   { return h.u32(offVersion) }
func (h *header) imageType() uint32 { return h.u32(offType) }
func (h *header) offBlocks() uint32 { return h.u32(offOffBlocks) } // of the block map
func (h *header) offData() uint32   { return h.u32(offOffData) }   // of block 0
func (h *header) cbSector() uint32  { return h.u32(offSectorSize) }
func (h *header) cbDisk() uint64    { return binary.LittleEndian.Uint64(h[offDiskSize:]) }
func (h *header) cbBlock() uint32   { return h.u32(offBlockSize) }
func (h *header) cBlocks() uint32   { return h.u32(offBlocks) } // entries of the block map

// isNil reports whether the UUID at off is zero.
func (h *header) isNil(off int) bool {
	return [uuidSize]byte(h[off:off+uuidSize]) == [uuidSize]byte{}
}
