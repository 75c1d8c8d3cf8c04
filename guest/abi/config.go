package abi

import (
	"encoding/binary"
	"errors"
	"instarfs/guest/img"
)

// ConfigLen is the size of an encoded Config in bytes, and ConfigMagic its first four ("MAP_").
const (
	ConfigLen   = 64
	ConfigMagic = 0x4D41505F
)

// Flags of Config.
const (
	// FlagDmgName says that the file's name ends in ".dmg", which qemu's probing takes as a hint.
	FlagDmgName = 1 << iota

	flagsKnown = 1<<iota - 1
)

// Config tells a run what to do. Offsets of its encoding are in brackets.
type Config struct {
	Flags      uint32      // [4]
	SectorSize uint32      // [8] bytes, a power of two from 512 to 65536: block size of the device
	Window     img.Window  // [16] Start, [24] End
	Format     img.Format  // [36] the one that is forced; img.Unknown: probe
	DeviceSize uint64      // [40] bytes, need not be whole sectors
	Allocated  uint64      // [48] st_blocks*512 of the image file, bytes
	Release    img.Release // [56]
	Mirror     uint32      // [60] bit i: the mirror has the piece of the device at i*MirrorStride
	// [0] is the magic, [12] the number of devices, which is 1, [32] Version.
}

// MirrorPiece is how many bytes of the mirror begin at i*MirrorStride: the first block of the
// device, or MirrorPieceLen.
func (c *Config) MirrorPiece(i uint64) uint64 {
	if i == 0 {
		return uint64(c.SectorSize)
	}
	return MirrorPieceLen
}

// Encode writes c to the first ConfigLen bytes of b.
func (c *Config) Encode(b []byte) {
	le := binary.LittleEndian
	_ = b[ConfigLen-1]
	le.PutUint32(b[0:], ConfigMagic)
	le.PutUint32(b[4:], c.Flags)
	le.PutUint32(b[8:], c.SectorSize)
	le.PutUint32(b[12:], 1)
	le.PutUint64(b[16:], c.Window.Start)
	le.PutUint64(b[24:], c.Window.End)
	le.PutUint32(b[32:], Version)
	le.PutUint32(b[36:], uint32(c.Format))
	le.PutUint64(b[40:], c.DeviceSize)
	le.PutUint64(b[48:], c.Allocated)
	le.PutUint32(b[56:], uint32(c.Release))
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
		Flags: le.Uint32(b[4:]), SectorSize: le.Uint32(b[8:]),
		Window: img.Window{Start: le.Uint64(b[16:]), End: le.Uint64(b[24:])},
		Format: img.Format(le.Uint32(b[36:])), DeviceSize: le.Uint64(b[40:]),
		Allocated: le.Uint64(b[48:]), Release: img.Release(le.Uint32(b[56:])),
		Mirror: le.Uint32(b[60:]),
	}
	switch {
	case le.Uint32(b[32:]) != Version:
		return c, ErrConfigVersion
	case c.Flags&^uint32(flagsKnown) != 0, le.Uint32(b[12:]) != 1, !SectorSizeValid(c.SectorSize),
		c.Mirror>>MirrorPieces != 0:
		return c, ErrConfigField
	}
	return c, nil
}

// SectorSizeValid reports whether n bytes can be the block size of the device.
func SectorSizeValid(n uint32) bool { return n >= 512 && n <= 65536 && n&(n-1) == 0 }
