package qcow2

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// Persistent bitmaps do not appear in a map, but qemu loads them when it opens an image, and
// refuses the image if that fails. Here their directory and tables are checked in the same way;
// any bits are valid.
const (
	// The extension has nb_bitmaps u32, reserved u32, bitmap_directory_size u64,
	// bitmap_directory_offset u64.
	bitmapsExtensionLen   = 24
	maxBitmaps            = 65535
	maxBitmapDirectory    = 1024 * maxBitmaps // bytes
	bitmapEntryFixed      = 24
	bitmapEntryAlign      = 8
	maxBitmapTableEntries = 0x8000000
	// maxBitmapBytes limits the entries of the table of a bitmap times the cluster size.
	maxBitmapBytes      = 0x20000000
	maxBitmapName       = 1023
	minGranularityBits  = 9
	maxGranularityBits  = 31
	bitmapFlagInUse     = 1 << 0
	bitmapFlagsReserved = 0xfffffffc
	bitmapTypeDirty     = 1

	bitmapTableReserved = 0xff000000000001fe // of a table entry
	bitmapTableOffset   = 0x00fffffffffffe00
	bitmapTableAllOnes  = 1 << 0

	// maxBitmapTables limits the tables of all bitmaps together, in bytes, so that a directory
	// cannot make a run read the same table 65535 times. A bitmap of a 1 PiB disk with qemu's
	// usual granularity has a table of 256 KiB.
	maxBitmapTables = 64 << 20
)

// bitmapEntry is the fixed part of a directory entry.
type bitmapEntry [bitmapEntryFixed]byte

func (e *bitmapEntry) tableOffset() uint64   { return binary.BigEndian.Uint64(e[0:]) }
func (e *bitmapEntry) tableSize() uint32     { return binary.BigEndian.Uint32(e[8:]) } // entries
func (e *bitmapEntry) flags() uint32         { return binary.BigEndian.Uint32(e[12:]) }
func (e *bitmapEntry) kind() byte            { return e[16] }
func (e *bitmapEntry) granularityBits() byte { return e[17] }
func (e *bitmapEntry) nameSize() uint16      { return binary.BigEndian.Uint16(e[18:]) }
func (e *bitmapEntry) extraDataSize() uint32 { return binary.BigEndian.Uint32(e[20:]) }
func (e *bitmapEntry) inUse() bool           { return e.flags()&bitmapFlagInUse != 0 }
func (e *bitmapEntry) size() int64 {
	return int64(int32(e.unaligned()+bitmapEntryAlign-1) &^ (bitmapEntryAlign - 1))
}
func (e *bitmapEntry) unaligned() uint32 {
	return bitmapEntryFixed + uint32(e.nameSize()) + e.extraDataSize()
}

// bitmapsExtension is the header extension. count is 0 if there is none.
type bitmapsExtension struct {
	count     uint32
	size, off uint64 // of the directory, bytes
}

func (m *image) readBitmapsExtension(off uint64, n uint32) *fault.Fault {
	if n != bitmapsExtensionLen {
		return fault.New(fault.Qcow2BitmapsLength, off)
	}
	if m.h.autoclear()&autoclearBitmaps == 0 {
		// A program that does not know bitmaps has written to the image. They are void, which
		// does not change the map.
		switch {
		case !m.p.Release.IsQemu():
		case m.h.version() < 3:
			m.p.Warn(fault.New(fault.Qcow2BitmapsInV2, off))
		default:
			m.p.Warn(fault.New(fault.Qcow2BitmapsVoid, off))
		}
		return nil
	}
	b, f := m.win.bytes(off, bitmapsExtensionLen)
	if f != nil {
		return f
	}
	e := bitmapsExtension{binary.BigEndian.Uint32(b), binary.BigEndian.Uint64(b[8:]),
		binary.BigEndian.Uint64(b[16:])}
	switch {
	case binary.BigEndian.Uint32(b[4:]) != 0:
		return fault.New(fault.Qcow2BitmapsReserved, off+4)
	case e.count > maxBitmaps:
		return fault.New(fault.Qcow2BitmapsCount, off, uint64(e.count))
	case e.count == 0:
		return fault.New(fault.Qcow2BitmapsNone, off)
	case m.offsetInCluster(e.off) != 0:
		return fault.New(fault.Qcow2BitmapsOffset, off+16)
	case e.size > maxBitmapDirectory:
		return fault.New(fault.Qcow2BitmapsSize, off+8, e.size)
	}
	m.ext.bitmaps = e
	return nil
}

// bitmapLoader checks the bitmaps of a directory one after the other. A fault of a bitmap
// counts only if the directory is sound, because qemu reads all of it first.
type bitmapLoader struct {
	*image
	tables uint64              // bytes of tables read so far
	names  map[uint64]struct{} // hashes of the names so far
	win    window              // for tables, while image.win reads the directory
	fault  *fault.Fault
}

