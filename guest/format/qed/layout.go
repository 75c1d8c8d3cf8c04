package qed

import "encoding/binary"

// The bytes of an image, as docs/interop/qed_spec.rst of qemu lays them out. All integers are
// little endian; offsets and sizes are bytes unless a comment says otherwise.

const (
	magic = "QED\x00"

	headerSize = 64
	sectorSize = 512

	minClusterSize = 4 << 10
	maxClusterSize = 64 << 20
	maxTableSize   = 16 // clusters
	entryLen       = 8  // bytes of an entry of either table

	maxBackingName = 4095 // a path of qemu less its NUL
)

// Bits of features.
const (
	featureBacking    = 1 << 0
	featureNeedCheck  = 1 << 1
	featureBackingRaw = 1 << 2
	featuresKnown     = featureBacking | featureNeedCheck | featureBackingRaw
)

// Values of entries that are no offsets.
const (
	entryUnallocated = 0
	entryZero        = 1 // of an L2 table
)

// Offsets of the fields, for faults.
const (
	offClusterSize           = 4
	offTableSize             = 8
	offHeaderSize            = 12
	offFeatures              = 16
	offL1TableOffset         = 40
	offImageSize             = 48
	offBackingFilenameOffset = 56
	offBackingFilenameSize   = 60
)

// header is the start of an image.
type header [headerSize]byte

func (h *header) u32(off int) uint32 { return binary.LittleEndian.Uint32(h[off:]) }
func (h *header) u64(off int) uint64 { return binary.LittleEndian.Uint64(h[off:]) }

func (h *header) clusterSize() uint64           { return uint64(h.u32(offClusterSize)) }
func (h *header) tableSize() uint64             { return uint64(h.u32(offTableSize)) }  // clusters
func (h *header) headerSize() uint64            { return uint64(h.u32(offHeaderSize)) } // clusters
func (h *header) features() uint64              { return h.u64(offFeatures) }
func (h *header) l1TableOffset() uint64         { return h.u64(offL1TableOffset) }
func (h *header) imageSize() uint64             { return h.u64(offImageSize) }
func (h *header) backingFilenameOffset() uint64 { return uint64(h.u32(offBackingFilenameOffset)) }
func (h *header) backingFilenameSize() uint64   { return uint64(h.u32(offBackingFilenameSize)) }
