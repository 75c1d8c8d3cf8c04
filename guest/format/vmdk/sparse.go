package vmdk

import (
	"strconv"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// openSparse opens a file that is sparse by a line of a descriptor. Its signature gives the
// kind.
func openSparse(p *format.Params) (format.Image, *fault.Fault) {
	if p.Dev.Size() == 0 {
		return nil, fault.New(fault.VmdkTooSmall, 0)
	}
	head, f := block.Take(p.Dev, sectorSize)
	if f != nil {
		return nil, f
	}
	if f := block.ReadOne(p.Dev, head, 0); f != nil {
		return nil, f
	}
	switch string(head[:4]) {
	case magicKDMV, magicCOWD:
		image, f := readSparse(p, (*header)(head), false)
		return asPart(p, image, f)
	}
	return nil, fault.New(fault.VmdkNotSparse, 0)
}

// asPart makes the results of Open for a file that holds an extent of a disk.
func asPart(p *format.Params, image disk, f *fault.Fault) (format.Image, *fault.Fault) {
	if f != nil {
		return nil, f
	}
	sizeless, f := format.CheckSectors(p, image.sectors(), offCapacity, fault.VmdkTooLarge)
	switch {
	case f != nil:
		return nil, f
	case sizeless != nil:
		return sizeless, nil
	}
	return image, nil
}

// readSparse reads the header of a sparse file, which is the whole disk or one extent of it. A
// hosted file may have only a descriptor, and no grains.
func readSparse(p *format.Params, h *header, whole bool) (disk, *fault.Fault) {
	g := &grains{dev: p.Dev, entrySize: cowdEntrySize, qemu: p.Release.IsQemu(), part: !whole}
	if h.magicNumber() == magicCOWD {
		return g.cowd(h)
	}
	if off := h.descriptorOffset(); h.capacity() == 0 && off != 0 {
		return readText(p, off*sectorSize, nil)
	}
	if h.gdOffset() == directoryAtEnd {
		var f *fault.Fault
		if h, f = g.footer(); f != nil {
			return nil, f
		}
	}
	return g.hosted(h)
}

// cowd reads the header of a COWD file.
func (g *grains) cowd(h *header) (disk, *fault.Fault) {
	g.tableEntries = cowdTableEntries
	g.directory, g.directoryEntries = uint64(h.cowdGDOffset())*sectorSize,
		uint64(h.cowdNumGDEntries())
	if f := g.setSize(uint64(h.cowdSize()), uint64(h.cowdGrainSize()), offCowdGrainSize); f != nil {
		return nil, f
	}
	return g, nil
}

// footer reads the header that takes the place of the first one. It is in front of the last
// sector of the file.
func (g *grains) footer() (*header, *fault.Fault) {
	size := (g.dev.Size() + sectorSize - 1) &^ (sectorSize - 1)
	// For an extent, qemu uses the size of the descriptor instead of the size of the file, and
	// seeks to before the start.
	if size < footerLen || g.part && g.qemu {
		return nil, fault.New(fault.VmdkFooterRead, 0)
	}
	b, f := block.Take(g.dev, footerLen)
	if f != nil {
		return nil, f
	}
	off := size - footerLen
	if f := block.ReadOne(g.dev, b, off); f != nil {
		return nil, f
	}
	marker, h, end := (*header)(b), (*header)(b[sectorSize:]), (*header)(b[2*sectorSize:])
	const sizeAt, typeAt = 8, 12 // in a marker, after a number of sectors
	switch {
	case h.magicNumber() != magicKDMV,
		marker.u32(sizeAt) != 0, marker.u32(typeAt) != markerFooter,
		end.u64(0) != 0, end.u32(sizeAt) != 0, end.u32(typeAt) != markerEnd:
		return nil, fault.New(fault.VmdkFooter, off)
	}
	return h, nil
}

// hosted reads the header of a hosted sparse file.
func (g *grains) hosted(h *header) (disk, *fault.Fault) {
	if v := h.version(); v > maxVersion {
		return nil, fault.New(fault.VmdkVersion, offVersion, uint64(v))
	}
	if h.numGTEsPerGT() > maxTableEntries {
		return nil, fault.New(fault.VmdkTableSize, offNumGTEsPerGT)
	}
	g.compressed = h.compressAlgorithm() == compressedDeflate
	g.zeroed = h.flags()&flagZeroedGrains != 0
	g.tableEntries = uint64(h.numGTEsPerGT())
	// qemu keeps these numbers in 32 bits.
	reach := uint64(uint32(g.tableEntries * h.grainSize()))
	if reach == 0 {
		return nil, fault.New(fault.VmdkEntryReach, offGrainSize)
	}
	g.directoryEntries = (h.capacity() + reach - 1) / reach
	if g.qemu {
		g.directoryEntries = uint64(uint32(g.directoryEntries))
	}
	if need := h.overHead(); (g.dev.Size()+sectorSize-1)/sectorSize < need {
		return nil, fault.Quoting(fault.VmdkTruncated, offOverHead,
			strconv.FormatInt(int64(need*sectorSize), 10))
	}
	g.directory = h.gdOffset() * sectorSize
	if f := g.setSize(h.capacity(), h.grainSize(), offGrainSize); f != nil {
		return nil, f
	}
	if g.qemu && h.flags()&flagRedundant != 0 && !g.readable(h.rgdOffset()*sectorSize) {
		return nil, fault.New(fault.VmdkBackupRead, offRgdOffset)
	}
	return g, nil
}

// setSize checks the sizes of the disk, its grains and their directory, in sectors, in the
// order of qemu.
func (g *grains) setSize(capacity, grain uint64, at uint64) *fault.Fault {
	switch {
	case grain > maxGrain:
		return fault.New(fault.VmdkGranularity, at)
	case g.directoryEntries > maxDirectoryEntries:
		return fault.New(fault.VmdkDirectorySize, at)
	case !g.readable(g.directory):
		return fault.New(fault.VmdkDirectoryRead, offGdOffset)
	case uint64(uint32(grain*g.tableEntries)) != grain*g.tableEntries || grain == 0:
		// qemu divides by this number cut to 32 bits, which may be zero.
		return fault.New(fault.VmdkEntryReach, at)
	}
	g.grain = grain * sectorSize
	g.capacity = capacity
	return nil
}

// readable reports whether qemu can read a grain directory at a device offset. The end of the
// device does not matter.
func (g *grains) readable(off uint64) bool {
	return off <= block.MaxOffset-g.directoryEntries*uint64(g.entrySize)
}
