package vmdk

import (
	"encoding/binary"

	"instarfs/guest/block"
)

// The bytes of sparse files. All integers are little endian; sizes and offsets are counted in
// sectors unless a name says otherwise. Accessors carry the names of the specification (Virtual
// Disk Format 5.0); there is none for seSparse files, whose names are those of
// https://github.com/libyal/libvmdk and qemu.

const (
	sectorSize = 512

	magicCOWD = "COWD"
	magicKDMV = "KDMV"

	// compressedDeflate is the compressAlgorithm of compressed grains.
	compressedDeflate = 1
	// flagZeroedGrains: the entry zeroedGrain of a grain table is a grain of zeroes.
	flagZeroedGrains = 1 << 2
	flagRedundant    = 1 << 1 // there is a second grain directory
	zeroedGrain      = 1

	// directoryAtEnd as gdOffset means that the valid header is in the footer.
	directoryAtEnd = 1<<64 - 1
	footerLen      = 3 * sectorSize // a marker, the header, the marker that ends the stream
	markerFooter   = 3
	markerEnd      = 0

	cowdTableEntries = 4096
	cowdEntrySize    = 4
)

// Limits of qemu, and what follows from them.
const (
	maxVersion          = 3
	maxTableEntries     = 512
	maxGrain            = 0x200000                     // sectors: 1 GiB
	maxDirectoryEntries = 32 << 20                     // qemu reads grain directories whole
	maxSectors          = block.MaxOffset / sectorSize // of a disk
)

// The text of a descriptor.
const (
	maxText    = 1<<20 - 1       // bytes of it that qemu reads
	parentLen  = 20 * sectorSize // bytes in which qemu looks for the parent
	embeddedAt = sectorSize      // offset of the descriptor in a sparse file
	headLen    = embeddedAt + parentLen
	maxHint    = 4095 // bytes of the parent's name: PATH_MAX less its NUL
	maxCreate  = 127  // bytes of createType
	maxWord    = 10   // bytes of access and type of an extent
	maxName    = 511  // bytes of an extent's file name
	// maxReferences is how many files a disk may have, as package abi limits them: those of 2
	// TiB in pieces of 2 GB are 1024.
	maxReferences = 2048
)

// header is the start of a hosted sparse file, of which the version 1 specification knows 79 bytes.
type header [sectorSize]byte

func (h *header) u16(off int) uint16 { return binary.LittleEndian.Uint16(h[off:]) }
func (h *header) u32(off int) uint32 { return binary.LittleEndian.Uint32(h[off:]) }
func (h *header) u64(off int) uint64 { return binary.LittleEndian.Uint64(h[off:]) }

// Offsets of the fields, for faults.
const (
	offVersion      = 4
	offFlags        = 8
	offCapacity     = 12
	offGrainSize    = 20
	offDescriptor   = 28
	offNumGTEsPerGT = 44
	offRgdOffset    = 48
	offGdOffset     = 56
	offOverHead     = 64
	offCompress     = 77
)

func (h *header) magicNumber() string       { return string(h[:4]) }
func (h *header) version() uint32           { return h.u32(offVersion) }
func (h *header) flags() uint32             { return h.u32(offFlags) }
func (h *header) capacity() uint64          { return h.u64(offCapacity) }
func (h *header) grainSize() uint64         { return h.u64(offGrainSize) }
func (h *header) descriptorOffset() uint64  { return h.u64(offDescriptor) }
func (h *header) numGTEsPerGT() uint32      { return h.u32(offNumGTEsPerGT) }
func (h *header) rgdOffset() uint64         { return h.u64(offRgdOffset) }
func (h *header) gdOffset() uint64          { return h.u64(offGdOffset) }
func (h *header) overHead() uint64          { return h.u64(offOverHead) }
func (h *header) compressAlgorithm() uint16 { return h.u16(offCompress) }

// The fields of a COWD file, which have other offsets.
const (
	offCowdGrainSize    = 16
	offCowdNumGDEntries = 24
)

func (h *header) cowdSize() uint32         { return h.u32(12) }
func (h *header) cowdGrainSize() uint32    { return h.u32(offCowdGrainSize) }
func (h *header) cowdGDOffset() uint32     { return h.u32(20) }
func (h *header) cowdNumGDEntries() uint32 { return h.u32(offCowdNumGDEntries) }

// The two headers of a seSparse file are numbers of 8 bytes.
const (
	seMagic         = 0xcafebabe
	seVersion       = 2<<32 | 1
	seGrain         = 8  // sectors
	seTable         = 64 // sectors
	seTableEntries  = seTable * sectorSize / seEntrySize
	seEntrySize     = 8
	seVolatileMagic = 0xcafecafe

	offSEVersion   = 1 * 8
	offSECapacity  = 2 * 8
	offSEGrain     = 3 * 8
	offSETable     = 4 * 8
	offSEFlags     = 5 * 8
	offSEReserved  = 6 * 8 // four of them
	offSEVolatile  = 10 * 8
	offSEDirectory = 16 * 8
	offSEDirSize   = 17 * 8
	offSETables    = 18 * 8
	offSEGrains    = 24 * 8
	seConstLen     = 26 * 8 // the rest is zero

	offSEReplayJournal = 3 * 8
	seVolatileLen      = 4 * 8 // the rest is zero
)

// Entries of a seSparse file.
const (
	seDirectoryKind  = 0xffffffff << 32
	seDirectoryTable = 0x10000000 << 32 // with the number of the table
	seGrainKind      = 0xf << 60
	seGrainUnmapped  = 1 << 60
	seGrainZero      = 2 << 60
	seGrainStored    = 3 << 60
)
