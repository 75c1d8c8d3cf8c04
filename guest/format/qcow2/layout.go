package qcow2

import "encoding/binary"

// The bytes of an image, as https://www.qemu.org/docs/master/interop/qcow2.html
// (docs/interop/qcow2.rst of qemu) lays them out. All integers are big endian; all offsets and
// sizes are bytes unless a name says otherwise. Accessors carry the names of the specification.

const (
	magic = "QFI\xfb"

	headerLengthV2  = 72  // header_length of a version 2 image, which does not store it
	headerLengthMin = 104 // of version 3
	headerSize      = 112 // what this build knows, with compression_type and its padding

	minClusterBits  = 9
	maxClusterBits  = 21
	minClusterSize  = 1 << minClusterBits
	sectorSize      = 512
	subclusters     = 32 // in a cluster, with extended L2 entries
	maxRefcountBits = 6  // refcount_order: entries of at most 64 bits
	refcountOrderV2 = 4  // refcount_order of a version 2 image, which does not store it

	// Limits of qemu, which reads these tables whole.
	maxL1Bytes       = 32 << 20
	maxReftableBytes = 8 << 20
	maxL1Needed      = 1<<31 - 1 // entries, an int of C

	// maxVirtualSize is the highest virtual size plus one, in bytes: qemu counts sectors in a
	// signed 64-bit byte count.
	maxVirtualSize = 1 << 63

	maxBackingName   = 1023 // backing_file_size
	maxBackingFormat = 15   // length of the backing format name
	maxDataFileName  = 4095 // PATH_MAX less its NUL: no longer name can be opened

	// qemu looks at L2 tables in slices: whole tables when all tables of the image fit in
	// wholeTables, else 4096 bytes.
	wholeTables = 32 << 20
	sliceBytes  = 4096
	// maxCall is how many bytes of the virtual disk qemu asks of an L2 slice at once (INT_MAX
	// of C).
	maxCall = 1<<31 - 1
)

// Bits of incompatible_features and autoclear_features.
const (
	incompatibleDataFile    = 1 << 2
	incompatibleCompression = 1 << 3
	incompatibleExtendedL2  = 1 << 4
	// incompatibleKnown includes bits 0 (dirty) and 1 (corrupt), which do not matter to a reader.
	incompatibleKnown = 0x1f

	autoclearBitmaps = 1 << 0
	autoclearDataRaw = 1 << 1
)

// Values of crypt_method and compression_type.
const (
	cryptNone = 0
	cryptAES  = 1
	cryptLUKS = 2

	compressionZlib = 0
	compressionZstd = 1
)

// Fields of L1, L2 and refcount table entries.
const (
	l1OffsetMask  = 0x00fffffffffffe00
	l2OffsetMask  = 0x00fffffffffffe00
	l2Zero        = 1 << 0 // not with extended L2 entries
	l2Compressed  = 1 << 62
	l2Copied      = 1 << 63
	reftableMask  = 0xfffffffffffffe00
	l1EntrySize   = 8
	l2EntrySize   = 8
	l2ExtendedLen = 16 // an entry and its subcluster bitmap
	reftableEntry = 8
)

// header is the start of an image.
type header [headerSize]byte

func (h *header) u32(off int) uint32 { return binary.BigEndian.Uint32(h[off:]) }
func (h *header) u64(off int) uint64 { return binary.BigEndian.Uint64(h[off:]) }

// Offsets of the fields, for faults.
const (
	offVersion             = 4
	offBackingFileOffset   = 8
	offBackingFileSize     = 16
	offClusterBits         = 20
	offSize                = 24
	offCryptMethod         = 32
	offL1Size              = 36
	offL1TableOffset       = 40
	offRefcountTableOffset = 48
	offRefcountTableSize   = 56
	offNbSnapshots         = 60
	offSnapshotsOffset     = 64
	offIncompatible        = 72
	offAutoclear           = 88
	offRefcountOrder       = 96
	offHeaderLength        = 100
	offCompressionType     = 104
)

func (h *header) version() uint32               { return h.u32(offVersion) }
func (h *header) backingFileOffset() uint64     { return h.u64(offBackingFileOffset) }
func (h *header) backingFileSize() uint32       { return h.u32(offBackingFileSize) }
func (h *header) clusterBits() uint32           { return h.u32(offClusterBits) }
func (h *header) size() uint64                  { return h.u64(offSize) }
func (h *header) cryptMethod() uint32           { return h.u32(offCryptMethod) }
func (h *header) l1Size() uint32                { return h.u32(offL1Size) } // entries
func (h *header) l1TableOffset() uint64         { return h.u64(offL1TableOffset) }
func (h *header) refcountTableOffset() uint64   { return h.u64(offRefcountTableOffset) }
func (h *header) refcountTableClusters() uint32 { return h.u32(offRefcountTableSize) }
func (h *header) nbSnapshots() uint32           { return h.u32(offNbSnapshots) }
func (h *header) snapshotsOffset() uint64       { return h.u64(offSnapshotsOffset) }

// The fields below exist in version 3 only; for version 2 they have fixed values.

func (h *header) incompatible() uint64 {
	if h.version() < 3 {
		return 0
	}
	return h.u64(offIncompatible)
}

func (h *header) autoclear() uint64 {
	if h.version() < 3 {
		return 0
	}
	return h.u64(offAutoclear)
}

func (h *header) refcountOrder() uint32 {
	if h.version() < 3 {
		return refcountOrderV2
	}
	return h.u32(offRefcountOrder)
}

func (h *header) headerLength() uint32 {
	if h.version() < 3 {
		return headerLengthV2
	}
	return h.u32(offHeaderLength)
}

// compressionType is zlib where the header is too short to say.
func (h *header) compressionType() byte {
	if h.headerLength() <= offCompressionType {
		return compressionZlib
	}
	return h[offCompressionType]
}
