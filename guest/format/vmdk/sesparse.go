package vmdk

import (
	"strconv"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// openSESparse opens a file that is seSparse by a line of a descriptor. The format is not
// published, so qemu refuses all that it has not seen.
func openSESparse(p *format.Params) (format.Image, *fault.Fault) {
	b, f := block.Take(p.Dev, 2*sectorSize)
	if f != nil {
		return nil, f
	}
	h, volatile := (*header)(b), (*header)(b[sectorSize:])
	if f := block.ReadOne(p.Dev, b[:sectorSize], 0); f != nil {
		return nil, f
	}
	if f := h.checkConst(); f != nil {
		return nil, f
	}
	off := h.u64(offSEVolatile) * sectorSize
	if off > block.MaxOffset-sectorSize {
		return nil, fault.New(fault.VmdkVolatileRead, offSEVolatile)
	}
	if f := block.ReadOne(p.Dev, b[sectorSize:], off); f != nil {
		return nil, f
	}
	if f := volatile.checkVolatile(off); f != nil {
		return nil, f
	}
	g := &grains{
		dev: p.Dev, entrySize: seEntrySize, qemu: p.Release.IsQemu(), part: true, seSparse: true,
		tableEntries: seTableEntries, directory: h.u64(offSEDirectory) * sectorSize,
		tables: h.u64(offSETables), stored: h.u64(offSEGrains),
		// qemu counts in 32 bits.
		directoryEntries: uint64(uint32(h.u64(offSEDirSize) * sectorSize / seEntrySize)),
	}
	if f := g.setSize(h.u64(offSECapacity), seGrain, offSEDirSize); f != nil {
		return nil, f
	}
	return asPart(p, g, nil)
}

// checkConst checks the header that never changes.
func (h *header) checkConst() *fault.Fault {
	if v := h.u64(0); v != seMagic {
		return fault.Quoting(fault.VmdkConstMagic, 0, hex16(v))
	}
	if v := h.u64(offSEVersion); v != seVersion {
		return fault.Quoting(fault.VmdkConstVersion, offSEVersion, hex16(v))
	}
	if v := h.u64(offSEGrain); v != seGrain {
		return fault.New(fault.VmdkConstGrainSize, offSEGrain, v)
	}
	if v := h.u64(offSETable); v != seTable {
		return fault.New(fault.VmdkConstTableSize, offSETable, v)
	}
	if v := h.u64(offSEFlags); v != 0 {
		return fault.Quoting(fault.VmdkConstFlags, offSEFlags, hex16(v))
	}
	var all uint64
	var text string
	for off := offSEReserved; off < offSEVolatile; off += 8 {
		all |= h.u64(off)
		text += " 0x" + hex16(h.u64(off))
	}
	if all != 0 {
		return fault.Quoting(fault.VmdkConstReserved, offSEReserved, text)
	}
	if !zero(h[seConstLen:]) {
		return fault.New(fault.VmdkConstPadding, seConstLen)
	}
	return nil
}

// checkVolatile checks the header that changes, at a device offset.
func (h *header) checkVolatile(off uint64) *fault.Fault {
	switch v := h.u64(0); {
	case v != seVolatileMagic:
		return fault.Quoting(fault.VmdkVolatileMagic, off, hex16(v))
	case h.u64(offSEReplayJournal) != 0:
		return fault.New(fault.VmdkVolatileDirty, off+offSEReplayJournal)
	case !zero(h[seVolatileLen:]):
		return fault.New(fault.VmdkVolatilePadding, off+seVolatileLen)
	}
	return nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// hex16 returns v in 16 hexadecimal digits.
func hex16(v uint64) string {
	s := strconv.FormatUint(v, 16)
	return "0000000000000000"[len(s):] + s
}
