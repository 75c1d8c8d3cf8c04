package bochs

import "encoding/binary"

// The bytes of an image, as the hard disk image format of the Bochs user manual and
// block/bochs.c of qemu have them. All integers are little endian. After the header comes the
// catalog, which has the number of an extent for each piece of the disk, and then the extents.
// Each is a bitmap of the sectors that it has, and room for all of them. The rest of the disk
// reads as zeroes.

const (
	magic   = "Bochs Virtual HD Image\x00"
	redolog = "Redolog\x00"
	growing = "Growing\x00"

	version1 = 0x10000
	version2 = 0x20000

	headerSize = 96 // of 512, the part that matters
	sectorSize = 512
	entryLen   = 4

	// maxCatalog is the most entries that qemu takes: those of the largest image that bximage
	// makes, 8 TiB.
	maxCatalog    = 1 << 20
	maxExtentSize = 8 << 20

	unallocated = 0xffffffff // in the catalog
)

// Offsets of the fields, for faults.
const (
	offVersion = 64
	offHeader  = 68
	offCatalog = 72
	offBitmap  = 76
	offExtent  = 80
	offDiskV1  = 84
	offDisk    = 88
)

// header is the start of an image.
type header [headerSize]byte

func (h *header) valid() bool {
	return string(h[:len(magic)]) == magic && string(h[32:32+len(redolog)]) == redolog &&
		string(h[48:48+len(growing)]) == growing &&
		(h.version() == version1 || h.version() == version2)
}

func (h *header) version() uint32 { return binary.LittleEndian.Uint32(h[offVersion:]) }

// header is the offset of the catalog, bytes.
func (h *header) header() uint32  { return binary.LittleEndian.Uint32(h[offHeader:]) }
func (h *header) catalog() uint32 { return binary.LittleEndian.Uint32(h[offCatalog:]) } // entries
func (h *header) bitmap() uint32  { return binary.LittleEndian.Uint32(h[offBitmap:]) }  // bytes
func (h *header) extent() uint32  { return binary.LittleEndian.Uint32(h[offExtent:]) }  // bytes

// disk is the size of the virtual disk, bytes.
func (h *header) disk() uint64 {
	if h.version() == version1 {
		return binary.LittleEndian.Uint64(h[offDiskV1:])
	}
	return binary.LittleEndian.Uint64(h[offDisk:])
}
