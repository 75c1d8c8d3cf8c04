package abi

import (
	"encoding/binary"
)

// A guest that is a process has no memory in common with the host. It reaches the host by messages
// on a stream: a header of HeaderLen bytes, then as many bytes as the header says. Before its job
// it carries out Steps, which confine it, and may go on as another process: MsgForked comes from
// the old one, all else from the new one. Then it gets one job, and asks for what it reads:
//
//	host                                   guest
//	MsgSteps   n steps                ->
//	                                  <-   MsgStepsDone  a result of each
//	MsgFork    n flags of clone(2)    ->
//	                                  <-   MsgForked     n is the new process, or an error number
//	MsgJob     Config, the mirror     ->
//	                                  <-   MsgRead       n requests of ReadLen bytes
//	MsgData    n is 1: what was read; ->   as many messages as it takes to fill the requests, in
//	           n is 0: it failed           order; after a failure nothing follows
//	                                  <-   MsgRecords    n records, when the ring is full
//	                                  <-   MsgDone       n records that are left, the Result
const (
	MsgSteps     = 1
	MsgJob       = 2
	MsgData      = 3
	MsgStepsDone = 4
	MsgRead      = 5
	MsgRecords   = 6
	MsgDone      = 7
	MsgFork      = 8
	MsgForked    = 9
)

const (
	// HeaderLen is the size of an encoded Header in bytes.
	HeaderLen = 12
	// ReadLen is the size of an encoded request in bytes: sector u64 [0], bytes u32 [8].
	ReadLen = 12
	// MaxData is the most bytes of one MsgData.
	MaxData = 1 << 20
	// MaxMessage is the longest message that a guest may send, bytes, without its header.
	MaxMessage = RingLen + ResultLen
)

// Header begins a message. Offsets of its encoding are in brackets.
type Header struct {
	Kind   uint32 // [0]
	N      uint32 // [4] how many of what the kind says
	Length uint32 // [8] bytes that follow
}

// Encode writes h to the first HeaderLen bytes of b.
func (h Header) Encode(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], h.Kind)
	le.PutUint32(b[4:], h.N)
	le.PutUint32(b[8:], h.Length)
}

// DecodeHeader reads a Header from the first HeaderLen bytes of b.
func DecodeHeader(b []byte) Header {
	le := binary.LittleEndian
	return Header{le.Uint32(b[0:]), le.Uint32(b[4:]), le.Uint32(b[8:])}
}

// PutRead writes a request to the first ReadLen bytes of b.
func PutRead(b []byte, sector uint64, length uint32) {
	binary.LittleEndian.PutUint64(b, sector)
	binary.LittleEndian.PutUint32(b[8:], length)
}

// GetRead reads a request from the first ReadLen bytes of b.
func GetRead(b []byte) (sector uint64, length uint32) {
	return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])
}

// MirrorLens returns how many bytes of each piece of the mirror follow the Config in a MsgJob: none
// of those that c.Mirror does not have.
func (c *Config) MirrorLens() (lens [MirrorPieces]uint64) {
	for i := range lens {
		off := uint64(i) * MirrorStride
		if c.Mirror>>i&1 != 0 && off < c.DeviceSize {
			lens[i] = min(c.MirrorPiece(uint64(i)), c.DeviceSize-off)
		}
	}
	return lens
}
