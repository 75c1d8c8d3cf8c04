// Package vmdk maps disks of VMware: sparse files, and descriptors, which are texts that
// assemble a disk from other files. A descriptor says where the bytes in flat files are. The
// map of a sparse file that it names comes from another run, over that file. Descriptors are
// parsed by the same rules as in qemu (line.go).
//
// Specification: Virtual Disk Format 5.0 of VMware. Where it is silent, this package does what
// qemu 7.2 does.
package vmdk

import (
	"bytes"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the vmdk format: the files that are images.
var Driver = format.Driver{Format: img.Vmdk, Probe: probe, Open: open}

// SparseDriver and SESparseDriver are files that hold an extent of the disk of a descriptor.
// Probes do not find them: the descriptor gives the format.
var (
	SparseDriver   = format.Driver{Format: img.VmdkSparse, Probe: never, Open: openSparse}
	SESparseDriver = format.Driver{Format: img.VmdkSESparse, Probe: never, Open: openSESparse}
)

func never(*[format.HeadLen]byte, uint64, bool) int { return 0 }

// probe accepts two binary signatures, and the text of a descriptor: comments and lines of
// blanks, then the version.
func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	if s := string(h[:4]); s == magicCOWD || s == magicKDMV {
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

// open opens an image: a sparse file, or the text of a descriptor.
func open(p *format.Params) (format.Image, *fault.Fault) {
	if p.Dev.Size() == 0 {
		return nil, fault.New(fault.VmdkTooSmall, 0)
	}
	head, f := block.Take(p.Dev, headLen)
	if f != nil {
		return nil, f
	}
	if f := block.ReadOne(p.Dev, head, 0); f != nil {
		return nil, f
	}
	var image disk
	at := uint64(0)
	switch string(head[:4]) {
	case magicKDMV, magicCOWD:
		image, f = readSparse(p, (*header)(head), true)
		at = embeddedAt
	default:
		image, f = readText(p, 0, head)
	}
	if image == nil {
		return nil, f
	}
	name := ""
	if f == nil {
		name, f = parent(head[at:at+parentLen], at, p.Release.IsQemu())
	}
	if f != nil {
		return p.RefuseLate(f, image.References())
	}
	if name != "" {
		image.setBacking(name)
	}
	sizeless, f := format.CheckSectors(p, image.sectors(), offCapacity, fault.VmdkTooLarge)
	switch {
	case f != nil:
		return p.RefuseLate(f, image.References())
	case sizeless != nil:
		sizeless.Refs = image.References()
		return sizeless, nil
	}
	return image, nil
}

// disk is what a sparse file and a text have in common.
type disk interface {
	format.Image
	// sectors returns how many sectors the disk has, which may be too many.
	sectors() uint64
	// setBacking adds the backing file to the references.
	setBacking(name string)
}
