// Package qcow2 maps images of qemu's own format, versions 2 and 3, as qemu-img map does: with
// the same faults in the same order. The bytes are in layout.go, the checks of open in open.go
// and the files it names, the walk in walk.go. Every number of an image is checked against a
// limit before it is used. Every loop is bounded by a table whose size was checked, by the
// window, or by the size of the device.
//
// Specification: https://www.qemu.org/docs/master/interop/qcow2.html. Where it is silent, this
// package does what qemu 7.2 does.
package qcow2

import (
	"encoding/binary"
	"math"
	"strconv"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the qcow2 format. The probe accepts later versions too, so that they are refused by
// their number.
var Driver = format.Driver{Format: img.Qcow2, Probe: probe, Open: open}

func probe(head *[format.HeadLen]byte, _ uint64, _ bool) int {
	return format.Score(string(head[:len(magic)]) == magic &&
		binary.BigEndian.Uint32(head[offVersion:]) >= 2, format.Certain)
}

// open makes every check that qemu makes when it opens an image read-only, in its order: of
// several faults it returns the same one.
func open(p *format.Params) (format.Image, *fault.Fault) {
	win, f := newWindow(p.Dev)
	if f != nil {
		return nil, f
	}
	m := &image{
		dev: p.Dev, allocated: p.Allocated, p: p, needKey: p.Release.IsQemu(),
		win: win,
	}
	m.win.seek(minClusterSize)
	b, f := m.win.bytes(0, headerSize)
	if f != nil {
		return nil, f
	}
	m.h = header(b)
	for _, check := range [...]func() *fault.Fault{
		m.checkStart, m.checkFeatures, m.checkTables, m.checkL1,
		m.readExtensions, m.checkDataFile, m.checkCrypt, m.readBackingName,
		m.readSnapshots, m.readBitmaps, m.checkSize,
	} {
		if f := check(); f != nil {
			return p.RefuseLate(f, m.refs)
		}
	}
	m.setFlags()
	m.tables = format.TwoLevel{
		Dev: m.dev, L1Offset: m.h.l1TableOffset(), L1EntryLen: l1EntrySize,
		EntryLen: 1 << m.entryBits, Entries: 1 << m.tableBits,
		ClusterSize: m.clusterSize, Table: m.l2Table,
	}
	return m, nil
}

// checkStart checks the fields that the others depend on.
func (m *image) checkStart() *fault.Fault {
	h := &m.h
	if string(h[:len(magic)]) != magic {
		return fault.New(fault.Qcow2Magic, 0)
	}
	if v := h.version(); v < 2 || v > 3 {
		return fault.New(fault.Qcow2Version, offVersion, uint64(v))
	}
	if bits := h.clusterBits(); bits < minClusterBits || bits > maxClusterBits {
		return fault.New(fault.Qcow2ClusterBits, offClusterBits, uint64(bits))
	}
	m.clusterBits = uint(h.clusterBits())
	m.clusterSize = 1 << m.clusterBits
	switch {
	case h.version() == 3 && h.headerLength() < headerLengthMin:
		return fault.New(fault.Qcow2HeaderShort, offHeaderLength)
	case uint64(h.headerLength()) > m.clusterSize:
		return fault.New(fault.Qcow2HeaderLong, offHeaderLength)
	case h.backingFileOffset() > m.clusterSize:
		return fault.New(fault.Qcow2BackingOffset, offBackingFileOffset)
	}
	m.win.Limit = m.clusterSize
	return nil
}

// checkFeatures checks the features that a reader must know.
func (m *image) checkFeatures() *fault.Fault {
	h := &m.h
	features := h.incompatible()
	switch t := h.compressionType(); {
	case t != compressionZlib && t != compressionZstd:
		return fault.New(fault.Qcow2CompressionType, offCompressionType, uint64(t))
	case t == compressionZlib && features&incompatibleCompression != 0:
		return fault.New(fault.Qcow2CompressionBitSet, offIncompatible)
	case t != compressionZlib && features&incompatibleCompression == 0:
		return fault.New(fault.Qcow2CompressionBitMissing, offIncompatible)
	}
	if unknown := features &^ incompatibleKnown; unknown != 0 {
		return m.nameFeatures(unknown)
	}
	m.hasDataFile = features&incompatibleDataFile != 0
	m.entryBits = 3
	if features&incompatibleExtendedL2 != 0 {
		m.entryBits = 4
		if sub := m.clusterSize / subclusters; sub < minClusterSize {
			return fault.New(fault.Qcow2SubclusterSize, offClusterBits, sub)
		}
	}
	m.tableBits = m.clusterBits - m.entryBits
	return nil
}

// checkTables checks where the refcount table and the snapshot table are, which qemu does
// before it checks the L1 table.
func (m *image) checkTables() *fault.Fault {
	h := &m.h
	if h.refcountOrder() > maxRefcountBits {
		return fault.New(fault.Qcow2RefcountOrder, offRefcountOrder)
	}
	m.crypt = h.cryptMethod()
	switch {
	case h.refcountTableClusters() == 0:
		return fault.New(fault.Qcow2NoRefcountTable, offRefcountTableSize)
	case uint64(h.refcountTableClusters()) > maxReftableBytes>>m.clusterBits:
		return fault.New(fault.Qcow2RefcountTableSize, offRefcountTableSize)
	case !m.validTable(h.refcountTableOffset(), m.reftableBytes()):
		return fault.New(fault.Qcow2RefcountTableOffset, offRefcountTableOffset)
	case h.nbSnapshots() > maxSnapshots:
		return fault.New(fault.Qcow2SnapshotCount, offNbSnapshots)
	case !m.validTable(h.snapshotsOffset(), uint64(h.nbSnapshots())*snapshotFixed):
		return fault.New(fault.Qcow2SnapshotOffset, offSnapshotsOffset)
	}
	return nil
}

// validTable reports whether a table of n bytes, n small, may start at off.
func (m *image) validTable(off, n uint64) bool {
	return off <= math.MaxInt64-n && m.offsetInCluster(off) == 0
}

// reftableBytes returns the size of the refcount table in bytes. checkTables checks its limit.
func (m *image) reftableBytes() uint64 {
	return uint64(m.h.refcountTableClusters()) << m.clusterBits
}

// checkL1 checks the L1 table against the size of the disk, and whether qemu can read that
// table and the refcount table.
func (m *image) checkL1() *fault.Fault {
	h := &m.h
	entries := uint64(h.l1Size())
	if entries > maxL1Bytes/l1EntrySize {
		return fault.New(fault.Qcow2L1Size, offL1Size)
	}
	if !m.validTable(h.l1TableOffset(), entries*l1EntrySize) {
		return fault.New(fault.Qcow2L1Offset, offL1TableOffset)
	}
	// qemu rounds up in 64 bits too: a size just below 2^64 becomes 0 here, and checkSize
	// refuses it.
	needed := (h.size() + 1<<m.l1Reach() - 1) >> m.l1Reach()
	switch {
	case needed > maxL1Needed:
		return fault.New(fault.Qcow2ImageTooBig, offSize)
	case entries < needed:
		return fault.New(fault.Qcow2L1TooSmall, offL1Size)
	case entries > 0 && h.l1TableOffset() > block.MaxOffset-entries*l1EntrySize:
		return fault.New(fault.Qcow2L1Read, offL1TableOffset)
	}
	m.size = h.size() &^ (sectorSize - 1)
	m.setSlice()
	if m.crypt > cryptLUKS {
		// qemu prints a signed integer.
		return fault.Quoting(fault.Qcow2CryptMethod, offCryptMethod,
			strconv.Itoa(int(int32(m.crypt))))
	}
	if h.refcountTableOffset() > block.MaxOffset-m.reftableBytes() {
		return fault.New(fault.Qcow2RefcountTableRead, offRefcountTableOffset)
	}
	return nil
}

// setSlice sets how much of an L2 table qemu reads at once.
func (m *image) setSlice() {
	clusters := m.size >> m.clusterBits
	if m.offsetInCluster(m.size) != 0 {
		clusters++
	}
	slice := m.clusterSize
	if clusters > wholeTables>>m.entryBits {
		slice = min(slice, sliceBytes)
	}
	m.sliceMask = slice>>m.entryBits - 1
}

// checkDataFile checks that a data file has a name, and makes it the first reference.
func (m *image) checkDataFile() *fault.Fault {
	if !m.hasDataFile {
		if m.h.autoclear()&autoclearDataRaw != 0 {
			return fault.New(fault.Qcow2RawWithoutDataFile, offAutoclear)
		}
		return nil
	}
	if !m.ext.dataFileSeen {
		return fault.New(fault.Qcow2NoDataFileName, offIncompatible)
	}
	if len(m.ext.dataFile) > maxDataFileName {
		return fault.New(fault.Qcow2DataFileNameLength, m.ext.dataFileOff, maxDataFileName+1)
	}
	m.refs = append(m.refs, img.Reference{Kind: img.DataFile, Name: m.ext.dataFile})
	return nil
}

// checkCrypt refuses an encrypted image if qemu-img would need a key. The map needs none.
func (m *image) checkCrypt() *fault.Fault {
	switch {
	case m.crypt == cryptLUKS && !m.ext.crypto:
		return fault.New(fault.Qcow2NoCryptoHeader, offCryptMethod, cryptLUKS)
	case m.crypt == cryptAES && m.needKey:
		return fault.New(fault.Qcow2NeedsKey, offCryptMethod)
	}
	return nil
}

// readBackingName makes the backing file the last reference.
func (m *image) readBackingName() *fault.Fault {
	off, n := m.h.backingFileOffset(), uint64(m.h.backingFileSize())
	if off == 0 {
		return nil
	}
	if n > min(maxBackingName, m.clusterSize-off) {
		return fault.New(fault.Qcow2BackingNameLength, offBackingFileSize, n)
	}
	m.win.seek(off + n)
	b, f := m.win.bytes(off, int(n))
	if f != nil {
		return f
	}
	if name := string(format.CString(b)); name != "" {
		m.refs = append(m.refs, img.Reference{Kind: img.Backing, Name: name,
			Format: m.ext.backingFormat})
	}
	return nil
}

// checkSize refuses a disk whose size in bytes does not fit in a signed 64-bit number. It comes
// last because qemu checks it last.
func (m *image) checkSize() *fault.Fault {
	if m.size >= maxVirtualSize {
		return fault.New(fault.Qcow2VirtualSize, offSize)
	}
	return nil
}
