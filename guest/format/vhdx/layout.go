package vhdx

import (
	"encoding/binary"
	"hash/crc32"
	"sync"
)

// The bytes of an image, as [MS-VHDX] lays them out. All integers are little endian; offsets
// and sizes are bytes unless a name says otherwise. Accessors carry the names of the
// specification.

const (
	signature = "vhdxfile"

	kib = 1 << 10
	mib = 1 << 20

	// The header section is the first MiB.
	headerSection   = mib
	offHeader1      = 64 * kib
	offHeader2      = 128 * kib
	offRegionTable1 = 192 * kib
	offRegionTable2 = 256 * kib

	headerSize = 4 * kib // the bytes under its checksum
	headerUsed = 80      // the bytes that have a meaning
	tableSize  = 64 * kib

	maxEntries = 2047 // of the region table and the metadata table
	entrySize  = 32   // of both

	maxDisk      = 64 << 40 // VirtualDiskSize
	minBlockSize = mib
	maxBlockSize = 256 * mib
	chunkSectors = 1 << 23 // logical sectors that a sector bitmap block has bits for
	batEntrySize = 8
	locatorFixed = 20 // bytes of a parent locator in front of its entries
	locatorEntry = 12

	// maxPath is the longest path of a parent, in bytes of UTF-16: no path that Linux opens is
	// longer.
	maxPath = 2 * 4095
	// maxLocator is the longest parent locator. One that is made of two GUIDs and three paths
	// of Windows has some KiB.
	maxLocator = 64 * kib
)

// Values of BAT entries.
const (
	stateMask  = 7
	offsetMask = 0xfffffffffff00000

	notPresent       = 0
	undefined        = 1
	zeroes           = 2
	unmapped         = 3
	unmappedBefore1  = 5 // as version 0.95 of the specification had it
	fullyPresent     = 6 // also of a sector bitmap block
	partiallyPresent = 7
)

// guid is a GUID as it is stored: its first three numbers are little endian.
type guid [16]byte

// The GUIDs of regions, of metadata items, and of the one type of parent locator.
const (
	// 2DC27766-F623-4200-9D64-115E9BFD4A08
	batRegion = "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08"
	// 8B7CA206-4790-4B9A-B8FE-575F050F886E
	metadataRegion = "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"

	// CAA16737-FA36-4D43-B3B6-33F0AA44E76B
	fileParameters = "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"
	// 2FA54224-CD1B-4876-B211-5DBED83BF4B8
	diskSize = "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8"
	// BECA12AB-B2E6-4523-93EF-C309E000C746
	diskID = "\xab\x12\xca\xbe\xe6\xb2\x23\x45\x93\xef\xc3\x09\xe0\x00\xc7\x46"
	// 8141BF1D-A96F-4709-BA47-F233A8FAAB5F
	logicalSector = "\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f"
	// CDA348C7-445D-4471-9CC9-E9885251C556
	physicalSector = "\xc7\x48\xa3\xcd\x5d\x44\x71\x44\x9c\xc9\xe9\x88\x52\x51\xc5\x56"
	// A8D35F2D-B30B-454D-ABF7-D3D84834AB0C
	parentLocator = "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c"

	// B04AEFB7-D19E-4A81-B789-25B8E9445913
	vhdxLocator = "\xb7\xef\x4a\xb0\x9e\xd1\x81\x4a\xb7\x89\x25\xb8\xe9\x44\x59\x13"
)

// Bits of flags.
const (
	regionRequired  = 1 << 0
	itemRequired    = 1 << 2
	leaveAllocated  = 1 << 0 // of the file parameters
	hasParent       = 1 << 1
	headerVersion   = 1
	headerSignature = "head"
	regionSignature = "regi"
	tableSignature  = "metadata"
)

// header is one of the two headers, as far as it has a meaning.
type header [headerUsed]byte

// Offsets of its fields, for faults.
const (
	offChecksum   = 4
	offLogVersion = 64
	offLogLength  = 68
	offLogOffset  = 72
)

func (h *header) sequenceNumber() uint64 { return binary.LittleEndian.Uint64(h[8:]) }
func (h *header) logGUID() guid          { return guid(h[48:64]) }
func (h *header) logVersion() uint16     { return binary.LittleEndian.Uint16(h[offLogVersion:]) }
func (h *header) version() uint16        { return binary.LittleEndian.Uint16(h[66:]) }
func (h *header) logLength() uint32      { return binary.LittleEndian.Uint32(h[offLogLength:]) }
func (h *header) logOffset() uint64      { return binary.LittleEndian.Uint64(h[offLogOffset:]) }

// entry is one of the region table or of the metadata table.
type entry [entrySize]byte

func (e *entry) guid() string { return string(e[:16]) }

func (e *entry) fileOffset() uint64   { return binary.LittleEndian.Uint64(e[16:]) } // of a region
func (e *entry) regionLength() uint32 { return binary.LittleEndian.Uint32(e[24:]) }
func (e *entry) regionRequired() bool { return e[28]&regionRequired != 0 }

// itemOffset is relative to the start of the region.
func (e *entry) itemOffset() uint32   { return binary.LittleEndian.Uint32(e[16:]) }
func (e *entry) itemLength() uint32   { return binary.LittleEndian.Uint32(e[20:]) }
func (e *entry) itemIsRequired() bool { return e[24]&itemRequired != 0 }

// castagnoli is the polynomial of all checksums.
// castagnoli makes the table when it is first used: that takes longer than most runs.
var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

var fourZeroes [4]byte

// checksum returns the checksum of a structure, with its checksum field taken as zero.
func checksum(b []byte) uint32 {
	sum := crc32.Update(0, castagnoli(), b[:offChecksum])
	sum = crc32.Update(sum, castagnoli(), fourZeroes[:])
	return crc32.Update(sum, castagnoli(), b[offChecksum+4:])
}

// sound reports whether a structure's checksum is right.
func sound(b []byte) bool { return checksum(b) == binary.LittleEndian.Uint32(b[offChecksum:]) }
