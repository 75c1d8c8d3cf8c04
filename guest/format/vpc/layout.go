package vpc

import "encoding/binary"

// The bytes of an image, as the Virtual Hard Disk Image Format Specification (Microsoft, 2006)
// lays them out. All integers are big endian; offsets and sizes are bytes unless a name says
// otherwise. Accessors carry the names of the specification.

const (
	cookie       = "conectix"
	headerCookie = "cxsparse"

	footerSize = 512
	headerSize = 1024
	sectorSize = 512

	// Values of disk type.
	typeFixed        = 2
	typeDifferencing = 4 // all others are dynamic

	// maxGeometry is the number of sectors of the largest geometry, which a disk that is too
	// large for one has.
	maxGeometry = 65535 * 16 * 255
	// maxSectors is the largest disk that qemu accepts: 2040 GiB, as much as Microsoft's
	// software does.
	maxSectors = 0xff000000

	minBlockSize = sectorSize
	// maxEntries is how many entries of the table qemu can count in bytes (INT_MAX / 4).
	maxEntries  = 1<<29 - 1
	entrySize   = 4
	unallocated = 0xffffffff // an entry of the block allocation table without a block

	// maxLocator is the longest name of a parent, in bytes of UTF-16: no path that Linux opens
	// is longer.
	maxLocator = 2 * 4095
)

// Platform codes of parent locator entries, both with a name in UTF-16, little endian.
const (
	codeRelative = "W2ru"
	codeAbsolute = "W2ku"
)

// footer is the hard disk footer: the end of an image, and also the start unless the image is
// fixed.
type footer [footerSize]byte

// Offsets of the footer's fields, for faults.
const (
	offDataOffset  = 16
	offCreator     = 28
	offCurrentSize = 48
	offGeometry    = 56
	offDiskType    = 60
	offChecksum    = 64
)

func (f *footer) hasCookie() bool     { return string(f[:len(cookie)]) == cookie }
func (f *footer) dataOffset() uint64  { return binary.BigEndian.Uint64(f[offDataOffset:]) }
func (f *footer) creator() string     { return string(f[offCreator : offCreator+4]) }
func (f *footer) currentSize() uint64 { return binary.BigEndian.Uint64(f[offCurrentSize:]) }
func (f *footer) diskType() uint32    { return binary.BigEndian.Uint32(f[offDiskType:]) }
func (f *footer) checksum() uint32    { return binary.BigEndian.Uint32(f[offChecksum:]) }

// geometry is the number of sectors that cylinders, heads and sectors per track make.
func (f *footer) geometry() uint64 {
	cylinders := uint64(binary.BigEndian.Uint16(f[offGeometry:]))
	return cylinders * uint64(f[offGeometry+2]) * uint64(f[offGeometry+3])
}

// sum returns the correct checksum.
func (f *footer) sum() uint32 {
	n := uint32(0)
	for i, b := range f {
		if i < offChecksum || i >= offChecksum+4 {
			n += uint32(b)
		}
	}
	return ^n
}

// header is the dynamic disk header.
type header [headerSize]byte

// Offsets of the header's fields.
const (
	offTableOffset = 16
	offMaxEntries  = 28
	offBlockSize   = 32
	offParentName  = 64 // 256 units of UTF-16, big endian
	parentNameSize = 512
	offLocators    = 576
	locatorSize    = 24
	locators       = 8
)

func (h *header) hasCookie() bool         { return string(h[:len(headerCookie)]) == headerCookie }
func (h *header) tableOffset() uint64     { return binary.BigEndian.Uint64(h[offTableOffset:]) }
func (h *header) maxTableEntries() uint32 { return binary.BigEndian.Uint32(h[offMaxEntries:]) }
func (h *header) blockSize() uint32       { return binary.BigEndian.Uint32(h[offBlockSize:]) }
func (h *header) parentUnicodeName() []byte {
	return h[offParentName : offParentName+parentNameSize]
}

// locator is a parent locator entry.
type locator [locatorSize]byte

func (h *header) locator(i int) *locator {
	return (*locator)(h[offLocators+i*locatorSize:])
}

func (l *locator) platformCode() string       { return string(l[:4]) }
func (l *locator) platformDataLength() uint32 { return binary.BigEndian.Uint32(l[8:]) }
func (l *locator) platformDataOffset() uint64 { return binary.BigEndian.Uint64(l[16:]) }
