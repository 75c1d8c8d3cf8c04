package abi

import (
	"encoding/binary"
	"errors"
)

// ConfigLen is the size of an encoded Config in bytes, and ConfigMagic its first four ("MAP_").
const (
	ConfigLen   = 64
	ConfigMagic = 0x4D41505F
)

// Flags of Config.
const (
	// FlagEmptyWindow: MaxLength 0 means no byte, not all that is left.
	FlagEmptyWindow = 1 << iota
	// FlagDmgName: the file's name ends in ".dmg", which qemu's probing takes as a hint.
	FlagDmgName

	flagsKnown = 1<<iota - 1
)

// Config tells a run what to do. Offsets of its encoding are in brackets.
type Config struct {
	Flags       uint32 // [4]
	SectorSize  uint32 // [8] bytes, a power of two from 512 to 65536: block size of the device
	Devices     uint32 // [12] always 1
	Start       uint64 // [16] first byte of the window
	MaxLength   uint64 // [24] bytes of the window; 0: to the end of the disk
	ABIVersion  uint32 // [32] Version
	Format      uint32 // [36] format.ID that is forced; 0: probe
	DeviceSize  uint64 // [40] bytes, need not be whole sectors
	Allocated   uint64 // [48] st_blocks*512 of the image file, bytes
	QemuVersion uint32 // [56] major<<16 | minor of the release to imitate; 0: none
	Mirror      uint32 // [60] bit i: the piece of the device at i*MirrorStride stands in the mirror
	// [0] is the magic.
}

// Encode writes c to the first ConfigLen bytes of b.
func (c *Config) Encode(b []byte) {
	le := binary.LittleEndian
	_ = b[ConfigLen-1]
	le.PutUint32(b[0:], ConfigMagic)
	le.PutUint32(b[4:], c.Flags)
	le.PutUint32(b[8:], c.SectorSize)
	le.PutUint32(b[12:], c.Devices)
	le.PutUint64(b[16:], c.Start)
	le.PutUint64(b[24:], c.MaxLength)
	le.PutUint32(b[32:], c.ABIVersion)
	le.PutUint32(b[36:], c.Format)
	le.PutUint64(b[40:], c.DeviceSize)
	le.PutUint64(b[48:], c.Allocated)
	le.PutUint32(b[56:], c.QemuVersion)
	le.PutUint32(b[60:], c.Mirror)
}

// The ways in which a Config is refused.
var (
	ErrConfigMagic   = errors.New("config: wrong magic")
	ErrConfigVersion = errors.New("config: another version of the ABI")
	ErrConfigField   = errors.New("config: a field is out of range")
)

// DecodeConfig reads a Config from the first ConfigLen bytes of b and checks it.
func DecodeConfig(b []byte) (c Config, err error) {
	le := binary.LittleEndian
	if len(b) < ConfigLen || le.Uint32(b) != ConfigMagic {
		return c, ErrConfigMagic
	}
	c = Config{
		Flags: le.Uint32(b[4:]), SectorSize: le.Uint32(b[8:]), Devices: le.Uint32(b[12:]),
		Start: le.Uint64(b[16:]), MaxLength: le.Uint64(b[24:]), ABIVersion: le.Uint32(b[32:]), Format: le.Uint32(b[36:]),
		DeviceSize: le.Uint64(b[40:]), Allocated: le.Uint64(b[48:]), QemuVersion: le.Uint32(b[56:]),
		Mirror: le.Uint32(b[60:]),
	}
	switch {
	case c.ABIVersion != Version:
		return c, ErrConfigVersion
	case c.Flags&^uint32(flagsKnown) != 0, c.Devices != 1, !SectorSizeValid(c.SectorSize), c.Mirror>>MirrorPieces != 0:
		return c, ErrConfigField
	}
	return c, nil
}

// SectorSizeValid reports whether n bytes can be the block size of the device.
func SectorSizeValid(n uint32) bool { return n >= 512 && n <= 65536 && n&(n-1) == 0 }

// Window is the part [start, end) of a disk of size bytes that c asks for (qemu-img map's rule: start+length saturates at
// the end). start may be at or past the end; the window is empty then.
func (c *Config) Window(size uint64) (start, end uint64) {
	end = size
	switch {
	case c.Flags&FlagEmptyWindow != 0:
		end = c.Start
	case c.MaxLength != 0 && c.MaxLength < size && c.Start < size-c.MaxLength:
		end = c.Start + c.MaxLength
	}
	return c.Start, max(c.Start, end)
}
