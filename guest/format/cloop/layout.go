package cloop

// An image is a shell script, two numbers, the offsets of all blocks and of the end of the
// last, and the blocks. Integers are big endian.
const (
	script = "#!/bin/sh\n#V2.0 Format\n" +
		"modprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"

	offBlockSize = 128 // u32, bytes
	offBlocks    = 132 // u32
	offOffsets   = 136 // u64 each
	entryLen     = 8
	sectorSize   = 512

	// Limits of qemu: it has a block in memory, compressed and not, and all the offsets.
	maxBlockSize  = 64 << 20
	maxCompressed = 2 * maxBlockSize
	maxOffsets    = 512 << 20 / entryLen
	maxBlocks     = (1<<32 - 2) / entryLen

	// bufferLen is the memory for the offsets that are looked at, bytes.
	bufferLen = 1 << 20
)
