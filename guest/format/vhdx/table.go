package vhdx

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
)

// table is the part of the BAT that is in memory. Payload blocks and the sector bitmap block of their chunk take turns in it.
type table struct {
	first, have uint64 // entries in image.buf
	limit       uint64 // entries that are needed
}

// from returns entries of the BAT from number i on, as many as are in memory and at least need, which fit. The numbers that are
// asked for must not become smaller.
func (m *image) from(i, need uint64) ([]byte, *fault.Fault) {
	t := &m.table
	if i >= t.first+t.have {
		t.first, t.have = i, 0
	}
	skip := i - t.first
	if skip+need > t.have {
		copy(m.buf, m.buf[skip*batEntrySize:t.have*batEntrySize])
		t.first, t.have = i, t.have-skip
		skip = 0
		n := min(t.limit-i, uint64(len(m.buf))/batEntrySize) - t.have
		b := m.buf[t.have*batEntrySize:][:n*batEntrySize]
		if f := m.read(block.Request{Off: m.bat.off + (t.first+t.have)*batEntrySize, Buf: b}); f != nil {
			return nil, f
		}
		t.have += n
	}
	return m.buf[skip*batEntrySize : t.have*batEntrySize], nil
}

// payloadBlocks is how many blocks the disk has. Close to 2^64 the sum wraps around, as in qemu.
func (m *image) payloadBlocks() uint64 { return (m.rawSize + m.blockSize - 1) / m.blockSize }

// checkTable checks that the BAT has an entry for each block, and in a qemu profile where those blocks are. Our own looks at
// them when it gets there.
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
	m.table.limit = need
	return m.checkBlocks()
}

// checkBlocks looks at all blocks as qemu does. It takes the number of an entry for that of its block, and counts chunks in
// blocks that are there.
func (m *image) checkBlocks() *fault.Fault {
	inChunk := m.chunkRatio
	for i := uint64(0); i < m.table.limit && m.bat.off+i*batEntrySize < m.dev.Size(); {
		b, f := m.from(i, 1)
		if f != nil {
			return f
		}
		for ; len(b) > 0; i, b = i+1, b[batEntrySize:] {
			entry := binary.LittleEndian.Uint64(b)
			if entry&stateMask != fullyPresent {
				continue
			}
			off := entry & offsetMask
			if f := m.misplaced(i, off, uint64(uint32(min(m.blockSize, m.size-i*m.blockSize)))); f != nil {
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

// misplaced finds what is wrong with a block at off of which length bytes are in use. Number i is that of its entry.
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

// overlapping finds a region that the block at off overlaps with.
func (m *image) overlapping(i, off uint64) *fault.Fault {
	if text, overlaps := m.overlap(region{off, m.blockSize}); overlaps {
		return fault.Quoting(fault.VhdxBlockOverlap, m.bat.off+i*batEntrySize, text)
	}
	return nil
}
