// Package vdi maps images of VirtualBox.
//
// Specification: block/vdi.c of qemu; VDICore.h of VirtualBox has the same fields.
package vdi

import (
	"encoding/binary"

	"instarfs/guest/format"
)

const signature = 0xbeda107f

// Driver is the vdi format.
var Driver = format.Driver{ID: format.Vdi, Name: "vdi", Probe: probe}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	return format.Score(binary.LittleEndian.Uint32(h[0x40:]) == signature, format.Certain)
}
