package luks

import "encoding/binary"

// The bytes of a container. Integers are big endian.
const (
	magic = "LUKS\xba\xbe"

	offVersion = 6 // u16

	// Version 1.
	offPayload = 104 // u32, sectors; 0 if the header is in a file of its own
	headerV1   = 108 // of 592 bytes, the part that matters
	sectorSize = 512

	// Version 2: a binary header, and JSON after it up to hdr_size. A copy of both follows, and
	// key slots.
	offHeaderSize = 8 // u64, bytes
	jsonOffset    = 4096
	minHeaderSize = 16 << 10
	maxHeaderSize = 4 << 20

	// maxSegments is more than cryptsetup ever makes, which is one, and a few while it encrypts
	// anew.
	maxSegments = 64
)

func version(h []byte) uint16 { return binary.BigEndian.Uint16(h[offVersion:]) }
