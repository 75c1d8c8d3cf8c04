package vmdk

import (
	"encoding/binary"
	"math"

	"instarfs/guest/block"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// grains is a sparse file of any of the three kinds: a directory of tables, which have an entry
// for each grain of the disk.
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

	compressed, zeroed bool   // of hosted files: how to read entries
	seSparse           bool   // as above
	tables, stored     uint64 // sectors at which the tables and the grains of a seSparse file begin

	refs   []img.Reference
	walked format.TwoLevel
}

// hanging returns how many bytes of the last grain are past the capacity. If the disk continues
// in another file, qemu takes them for the first bytes of that file.
func (g *grains) hanging() uint64 {
	size := g.capacity * sectorSize
	n := (g.grain - size%g.grain) % g.grain
	if !g.part || !g.qemu || n > math.MaxInt64-size {
		return 0
	}
	return n
}

// Size returns the size of the virtual disk in bytes. In a profile of qemu, a file that is a
// part of a disk has the size of all its grains.
func (g *grains) Size() uint64 { return g.capacity*sectorSize + g.hanging() }

func (g *grains) sectors() uint64 { return g.capacity }

// Overhang returns how many bytes of Size belong to the next extent.
func (g *grains) Overhang() uint64 { return g.hanging() }

// References returns the backing file, if there is one.
func (g *grains) References() []img.Reference { return g.refs }

func (g *grains) setBacking(name string) {
	g.refs = append(g.refs, img.Reference{Kind: img.Backing, Name: name, Format: img.Vmdk.String()})
}

var _ format.Overhanging = (*grains)(nil)

// entry returns entry i of a piece of the directory or of a table.
func (g *grains) entry(b []byte, i uint64) uint64 {
	if g.entrySize == seEntrySize {
		return binary.LittleEndian.Uint64(b[i*seEntrySize:])
	}
	return uint64(binary.LittleEndian.Uint32(b[i*cowdEntrySize:]))
}

// table returns the device offset of the grain table that an entry of the directory points to,
// 0 if there is none. ok is false for an invalid entry.
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

// classify returns the kind of an entry of a grain table, and the device offset of a plain
// grain.
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
