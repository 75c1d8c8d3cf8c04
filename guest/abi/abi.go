// Package abi is the boundary between host and guest: addresses, doorbells, and the bytes of
// configuration, extent records and result. Both sides compile it, so neither repeats a constant.
// All numbers are little-endian at fixed offsets; nothing is cast to a struct.
//
// The guest sees one shared window of memory and one page of registers:
//
//	SharedVA  + ConfigOffset   Config, written by the host before a run
//	          + ResultOffset   Result, written by the guest before it rings Done
//	          + RingControl    u64: how many records the guest has produced in this run
//	          + RingOffset     RingRecords records of RecordLen bytes
//	          + QueueOffset    the virtqueue
//	          + MirrorOffset   the start of the device, in part: see Config.Mirror
//	          + DMAOffset      request headers, status bytes and data buffers of the block device
//	DeviceVA                   the registers of virtio-mmio (virtio 1.2, 4.2.2)
//	DoorbellVA                 a write rings
//
// The host trusts none of it: every number read from the window is checked where it is read.
package abi

// Version changes whenever a byte of this package's layouts changes its meaning.
const Version = 2

// Guest-physical layout. RAM starts at 0 and its last SharedLen bytes are the shared window.
const (
	RAMLen    = 64 << 20
	SharedLen = 8 << 20
	SharedGPA = RAMLen - SharedLen
	DeviceGPA = 0xd0000000
	// DoorbellGPA is the page after the device's registers.
	DoorbellGPA = DeviceGPA + 0x1000
)

// Guest-virtual addresses, all in the lower half: on a PVM-type KVM the upper half belongs to the
// host.
const (
	SharedVA   = 0x7e0000000000
	DeviceVA   = 0x7f0000000000
	DoorbellVA = DeviceVA + 0x1000
)

// Offsets in the shared window, bytes.
const (
	ConfigOffset = 0
	ResultOffset = 0x1000
	ResultLen    = 0x40000
	RingControl  = 0x41000
	QueueOffset  = 0x42000
	QueueLen     = 0x1e000
	MirrorOffset = 0x60000
	MirrorLen    = MirrorPieces * MirrorStride
	RingOffset   = 0x100000
	RingLen      = 0x100000
	DMAOffset    = 0x200000
	DMALen       = SharedLen - DMAOffset
	// BuffersLen is the memory of a run for what it reads: what the driver leaves of the DMA area.
	BuffersLen = DMALen - 0x2000
)

// Doorbells: offsets from DoorbellVA or DoorbellGPA. A write of BellLen bytes rings; no other
// access is allowed.
const (
	BellLen = 4

	BellSyscall = 0x00 // rung by the code at LSTAR, never by a program
	BellReady   = 0x08 // booted: the host takes its snapshot here, and every run starts behind it
	BellRing    = 0x10 // the ring holds records that the host must take before the guest goes on
	BellDone    = 0x18 // the result is written; the guest never continues behind it
)

// QueueSize is the number of descriptors of the block device's virtqueue.
const QueueSize = 1024

// The mirror shows the first MirrorLen bytes of the device at their own offsets, but not all of
// them: the first block, and the MirrorPieceLen bytes that begin at each multiple of MirrorStride,
// the default cluster size of qcow2, where metadata begins. What is there costs the guest no exit.
const (
	MirrorPieces   = 8
	MirrorStride   = 65536
	MirrorPieceLen = 4096
)

// MaxRequests is how many block requests one notification carries: each takes three descriptors.
const MaxRequests = 256
