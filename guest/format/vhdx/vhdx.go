// Package vhdx maps virtual hard disks of Hyper-V, version 2.
//
// Specification: [MS-VHDX] of Microsoft.
package vhdx

import "instarfs/guest/format"

const signature = "vhdxfile"

// Driver is the vhdx format.
var Driver = format.Driver{ID: format.Vhdx, Name: "vhdx", Probe: probe}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	return format.Score(string(h[:8]) == signature, format.Certain)
}
