package vmdk

import (
	"bytes"

	"instarfs/guest/fault"
)

// place is what an extent of a descriptor is.
type place uint8

const (
	nowhere  place = iota // no extent
	flat                  // bytes of a file, as they are
	sparse                // a sparse file, hosted or COWD
	seSparse              // a seSparse file
	zeroes                // no file
	hidden                // nobody may read it
)

// description is one extent of a descriptor.
type description struct {
	place   place
	sectors uint64 // of the disk, more than none; how long an extent in a sparse file is the file says
	offset  uint64 // sectors from the start of the file
	name    []byte
}

// extents reads the lines of a descriptor that describe extents, in order.
//
// The way of qemu is to try scanf at every start of a line. Blanks that scanf passes over
// include line ends, so the fields of one extent may stand on several lines; and where an empty
// line precedes an extent, scanf finds that extent from both.
type extents struct {
	text []byte
	qemu bool // read it as qemu does, rather than line by line
	pos  int  // where the next line starts

	first int // the first character that is not blank from the last line's start on
	last  fields
}

// next is the next extent, or one that is nowhere at the end.
func (x *extents) next() (description, *fault.Fault) {
	for x.pos < len(x.text) {
		start := x.pos
		line, _, _ := bytes.Cut(x.text[start:], []byte("\n"))
		x.pos = min(start+len(line)+1, len(x.text))
		var d description
		var good bool
		if x.qemu {
			d, good = x.read(start).asQemu()
		} else {
			s := scanner{text: line}
			f := s.scan()
			if d, good = f.asMeant(); good && d.place == nowhere && extentAccess(f.access) {
				return d, fault.Quoting(fault.VmdkExtentType, uint64(start), string(f.kind))
			}
		}
		switch {
		case !good:
			return d, fault.Quoting(fault.VmdkExtentLine, uint64(start), string(line))
		case d.place != nowhere && d.sectors > 0:
			return d, nil
		}
	}
	return description{}, nil
}

// read reads fields from a start of a line on. What begins with blanks is read once for all
// starts among them: else a text of a million line ends would take a million times a million
// steps.
func (x *extents) read(start int) *fields {
	if start > 0 && start <= x.first {
		return &x.last
	}
	s := scanner{text: x.text, pos: start}
	s.blanks()
	x.first = s.pos
	x.last = s.scan()
	return &x.last
}

// asQemu is what qemu makes of fields: good is false where it gives up. Kinds that it does not
// know are no extents.
func (f *fields) asQemu() (d description, good bool) {
	if f.found < 4 || string(f.access) != "RW" {
		return d, true
	}
	d.name = f.name
	switch string(f.kind) {
	case "FLAT":
		if f.found != 5 || f.offset < 0 {
			return d, false
		}
		d.place, d.offset = flat, uint64(f.offset)
	case "VMFS":
		d.place = flat
	case "SPARSE", "VMFSSPARSE":
		d.place = sparse
	case "SESPARSE":
		d.place = seSparse
	}
	if string(f.kind) != "FLAT" && f.found != 4 {
		return d, false
	}
	d.sectors = uint64(max(f.sectors, 0))
	return d, true
}

// asMeant is what fields mean: qemu reads no extents that are read-only, or hold no bytes.
func (f *fields) asMeant() (d description, good bool) {
	if !extentAccess(f.access) {
		return d, true
	}
	if f.found < 3 || f.sectors < 0 || f.offset < 0 {
		return d, false
	}
	d.sectors, d.name = uint64(f.sectors), f.name
	switch string(f.kind) {
	case "ZERO":
		d.place = zeroes
		return d, true
	case "FLAT", "VMFS":
		d.place, d.offset = flat, uint64(f.offset)
	case "SPARSE", "VMFSSPARSE":
		d.place = sparse
	case "SESPARSE":
		d.place = seSparse
	}
	if string(f.access) == "NOACCESS" {
		d.place = hidden
		return d, true
	}
	return d, f.found >= 4
}

func extentAccess(word []byte) bool {
	switch string(word) {
	case "RW", "RDONLY", "NOACCESS":
		return true
	}
	return false
}
