// Package vpc maps virtual hard disks (VHD) of Virtual PC and its heirs.
//
// Specification: Virtual Hard Disk Image Format Specification, Microsoft 2006.
package vpc

import "instarfs/guest/format"

const cookie = "conectix"

// Driver is the vpc format.
var Driver = format.Driver{ID: format.Vpc, Name: "vpc", Probe: probe}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	return format.Score(string(h[:8]) == cookie, format.Certain)
}