func (m *image) readBitmaps() *fault.Fault {
	e := m.ext.bitmaps
	if e.count == 0 {
		return nil
	}
	if e.size == 0 {
		return fault.New(fault.Qcow2BitmapsEmpty, e.off)
	}
	if e.off > block.MaxOffset-e.size {
		return fault.New(fault.Qcow2BitmapsRead, e.off)
	}
	win, f := newWindow(m.dev)
	if f != nil {
		return f
	}
	l := bitmapLoader{image: m, names: map[uint64]struct{}{}, win: win}
	if f := l.directory(); f != nil {
		return f
	}
	return l.fault
}

func (l *bitmapLoader) directory() *fault.Fault {
	off, end := l.ext.bitmaps.off, l.ext.bitmaps.off+l.ext.bitmaps.size
	l.image.win.seek(end)
	n := uint32(0)
	for off < end {
		if end-off < bitmapEntryFixed {
			return fault.New(fault.Qcow2BitmapsBroken, off)
		}
		if n++; n > l.ext.bitmaps.count {
			return fault.New(fault.Qcow2BitmapsMore, off)
		}
		// Names are limited by constraints and by what messages show, entries by the rest of
		// the directory.
		want := int(min(end-off, bitmapEntryFixed+maxBitmapName+1))
		b, f := l.image.win.bytes(off, want)
		if f != nil {
			return f
		}
		e := bitmapEntry(b)
		// The size of an entry wraps around in qemu, but so large an entry has extra data.
		if size := e.size(); size > int64(end-off) {
			return fault.New(fault.Qcow2BitmapsBroken, off)
		}
		if e.extraDataSize() != 0 {
			return fault.New(fault.Qcow2BitmapExtra, off)
		}
		end := min(bitmapEntryFixed+int(e.nameSize()), want)
		name := string(format.CString(b[bitmapEntryFixed:end]))
		if !l.constraints(&e) {
			return fault.Quoting(fault.Qcow2BitmapConstraints, off, name)
		}
		if l.fault == nil {
			l.fault = l.load(&e, off, name)
		}
		off += uint64(e.size())
	}
	if n != l.ext.bitmaps.count {
		return fault.New(fault.Qcow2BitmapsLess, off)
	}
	return nil
}

func (l *bitmapLoader) constraints(e *bitmapEntry) bool {
	switch g := e.granularityBits(); {
	case e.tableSize() == 0 || e.tableSize() > maxBitmapTableEntries,
		e.tableOffset() == 0 || l.offsetInCluster(e.tableOffset()) != 0,
		g < minGranularityBits || g > maxGranularityBits,
		e.flags()&bitmapFlagsReserved != 0,
		e.nameSize() > maxBitmapName,
		e.kind() != bitmapTypeDirty,
		l.size >= maxVirtualSize:
		return false
	}
	bytes := uint64(e.tableSize()) << l.clusterBits // < 2^27 * 2^21
	if bytes > maxBitmapBytes {
		return false
	}
	return e.inUse() || l.size <= bytes*8<<e.granularityBits() // <= 2^29 * 2^3 * 2^31
}

// load checks one bitmap, whose directory entry is at off.
func (l *bitmapLoader) load(e *bitmapEntry, off uint64, name string) *fault.Fault {
	// A collision of hashes needs an image made for it, and only makes that image refused.
	hash := hashName(name)
	_, exists := l.names[hash]
	if exists && e.inUse() {
		return nil
	}
	if exists {
		return fault.Quoting(fault.Qcow2BitmapExists, off, name)
	}
	l.names[hash] = struct{}{}
	if e.inUse() {
		return nil
	}
	n := uint64(e.tableSize()) * 8
	if l.tables += n; l.tables > maxBitmapTables {
		return fault.New(fault.Qcow2BitmapTablesSize, off, maxBitmapTables, l.dev.Size())
	}
	if e.tableOffset() > block.MaxOffset-n {
		return fault.Quoting(fault.Qcow2BitmapTableRead, off, name)
	}
	if f := l.table(e, off, name); f != nil {
		return f
	}
	bits := (l.size + 1<<e.granularityBits() - 1) >> e.granularityBits()
	stored := (bits + 63) / 64 * 8
	if (stored+l.clusterSize-1)>>l.clusterBits != uint64(e.tableSize()) {
		return fault.Quoting(fault.Qcow2BitmapData, off, name)
	}
	return nil
}

// table checks the table of a bitmap. Past the end of the device it is zero, and valid.
func (l *bitmapLoader) table(e *bitmapEntry, off uint64, name string) *fault.Fault {
	at, end := e.tableOffset(), min(e.tableOffset()+uint64(e.tableSize())*8, l.dev.Size())
	l.win.seek(end)
	for ; at < end; at += 8 {
		b, f := l.win.bytes(at, 8)
		if f != nil {
			return f
		}
		entry := binary.BigEndian.Uint64(b)
		cluster := entry & bitmapTableOffset
		if entry&bitmapTableReserved != 0 ||
			cluster != 0 && (entry&bitmapTableAllOnes != 0 || l.offsetInCluster(cluster) != 0) {
			return fault.Quoting(fault.Qcow2BitmapTable, off, name)
		}
	}
	return nil
}

// hashName is FNV-1a.
func hashName(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
