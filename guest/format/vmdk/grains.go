package vmdk

import (
	"encoding/binary"
	"math"

	"instarfs/guest/block"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// grains is what the three kinds of sparse file have in common: a directory of tables, and in
// them an entry for each grain of the disk.
type grains struct {
	dev  block.Device
	qemu bool
	part bool // the file holds an extent of a disk

	capacity         uint64 // sectors
	grain            uint64 // bytes
	tableEntries     uint64 // in a grain table
	entrySize        int    // bytes, in the directory and in tables
	directory        uint64 // device offset of the grain directory
	directoryEntries uint64

	compressed, zeroed bool   // of hosted files: what entries mean
	seSparse           bool   // as above
	tables, stored     uint64 // sectors at which the tables and the grains of a seSparse file begin

	refs   []img.Reference
	walked format.TwoLevel
}

// hanging is what the last grain has beyond the capacity, bytes. Where the disk goes on in
// another file, qemu takes that for the beginning of what is there.
func (g *grains) hanging() uint64 {
	size := g.capacity * sectorSize
	n := (g.grain - size%g.grain) % g.grain
	if !g.part || !g.qemu || n > math.MaxInt64-size {
		return 0
	}
	return n
}

// Size is the virtual disk's size, or in the ways of qemu that of all grains of an extent of one.
func (g *grains) Size() uint64 { return g.capacity*sectorSize + g.hanging() }

func (g *grains) sectors() uint64 { return g.capacity }

// Overhang is what of Size is not the extent's own.
func (g *grains) Overhang() uint64 { return g.hanging() }

// References is the backing file, if there is one.
func (g *grains) References() []img.Reference { return g.refs }

func (g *grains) setBacking(name string) {
	g.refs = append(g.refs, img.Reference{Kind: img.Backing, Name: name, Format: img.Vmdk.String()})
}

var _ format.Overhanging = (*grains)(nil)

// entry is number i of a piece of the directory or of a table.
func (g *grains) entry(b []byte, i uint64) uint64 {
	if g.entrySize == seEntrySize {
		return binary.LittleEndian.Uint64(b[i*seEntrySize:])
	}
	return uint64(binary.LittleEndian.Uint32(b[i*cowdEntrySize:]))
}

// table is the device offset of the grain table that an entry of the directory points to, 0 if
// there is none. ok is false of an entry that cannot be.
func (g *grains) table(entry uint64) (off uint64, ok bool) {
	if !g.seSparse || entry == 0 {
		return entry * sectorSize, true
	}
	if entry&seDirectoryKind != seDirectoryTable {
		return 0, false
	}
	sector := g.tables + entry&math.MaxUint32*seTable
	return sector * sectorSize, sector <= math.MaxUint32
}

// kind is how a grain is stored.
type kind uint8

const (
	unallocated kind = iota
	zeroPlain
	packed
	plain
	wrong
)

// classify tells what an entry of a grain table says: the kind, and the device offset of a
// plain grain.
func (g *grains) classify(entry uint64) (kind, uint64) {
	switch {
	case entry == 0:
		return unallocated, 0
	case g.seSparse:
		return g.classifySE(entry)
	case g.zeroed && entry == zeroedGrain:
		return zeroPlain, 0
	case g.compressed:
		return packed, 0
	}
	return plain, entry * sectorSize
}

func (g *grains) classifySE(entry uint64) (kind, uint64) {
	switch entry & seGrainKind {
	case seGrainUnmapped, seGrainZero:
		return zeroPlain, 0
	case seGrainStored:
		sector := g.stored + (entry>>48&0xfff|entry<<16>>4)*seGrain
		off := sector * sectorSize
		switch {
		case sector == 0:
			return unallocated, 0
		case sector <= maxSectors, g.qemu && off <= block.MaxOffset: // wraps around as in qemu
			return plain, off
		}
	}
	return wrong, 0
}
