package dmg

import "encoding/binary"

// The bytes of an image. Integers are big endian. At the end is a trailer which says where two
// forks and a property list lie. In the resource fork, or in <data> elements of the property
// list, in base64, are block tables: each is a header and the chunks of a part of the disk. The
// bytes of the chunks are in the data fork.

const (
	magic = "koly"
	// encrypted is at the start of an image that is encrypted as a whole, and so has no trailer.
	encrypted = "encrcdsa"

	trailerLen = 512
	sectorSize = 512

	// The trailer starts within searchLen bytes from the last searchFrom bytes on, as file
	// sizes are not multiples of a sector.
	searchFrom = 511 + 512
	searchLen  = 515

	offDataForkOffset = 0x18
	offRsrcForkOffset = 0x28
	offRsrcForkLength = 0x30
	offSegmentCount   = 0x3c // u32
	offXMLOffset      = 0xd8
	offXMLLength      = 0xe0
	offSectorCount    = 0x1ec

	// The resource fork starts with the offset of the resource data, u32 from its start, that
	// of a map, and the lengths of both. Resources follow each other, each behind its length,
	// u32.
	rsrcHeaderLen = 16
	rsrcLength    = 8

	// A block table.
	tableMagic      = "mish"
	tableHeaderLen  = 204
	offFirstSector  = 8    // u64, of the disk
	offTableData    = 0x18 // u64, added to where the bytes of chunks are
	chunkLen        = 40
	offChunkSector  = 8    // u64, from the first sector of the table
	offChunkSectors = 0x10 // u64
	offChunkData    = 0x18 // u64, from the start of the data fork
	offChunkLength  = 0x20 // u64, bytes

	// Limits of qemu.
	maxPlist       = 16 << 20                    // bytes
	maxChunkLength = 64 << 20                    // bytes
	maxChunkCount  = maxChunkLength / sectorSize // sectors, unless they are zero

	// Limits of our own: tables of a disk of terabytes, and memory for extents.
	maxTables = 64 << 20 // bytes
	maxRuns   = 1 << 16

	// bufferLen is the memory for the tables that are looked at, bytes.
	bufferLen = 256 << 10
)

// Types of chunks.
const (
	typeZero    = 0
	typeRaw     = 1
	typeIgnore  = 2 // never written: it reads as zeroes
	typeComment = 0x7ffffffe
	typeADC     = 0x80000004
	typeZlib    = 0x80000005
	typeBzip2   = 0x80000006
	typeLZFSE   = 0x80000007
	typeLZMA    = 0x80000008
	typeEnd     = 0xffffffff
)

// trailer is the end of an image.
type trailer [trailerLen]byte

func (t *trailer) u64(off int) uint64     { return binary.BigEndian.Uint64(t[off:]) }
func (t *trailer) dataForkOffset() uint64 { return t.u64(offDataForkOffset) }
func (t *trailer) rsrcForkOffset() uint64 { return t.u64(offRsrcForkOffset) }
func (t *trailer) rsrcForkLength() uint64 { return t.u64(offRsrcForkLength) }
func (t *trailer) segmentCount() uint32   { return binary.BigEndian.Uint32(t[offSegmentCount:]) }
func (t *trailer) xmlOffset() uint64      { return t.u64(offXMLOffset) }
func (t *trailer) xmlLength() uint64      { return t.u64(offXMLLength) }
func (t *trailer) sectorCount() uint64    { return t.u64(offSectorCount) }
