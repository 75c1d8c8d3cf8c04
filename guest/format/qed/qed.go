// Package qed maps images of the QEMU enhanced disk format.
//
// Specification: docs/interop/qed_spec.rst of qemu.
package qed

import "instarfs/guest/format"

const magic = "QED\x00"

// Driver is the qed format.
var Driver = format.Driver{ID: format.Qed, Name: "qed", Probe: probe}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	return format.Score(string(h[:4]) == magic, format.Certain)
}
