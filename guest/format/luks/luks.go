// Package luks maps LUKS containers.
//
// Specification: LUKS1 On-Disk Format Specification 1.2.3.
package luks

import (
	"encoding/binary"

	"instarfs/guest/format"
)

const magic = "LUKS\xba\xbe"

// Driver is the luks format.
var Driver = format.Driver{ID: format.Luks, Name: "luks", Probe: probe}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	return format.Score(string(h[:6]) == magic && binary.BigEndian.Uint16(h[6:]) == 1, format.Certain)
}
