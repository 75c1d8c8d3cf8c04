package vhdx

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
)

// items are the entries of the metadata table for the known items.
type items struct {
	fileParameters, diskSize, diskID, logicalSector, physicalSector, parentLocator *entry
}

// find returns the place for the entry of an item, nil for an unknown item.
func (t *items) find(guid string) **entry {
	switch guid {
	case fileParameters:
		return &t.fileParameters
	case diskSize:
		return &t.diskSize
	case diskID:
		return &t.diskID
	case logicalSector:
		return &t.logicalSector
	case physicalSector:
		return &t.physicalSector
	case parentLocator:
		return &t.parentLocator
	}
	return nil
}

// readMetadata reads the metadata table and the items that describe the disk.
func (m *image) readMetadata() *fault.Fault {
	if m.metadata > block.MaxOffset-tableSize {
		return fault.New(fault.VhdxMetadataRead, offRegionTable1, m.metadata)
	}
	b := m.buf[:tableSize]
	if f := block.ReadOne(m.dev, b, m.metadata); f != nil {
		return f
	}
	if string(b[:len(tableSignature)]) != tableSignature {
		return fault.New(fault.VhdxMetadataSignature, m.metadata)
	}
	n := binary.LittleEndian.Uint16(b[10:])
	if n > maxEntries {
		return fault.New(fault.VhdxMetadataCount, m.metadata+10, uint64(n))
	}
	var t items
	for i := range int(n) {
		at := m.metadata + entrySize + uint64(i)*entrySize
		e := (*entry)(b[entrySize+i*entrySize:])
		known := t.find(e.guid())
		switch {
		case known == nil && e.itemIsRequired():
			return fault.New(fault.VhdxItemUnknown, at)
		case known == nil:
		case *known != nil:
			return fault.New(fault.VhdxItemTwice, at)
		default:
			*known = e
		}
	}
	missing := t.fileParameters == nil || t.diskSize == nil || t.logicalSector == nil
	if m.release.IsQemu() {
		missing = missing || t.diskID == nil || t.physicalSector == nil
	}
	switch {
	case missing:
		return fault.New(fault.VhdxItemMissing, m.metadata)
	case m.release.IsQemu() && t.parentLocator != nil:
		return fault.New(fault.VhdxDifferencing, m.metadata)
	}
	return m.readItems(&t)
}

// readItems reads the items, which are where their entries say.
func (m *image) readItems(t *items) *fault.Fault {
	le := binary.LittleEndian
	const room = 8
	values := m.buf[tableSize : tableSize+4*room]
	var reqs []block.Request
	for i, item := range [...]struct {
		entry  *entry
		length int
	}{{t.fileParameters, 8}, {t.diskSize, 8}, {t.logicalSector, 4}, {t.physicalSector, 4}} {
		if item.entry == nil {
			continue // the physical sector size, which only qemu reads
		}
		off := m.metadata + uint64(item.entry.itemOffset())
		if off > block.MaxOffset-room {
			return fault.New(fault.VhdxItemRead, m.metadata, off)
		}
		reqs = append(reqs, block.Request{Off: off, Buf: values[i*room:][:item.length]})
	}
	if f := m.dev.Read(reqs); f != nil {
		return f
	}
	m.blockSize = uint64(le.Uint32(values))
	flags := le.Uint32(values[4:])
	size := le.Uint64(values[room:])
	m.sectorSize = uint64(le.Uint32(values[2*room:]))
	parent := flags&hasParent != 0
	if parent && t.parentLocator == nil {
		return fault.New(fault.VhdxNoLocator, m.metadata)
	}
	if m.blockSize < minBlockSize || m.blockSize > maxBlockSize {
		return fault.New(fault.VhdxBlockSize, reqs[0].Off, m.blockSize)
	}
	if m.sectorSize != 512 && (m.release.IsQemu() || m.sectorSize != 4*kib) {
		return fault.New(fault.VhdxSectorSize, reqs[2].Off, m.sectorSize)
	}
	if m.blockSize&(m.blockSize-1) != 0 {
		return fault.New(fault.VhdxBlockSize, reqs[0].Off, m.blockSize)
	}
	m.chunkRatio = chunkSectors * m.sectorSize / m.blockSize
	m.rawSize, m.size = size, size&^511
	if m.release.IsQemu() {
		return nil
	}
	if size > maxDisk {
		return fault.New(fault.VhdxDiskTooLarge, reqs[1].Off, size, maxDisk)
	}
	if parent {
		return m.readParent(t.parentLocator)
	}
	m.fixed = flags&leaveAllocated != 0
	return nil
}
