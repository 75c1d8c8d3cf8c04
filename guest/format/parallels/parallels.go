// Package parallels maps images of Parallels Desktop.
//
// Specification: docs/interop/parallels.rst of qemu.
package parallels

import (
	"encoding/binary"

	"instarfs/guest/format"
)

const (
	magic    = "WithoutFreeSpace"
	magicExt = "WithouFreSpacExt"
)

// Driver is the parallels format.
var Driver = format.Driver{ID: format.Parallels, Name: "parallels", Probe: probe}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	m := string(h[:16])
	return format.Score((m == magic || m == magicExt) && binary.LittleEndian.Uint32(h[16:]) == 2, format.Certain)
}
