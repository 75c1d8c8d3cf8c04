package qcow

import "encoding/binary"

// The bytes of an image, as block/qcow.c of qemu lays them out: there is no other
// specification. All integers are big endian; offsets and sizes are bytes.

const (
	magic   = "QFI\xfb"
	version = 1

	headerSize = 48
	sectorSize = 512

	minClusterBits = 9
	maxClusterBits = 16
	minL2Bits      = 6 // log2 of entries: tables of 512 bytes ...
	maxL2Bits      = 13
	minSize        = 2
	entryLen       = 8 // bytes of an entry of either table
	maxL1Entries   = (1<<31 - 1) / 8

	maxBackingName = 1023

	compressed = 1 << 63 // in an L2 entry
)

// Values of crypt_method.
const (
	cryptNone = 0
	cryptAES  = 1
)

// Offsets of the fields, for faults.
const (
	offVersion           = 4
	offBackingFileOffset = 8
	offBackingFileSize   = 16
	offSize              = 24
	offClusterBits       = 32
	offL2Bits            = 33
	offCryptMethod       = 36
	offL1TableOffset     = 40
)

// header is the start of an image.
type header [headerSize]byte

func (h *header) u32(off int) uint32 { return binary.BigEndian.Uint32(h[off:]) }
func (h *header) u64(off int) uint64 { return binary.BigEndian.Uint64(h[off:]) }

func (h *header) version() uint32           { return h.u32(offVersion) }
func (h *header) backingFileOffset() uint64 { return h.u64(offBackingFileOffset) }
func (h *header) backingFileSize() uint32   { return h.u32(offBackingFileSize) }
func (h *header) size() uint64              { return h.u64(offSize) }
func (h *header) clusterBits() uint         { return uint(h[offClusterBits]) }
func (h *header) l2Bits() uint              { return uint(h[offL2Bits]) }
func (h *header) cryptMethod() uint32       { return h.u32(offCryptMethod) }
func (h *header) l1TableOffset() uint64     { return h.u64(offL1TableOffset) }
