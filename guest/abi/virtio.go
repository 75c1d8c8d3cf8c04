package abi

// The part of virtio 1.2 that device and driver share. Names are the specification's.

// Registers of virtio-mmio (4.2.2), offsets from the start of the device's page.
const (
	MagicValue        = 0x000
	MMIOVersion       = 0x004
	DeviceID          = 0x008
	VendorID          = 0x00c
	DeviceFeatures    = 0x010
	DeviceFeaturesSel = 0x014
	DriverFeatures    = 0x020
	DriverFeaturesSel = 0x024
	QueueSel          = 0x030
	QueueNumMax       = 0x034
	QueueNum          = 0x038
	QueueReady        = 0x044
	QueueNotify       = 0x050
	InterruptStatus   = 0x060
	InterruptACK      = 0x064
	DeviceStatus      = 0x070
	QueueDescLow      = 0x080
	QueueDescHigh     = 0x084
	QueueDriverLow    = 0x090
	QueueDriverHigh   = 0x094
	QueueDeviceLow    = 0x0a0
	QueueDeviceHigh   = 0x0a4
	ConfigGeneration  = 0x0fc
	DeviceConfig      = 0x100
)

// What the identifying registers of a block device hold.
const (
	MagicNumber   = 0x74726976 // "virt"
	ModernVersion = 2
	BlockDeviceID = 2
)

// Bits of DeviceStatus (2.1).
const (
	StatusAcknowledge = 1
	StatusDriver      = 2
	StatusDriverOK    = 4
	StatusFeaturesOK  = 8
	StatusNeedsReset  = 64
	StatusFailed      = 128
)

// Feature bits (5.2.3 and 6).
const (
	FeatureBlkReadOnly = 1 << 5
	FeatureBlkSize     = 1 << 6
	FeatureVersion1    = 1 << 32
)

// Split virtqueue (2.7): the descriptor table has 16 bytes an entry, addr u64, len u32, flags u16,
// next u16; the available ring is flags u16, idx u16, then a u16 an entry; the used ring flags u16,
// idx u16, then id u32, len u32 an entry.
const (
	DescLen      = 16
	DescFlagNext = 1
	// DescFlagWrite: the device writes the buffer.
	DescFlagWrite = 2

	AvailHeaderLen = 4
	AvailEntryLen  = 2
	UsedHeaderLen  = 4
	UsedEntryLen   = 8
)

// Block requests (5.2.6): a header of type u32, reserved u32, sector u64, then data, then one byte
// of status.
const (
	BlkHeaderLen = 16
	BlkTypeIn    = 0
	SectorLen    = 512

	BlkStatusOK     = 0
	BlkStatusIOErr  = 1
	BlkStatusUnsupp = 2
)
