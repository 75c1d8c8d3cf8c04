// Package bochs maps growing images of Bochs.
//
// Specification: the hard disk image format of the Bochs user manual.
package bochs

import (
	"encoding/binary"

	"instarfs/guest/format"
)

const (
	magic   = "Bochs Virtual HD Image\x00"
	redolog = "Redolog\x00"
	growing = "Growing\x00"
)

// Driver is the bochs format.
var Driver = format.Driver{ID: format.Bochs, Name: "bochs", Probe: probe}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	version := binary.LittleEndian.Uint32(h[64:])
	return format.Score(string(h[:23]) == magic && string(h[32:40]) == redolog && string(h[48:56]) == growing &&
		(version == 0x20000 || version == 0x10000), format.Certain)
}
