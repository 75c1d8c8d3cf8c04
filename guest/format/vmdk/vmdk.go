// Package vmdk maps disks of VMware: sparse files, descriptors, and the files that descriptors name.
//
// Specification: Virtual Disk Format 5.0 of VMware.
package vmdk

import (
	"bytes"

	"instarfs/guest/format"
)

// Driver is the vmdk format: what may be opened as an image.
var Driver = format.Driver{ID: format.Vmdk, Name: "vmdk", Probe: probe}

// SparseDriver and SESparseDriver are files that hold an extent of the disk that a descriptor describes. Nothing is probed
// to be one: a descriptor says so.
var (
	SparseDriver   = format.Driver{ID: format.VmdkSparse, Name: "vmdk-sparse", Probe: never}
	SESparseDriver = format.Driver{ID: format.VmdkSESparse, Name: "vmdk-sesparse", Probe: never}
)

func never(*[format.HeadLen]byte, uint64, bool) int { return 0 }

// probe knows two binary signatures and the text of a descriptor: comments and lines of nothing but blanks, at least one
// each, and then the version.
func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	if s := string(h[:4]); s == "COWD" || s == "KDMV" {
		return format.Certain
	}
	for b := h[:]; len(b) > 0; {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		switch {
		case len(line) > 0 && line[0] == '#':
			b = rest
			continue
		case len(line) > 0 && line[0] == ' ':
			blanks := bytes.TrimLeft(line, " ")
			if !whole || len(blanks) > 1 || len(blanks) == 1 && blanks[0] != '\r' {
				return 0
			}
			b = rest
			continue
		}
		switch s := string(bytes.TrimSuffix(line, []byte("\r"))); s {
		case "version=1", "version=2", "version=3":
			return format.Score(whole, format.Certain)
		}
		return 0
	}
	return 0
}
