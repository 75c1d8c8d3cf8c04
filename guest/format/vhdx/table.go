package vhdx

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// table returns a reader of the first n entries of the BAT. The entries of the payload blocks
// of each chunk are followed by the entry of its sector bitmap block. Buf has room for all
// entries of a chunk.
func (m *image) table(n uint64) *format.Table {
	return &format.Table{Dev: m.dev, Buf: m.buf, Off: m.bat.off, EntryLen: batEntrySize, Limit: n}
}

// payloadBlocks returns how many blocks the disk has. For sizes close to 2^64 the sum wraps
// around, as in qemu.
func (m *image) payloadBlocks() uint64 { return (m.rawSize + m.blockSize - 1) / m.blockSize }

// checkTable checks that the BAT has an entry for each block, and in a qemu profile where the
// blocks are. Our own profile checks that during the walk.
func (m *image) checkTable() *fault.Fault {
	blocks := m.payloadBlocks()
	var need uint64
	switch {
	case m.release.IsQemu():
		// qemu counts in 32 bits.
		need = uint64(uint32(blocks) + (uint32(blocks)-1)/uint32(m.chunkRatio))
	case len(m.refs) > 0:
		need = (blocks + m.chunkRatio - 1) / m.chunkRatio * (m.chunkRatio + 1)
	case blocks > 0:
		need = blocks + (blocks-1)/m.chunkRatio
	}
	have := m.bat.length / batEntrySize
	switch {
	case need > have:
		return fault.New(fault.VhdxTableSize, m.bat.off, need, have)
	case m.bat.length > block.MaxRead || m.bat.off > block.MaxOffset-m.bat.length:
		return fault.New(fault.VhdxTableRead, m.bat.off, m.bat.length, m.bat.off)
	case !m.release.IsQemu():
		return nil
	}
	return m.checkBlocks(need)
}

// checkBlocks checks the blocks of the first n entries as qemu does: it takes the index of an
// entry for the index of its block, and counts chunks in blocks that are present.
func (m *image) checkBlocks(n uint64) *fault.Fault {
	inChunk := m.chunkRatio
	table := m.table(n)
	for i := uint64(0); i < n && m.bat.off+i*batEntrySize < m.dev.Size(); {
		b, f := table.From(i, 1)
		if f != nil {
			return f
		}
		for skip := 1; len(b) > 0; i, b = i+uint64(skip), b[skip*batEntrySize:] {
			entry := binary.LittleEndian.Uint64(b)
			if skip = 1; entry&stateMask != fullyPresent {
				skip = format.Repeats(b, batEntrySize)
				continue
			}
			off := entry & offsetMask
			length := uint64(uint32(min(m.blockSize, m.size-i*m.blockSize)))
			if f := m.misplaced(i, off, length); f != nil {
				return f
			}
			if inChunk == 0 {
				inChunk = m.chunkRatio
				continue
			}
			inChunk--
			if f := m.overlapping(i, off); f != nil {
				return f
			}
		}
	}
	return nil
}

// misplaced returns the fault of a block at off with length bytes in use, or nil. i is the
// index of its entry.
func (m *image) misplaced(i, off, length uint64) *fault.Fault {
	at := m.bat.off + i*batEntrySize
	switch {
	case off > 1<<63-1-m.blockSize:
		return fault.New(fault.VhdxBlockOverflow, at, i)
	case off >= m.length:
		return fault.New(fault.VhdxBlockStart, at, i, off, m.length)
	case off+length > m.length:
		return fault.New(fault.VhdxBlockEnd, at, i, off+length-1, m.length)
	}
	return nil
}

// overlapping returns the fault of a block at off that overlaps a region, or nil. i is the
// index of its entry.
func (m *image) overlapping(i, off uint64) *fault.Fault {
	if text, overlaps := m.overlap(region{off, m.blockSize}); overlaps {
		return fault.Quoting(fault.VhdxBlockOverlap, m.bat.off+i*batEntrySize, text)
	}
	return nil
}
