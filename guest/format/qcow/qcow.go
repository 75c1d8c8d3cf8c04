// Package qcow maps images of qemu's first own format, version 1 of what qcow2 is version 2 and 3 of.
//
// docs: block/qcow.c of qemu; there is no other specification.
package qcow

import (
	"encoding/binary"

	"instarfs/guest/format"
)

const magic = "QFI\xfb"

// Driver is the qcow format.
var Driver = format.Driver{ID: format.Qcow, Name: "qcow", Probe: probe}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	return format.Score(string(h[:4]) == magic && binary.BigEndian.Uint32(h[4:]) == 1, format.Certain)
}
