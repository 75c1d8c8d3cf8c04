package parallels

import "encoding/binary"

// The bytes of an image, as docs/interop/parallels.rst of qemu lays them out. All integers are
// little endian.

const (
	magic    = "WithoutFreeSpace" // entries of the BAT are sectors
	magicExt = "WithouFreSpacExt" // entries of the BAT are clusters
	version  = 2

	headerSize = 64
	sectorSize = 512
	entryLen   = 4 // bytes of an entry of the BAT, which follows the header

	maxTracks     = (1<<31 - 1) / 513
	maxExtOff     = (1<<63-1)/sectorSize - 1 // since qemu 10.0
	maxBATEntries = (1<<31 - 1) / entryLen
)

// Offsets of the fields, for faults.
const (
	offVersion    = 16
	offTracks     = 28
	offBATEntries = 32
	offSectors    = 36
	offData       = 48
	offExtension  = 56
)

// header is the start of an image.
type header [headerSize]byte

func (h *header) u32(off int) uint32 { return binary.LittleEndian.Uint32(h[off:]) }
func (h *header) u64(off int) uint64 { return binary.LittleEndian.Uint64(h[off:]) }

func (h *header) magic() string      { return string(h[:len(magic)]) }
func (h *header) version() uint32    { return h.u32(offVersion) }
func (h *header) tracks() uint64     { return uint64(h.u32(offTracks)) } // sectors of a cluster
func (h *header) batEntries() uint64 { return uint64(h.u32(offBATEntries)) }
func (h *header) nbSectors() uint64  { return h.u64(offSectors) }
func (h *header) dataOff() uint64    { return uint64(h.u32(offData)) } // sectors; 0 is unknown
func (h *header) extOff() uint64     { return h.u64(offExtension) }    // sectors; 0 is none

// The format extension: a cluster with a header, the features one after the other, and zeroes.
const (
	extensionMagic  = 0xAB234CEF23DCEA87
	extensionHeader = 24 // magic u64, MD5 of the rest of the cluster

	featureHeader = 24 // magic u64, flags u64, data_size u32, unused u32
	featureEnd    = 0
	featureBitmap = 0x20385FAE252CB34A

	// A bitmap has size u64 in sectors, id [16], granularity u32 in sectors, l1_size u32, and then
	// the L1 table.
	bitmapHeader = 32

	offBitmapID          = 8
	offBitmapGranularity = 24
	offBitmapL1Size      = 28

	// maxExtension is the largest cluster with an extension that is looked at. Parallels makes
	// clusters of 1 MiB; the largest that a header can claim have 2 GiB.
	maxExtension = 64 << 20

	// maxBitmaps is how many bitmaps are told apart: each is a read, and memory. A disk has a
	// few; the largest extension has room for a million.
	maxBitmaps = 1 << 14
)

// bitmapFields is the header of a dirty bitmap.
type bitmapFields [bitmapHeader]byte

func (b *bitmapFields) sectors() uint64 { return binary.LittleEndian.Uint64(b[0:]) }
func (b *bitmapFields) id() [16]byte    { return [16]byte(b[offBitmapID:]) }

// granularity is in bytes, which qemu counts in 32 bits.
func (b *bitmapFields) granularity() uint32 {
	return binary.LittleEndian.Uint32(b[offBitmapGranularity:]) * sectorSize
}

// l1Size is the number of entries of the L1 table.
func (b *bitmapFields) l1Size() uint64 {
	return uint64(binary.LittleEndian.Uint32(b[offBitmapL1Size:]))
}
