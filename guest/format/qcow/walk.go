package qcow

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// Walk emits the extents of [start, end). See format.Image.
func (m *image) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	if start >= end {
		return nil
	}
	m.sink, m.pos = sink, start
	return m.tables.Walk(start, end, m.scan)
}

// l2Table returns the offset of the L2 table that L1 entry i points to, aligned or not.
func (m *image) l2Table(i uint64, entry []byte) (uint64, *fault.Fault) {
	switch table := binary.BigEndian.Uint64(entry); {
	case table == 0:
		return format.NoTable, nil
	case table > block.MaxOffset-m.tables.Entries*entryLen:
		return 0, fault.New(fault.QcowL2Read, m.tables.L1Offset+i*entryLen, table)
	case table >= m.tables.Dev.Size():
		return format.NoTable, nil
	default:
		return table, nil
	}
}

// scan emits a part, cluster by cluster: the sink merges.
func (m *image) scan(p *format.Part) {
	switch {
	case p.Bad != nil:
		m.sink.Bad(p.End-m.pos, p.Bad)
		m.pos = p.End
	case p.Table == format.NoTable:
		m.emit(p.End, 0, 0)
	default:
		to := p.Start
		for i := 0; i+entryLen <= len(p.Entries); i += entryLen {
			at := to
			to = min(at+m.tables.ClusterSize, p.End)
			m.cluster(p, uint64(i), binary.BigEndian.Uint64(p.Entries[i:]), m.pos-at, to)
		}
	}
}

// cluster emits the rest of one cluster, up to byte to, given its entry. skip bytes of the
// cluster are before the window.
func (m *image) cluster(p *format.Part, at, entry, skip, to uint64) {
	switch {
	case entry == 0:
		m.emit(to, 0, 0)
	case entry&compressed != 0:
		m.emit(to, extent.Present|extent.Data|extent.Compressed, 0)
	case m.crypt:
		m.emit(to, extent.Present|extent.Data|extent.Encrypted, 0)
	case entry > block.MaxOffset:
		m.sink.Bad(to-m.pos, fault.New(fault.QcowClusterOffset, p.Table+p.First*entryLen+at, entry))
		m.pos = to
	default:
		// As qemu asks: a sum only for the part below a sector. Entries may have bits set below
		// the cluster size.
		m.emit(to, extent.Present|extent.Data|extent.Offset,
			(entry|skip&^(sectorSize-1))+skip%sectorSize)
	}
}

func (m *image) emit(to uint64, flags extent.Flags, offset uint64) {
	m.sink.Emit(to-m.pos, flags, offset, 0)
	m.pos = to
}
