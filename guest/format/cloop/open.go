// Package cloop maps compressed loop devices. There is little to map: every block is compressed.
//
// docs: block/cloop.c of qemu; the tools of cloop-utils.
package cloop

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the cloop format.
var Driver = format.Driver{Format: img.Cloop, Probe: probe, Open: open}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	return format.Score(string(h[:len(script)]) == script, format.Weak)
}

// open makes the checks of qemu's cloop_open, in its order. The script is not among them.
func open(p *format.Params) (format.Image, *fault.Fault) {
	buf, f := block.Take(p.Dev, bufferLen)
	if f != nil {
		return nil, f
	}
	if f := block.ReadOne(p.Dev, buf[:offOffsets-offBlockSize], offBlockSize); f != nil {
		return nil, f
	}
	blockSize, blocks := uint64(binary.BigEndian.Uint32(buf)),
		uint64(binary.BigEndian.Uint32(buf[offBlocks-offBlockSize:]))
	switch {
	case blockSize%sectorSize != 0:
		return nil, fault.New(fault.CloopBlockSizeUnit, offBlockSize, blockSize)
	case blockSize == 0:
		return nil, fault.New(fault.CloopBlockSize, offBlockSize)
	case blockSize > maxBlockSize:
		return nil, fault.New(fault.CloopBlockSizeLarge, offBlockSize, blockSize)
	case blocks > maxBlocks:
		return nil, fault.New(fault.CloopBlocks, offBlocks, blocks)
	case blocks == maxBlocks: // the length of the table wraps around to 0 in 32 bits
		return nil, fault.New(fault.CloopNoOffsets, offBlocks)
	case blocks+1 > maxOffsets:
		return nil, fault.New(fault.CloopOffsets, offBlocks)
	}
	if f := checkOffsets(p.Dev, buf, blocks+1); f != nil {
		return nil, f
	}
	switch {
	case p.Release.Since(10, 0):
		return format.Unmapped(blocks * blockSize), nil
	case p.Release.IsQemu():
		sectors := uint32(blocks) * uint32(blockSize/sectorSize) // as these releases counted them
		return format.Unmapped(uint64(sectors) * sectorSize), nil
	}
	return format.Uniform{Bytes: blocks * blockSize,
		Flags: extent.Present | extent.Data | extent.Compressed}, nil
}

// checkOffsets checks the offsets, n in all. Those past the end of the device are 0, and are
// not read.
func checkOffsets(dev block.Device, buf []byte, n uint64) *fault.Fault {
	offsets := format.Table{Dev: dev, Buf: buf, Off: offOffsets, EntryLen: entryLen, Limit: n}
	before := uint64(0) // the offset before i
	for i := uint64(0); i < n; {
		at := offOffsets + i*entryLen
		if at >= dev.Size() {
			if before > 0 {
				return fault.New(fault.CloopOffsetOrder, at, i)
			}
			return nil
		}
		piece, f := offsets.From(i, 1)
		if f != nil {
			return f
		}
		for ; len(piece) > 0; piece = piece[entryLen:] {
			offset := binary.BigEndian.Uint64(piece)
			switch {
			case i == 0:
			case offset < before:
				return fault.New(fault.CloopOffsetOrder, offOffsets+i*entryLen, i)
			case offset-before > maxCompressed:
				return fault.New(fault.CloopCompressedSize, offOffsets+i*entryLen, i)
			}
			before = offset
			i++
		}
	}
	return nil
}
