// Package qcow maps images of qemu's first own format, of which qcow2 is versions 2 and 3. It
// has no zero clusters: an allocated cluster is data, plain, compressed or encrypted.
package qcow

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the qcow format.
var Driver = format.Driver{Format: img.Qcow, Probe: probe, Open: open}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	return format.Score(string(h[:4]) == magic &&
		binary.BigEndian.Uint32(h[offVersion:]) == version, format.Certain)
}

type image struct {
	tables format.TwoLevel
	size   uint64 // bytes of the virtual disk
	crypt  bool
	refs   []img.Reference

	sink format.Sink
	pos  uint64 // virtual bytes: what is emitted next
}

// open makes the checks of qemu's qcow_open, in its order.
func open(p *format.Params) (format.Image, *fault.Fault) {
	buf, f := block.Take(p.Dev, maxBackingName+1)
	if f != nil {
		return nil, f
	}
	if f := block.ReadOne(p.Dev, buf[:headerSize], 0); f != nil {
		return nil, f
	}
	h := header(buf)
	switch {
	case string(h[:len(magic)]) != magic:
		return nil, fault.New(fault.QcowMagic, 0)
	case h.version() == 2 || h.version() == 3:
		return nil, fault.New(fault.QcowIsQcow2, offVersion, uint64(h.version()))
	case h.version() != version:
		return nil, fault.New(fault.QcowVersion, offVersion, uint64(h.version()))
	case h.size() < minSize:
		return nil, fault.New(fault.QcowSize, offSize)
	case h.clusterBits() < minClusterBits || h.clusterBits() > maxClusterBits:
		return nil, fault.New(fault.QcowClusterSize, offClusterBits)
	case h.l2Bits() < minL2Bits || h.l2Bits() > maxL2Bits:
		return nil, fault.New(fault.QcowL2Size, offL2Bits)
	case h.cryptMethod() > cryptAES:
		return nil, fault.New(fault.QcowCryptMethod, offCryptMethod)
	case h.cryptMethod() == cryptAES && p.Release.IsQemu():
		return nil, fault.New(fault.QcowNeedsKey, offCryptMethod)
	}
	reach := h.clusterBits() + h.l2Bits()
	if h.size() > ^uint64(0)-1<<reach || (h.size()+1<<reach-1)>>reach > maxL1Entries {
		return nil, fault.New(fault.QcowTooLarge, offSize)
	}
	l1Bytes := (h.size() + 1<<reach - 1) >> reach * entryLen
	if h.l1TableOffset() > block.MaxOffset-l1Bytes {
		return nil, fault.New(fault.QcowL1Read, offL1TableOffset)
	}
	m := &image{size: h.size() &^ (sectorSize - 1), crypt: h.cryptMethod() != cryptNone}
	m.tables = format.TwoLevel{
		Dev: p.Dev, L1Offset: h.l1TableOffset(), L1EntryLen: entryLen, EntryLen: entryLen,
		Entries: 1 << h.l2Bits(), ClusterSize: 1 << h.clusterBits(), Table: m.l2Table,
	}
	if f := m.readBackingName(&h, buf); f != nil {
		return nil, f
	}
	return m, nil
}

func (m *image) readBackingName(h *header, buf []byte) *fault.Fault {
	off, n := h.backingFileOffset(), uint64(h.backingFileSize())
	switch {
	case off == 0:
		return nil
	case n > maxBackingName:
		return fault.New(fault.QcowBackingNameLength, offBackingFileSize)
	case off > block.MaxOffset-n:
		return fault.New(fault.QcowBackingNameRead, offBackingFileOffset)
	case n == 0:
		return nil
	}
	if f := block.ReadOne(m.tables.Dev, buf[:n], off); f != nil {
		return f
	}
	if name := format.CString(buf[:n]); len(name) > 0 {
		m.refs = []img.Reference{{Kind: img.Backing, Name: string(name)}}
	}
	return nil
}

// Size returns the size of the virtual disk in bytes, rounded down to 512 bytes.
func (m *image) Size() uint64 { return m.size }

// References returns the backing file, if there is one. The image does not name its format.
func (m *image) References() []img.Reference { return m.refs }
