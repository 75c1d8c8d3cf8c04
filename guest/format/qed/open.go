// Package qed maps images of the QEMU enhanced disk format.
//
// Specification: docs/interop/qed_spec.rst of qemu. Where it is silent, this package does what
// qemu 7.2 does.
package qed

import (
	"math"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the qed format.
var Driver = format.Driver{Format: img.Qed, Probe: probe, Open: open}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	return format.Score(string(h[:4]) == magic, format.Certain)
}

type image struct {
	h        header
	fileSize uint64 // block.Length, rounded down to clusters
	release  img.Release
	tables   format.TwoLevel
	refs     []img.Reference
}

// open makes the checks of qemu's bdrv_qed_open, in its order.
func open(p *format.Params) (format.Image, *fault.Fault) {
	buf, f := block.Take(p.Dev, maxBackingName+1)
	if f != nil {
		return nil, f
	}
	m := &image{release: p.Release}
	m.tables = format.TwoLevel{Dev: p.Dev, L1EntryLen: entryLen, EntryLen: entryLen,
		Table: m.l2Table}
	if f := m.read(buf[:headerSize], 0); f != nil {
		return nil, f
	}
	m.h = header(buf)
	if f := m.checkHeader(); f != nil {
		return nil, f
	}
	if f := m.readBackingName(buf); f != nil {
		return nil, f
	}
	if m.h.imageSize() > block.MaxOffset {
		return nil, fault.New(fault.QedVirtualSize, offImageSize)
	}
	return m, nil
}

func (m *image) checkHeader() *fault.Fault {
	h := &m.h
	if string(h[:len(magic)]) != magic {
		return fault.New(fault.QedMagic, 0)
	}
	if unknown := h.features() &^ featuresKnown; unknown != 0 {
		return fault.New(fault.QedFeatures, offFeatures, unknown)
	}
	cluster := h.clusterSize()
	if cluster < minClusterSize || cluster > maxClusterSize || !powerOfTwo(cluster) {
		return fault.New(fault.QedClusterSize, offClusterSize)
	}
	m.fileSize = min(block.Length(m.tables.Dev), math.MaxInt64) &^ (cluster - 1)
	if h.tableSize() == 0 || h.tableSize() > maxTableSize || !powerOfTwo(h.tableSize()) {
		return fault.New(fault.QedTableSize, offTableSize)
	}
	m.tables.ClusterSize, m.tables.Entries = cluster, cluster*h.tableSize()/entryLen
	// As in qemu, the largest size becomes 0 if it does not fit in 64 bits: it is a power of
	// two.
	if size := h.imageSize(); size%sectorSize != 0 ||
		size > m.tables.Entries*m.tables.Entries*cluster {
		return fault.New(fault.QedImageSize, offImageSize)
	}
	if !m.validTable(h.l1TableOffset()) {
		return fault.New(fault.QedTableOffset, offL1TableOffset)
	}
	m.tables.L1Offset = h.l1TableOffset()
	if h.headerSize() > (1<<32-1)/cluster {
		return fault.New(fault.QedHeaderSize, offHeaderSize)
	}
	return nil
}

func powerOfTwo(n uint64) bool { return n&(n-1) == 0 }

// readBackingName reads the name of the backing file, which is in the header clusters.
func (m *image) readBackingName(buf []byte) *fault.Fault {
	h := &m.h
	if h.features()&featureBacking == 0 {
		return nil
	}
	off, n := h.backingFilenameOffset(), h.backingFilenameSize()
	switch {
	case off+n > h.clusterSize()*h.headerSize():
		return fault.New(fault.QedBackingNameOffset, offBackingFilenameOffset)
	case n > maxBackingName:
		return fault.New(fault.QedBackingNameRead, offBackingFilenameSize)
	case n == 0:
		return nil
	}
	if f := m.read(buf[:n], off); f != nil {
		return f
	}
	name := string(format.CString(buf[:n]))
	if name == "" {
		return nil
	}
	ref := img.Reference{Kind: img.Backing, Name: name}
	if h.features()&featureBackingRaw != 0 {
		ref.Format = "raw"
	}
	m.refs = []img.Reference{ref}
	return nil
}

// validCluster reports whether qemu accepts the offset of a cluster.
func (m *image) validCluster(off uint64) bool {
	return off&(m.h.clusterSize()-1) == 0 && off >= m.h.headerSize()*m.h.clusterSize() &&
		off < m.fileSize
}

// validTable reports whether qemu accepts the offset of a table. A table of one cluster is
// never valid: its last cluster is not after its first.
func (m *image) validTable(off uint64) bool {
	last := off + (m.h.tableSize()-1)*m.h.clusterSize()
	return last > off && m.validCluster(off) && m.validCluster(last)
}

// Size returns the size of the virtual disk in bytes.
func (m *image) Size() uint64 { return m.h.imageSize() }

// References returns the backing file, if there is one.
func (m *image) References() []img.Reference { return m.refs }

func (m *image) read(b []byte, off uint64) *fault.Fault {
	return block.ReadOne(m.tables.Dev, b, off)
}
