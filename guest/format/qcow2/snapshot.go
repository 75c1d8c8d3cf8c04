package qcow2

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
)

// The snapshot table: entries of a fixed part, extra data, id and name, each entry aligned to 8
// bytes. Snapshots do not appear in a map, but qemu reads the table when it opens an image, and
// refuses the image if it is invalid.
const (
	maxSnapshots     = 65536
	maxSnapshotExtra = 1024
	maxSnapshotBytes = 64 << 20 // of the table

	snapshotFixed   = 40
	snapshotAlign   = 8
	offIDSize       = 12 // u16
	offNameSize     = 14 // u16
	offExtraSize    = 36 // u32
	snapshotPadding = snapshotAlign - 1
)

// readSnapshots reads the fixed part of every entry. checkTables has checked nb_snapshots and
// snapshots_offset.
func (m *image) readSnapshots() *fault.Fault {
	table := m.h.snapshotsOffset()
	off := table
	for i := range uint64(m.h.nbSnapshots()) {
		off = (off + snapshotPadding) &^ snapshotPadding
		if off > block.MaxOffset-snapshotFixed {
			return fault.New(fault.Qcow2SnapshotRead, offSnapshotsOffset)
		}
		if i == 0 {
			m.win.seek(off)
		}
		// The table occupies whole clusters: reading up to the end of this one never meets
		// another structure.
		m.win.Limit = (off + snapshotFixed + m.clusterSize - 1) &^ (m.clusterSize - 1)
		b, f := m.win.bytes(off, snapshotFixed)
		if f != nil {
			return f
		}
		extra := binary.BigEndian.Uint32(b[offExtraSize:])
		if extra > maxSnapshotExtra {
			return fault.New(fault.Qcow2SnapshotExtra, off+offExtraSize, i)
		}
		id, name := binary.BigEndian.Uint16(b[offIDSize:]), binary.BigEndian.Uint16(b[offNameSize:])
		off += snapshotFixed + uint64(extra) + uint64(id) + uint64(name)
		if off > block.MaxOffset {
			return fault.New(fault.Qcow2SnapshotRead, offSnapshotsOffset)
		}
		if off-table > maxSnapshotBytes {
			return fault.New(fault.Qcow2SnapshotTableSize, off, uint64(m.h.nbSnapshots())-i)
		}
	}
	return nil
}
