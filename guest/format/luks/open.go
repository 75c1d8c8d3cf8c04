// Package luks maps LUKS containers: the part of the file that is the encrypted disk. It does
// not read the disk, so it needs no key.
//
// Specification: LUKS1 On-Disk Format Specification 1.2.3; LUKS2 On-Disk Format Specification
// 1.1.1.
package luks

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the luks format. As in qemu, the probe does not find version 2, which must be asked
// for.
var Driver = format.Driver{Format: img.Luks, Probe: probe, Open: open}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	return format.Score(string(h[:len(magic)]) == magic && version(h[:]) == 1, format.Certain)
}

const encrypted = extent.Present | extent.Data | extent.Encrypted

// open finds the payload. qemu-img without a key refuses every container before it reads a
// byte.
func open(p *format.Params) (format.Image, *fault.Fault) {
	if p.Release.IsQemu() {
		return nil, fault.New(fault.LuksNeedsKey, 0)
	}
	buf, f := block.Take(p.Dev, bufferLen)
	if f != nil {
		return nil, f
	}
	if f := block.ReadOne(p.Dev, buf[:headerV1], 0); f != nil {
		return nil, f
	}
	size := block.Length(p.Dev)
	switch {
	case p.Dev.Size() > block.MaxOffset:
		return nil, fault.New(fault.DeviceTooLarge, 0, p.Dev.Size())
	case string(buf[:len(magic)]) != magic:
		return nil, fault.New(fault.LuksMagic, 0)
	case version(buf) == 2:
		return openV2(p.Dev, buf, size)
	case version(buf) != 1:
		return nil, fault.New(fault.LuksVersion, offVersion, uint64(version(buf)))
	}
	payload := uint64(binary.BigEndian.Uint32(buf[offPayload:])) * sectorSize
	if payload == 0 || payload > size {
		return nil, fault.New(fault.LuksDetached, offPayload, payload, p.Dev.Size())
	}
	return format.Uniform{Bytes: size - payload, Flags: encrypted}, nil
}
