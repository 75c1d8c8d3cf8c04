package vmdk

import (
	"bytes"

	"instarfs/guest/fault"
)

// place is where the bytes of an extent of a descriptor are.
type place uint8

const (
	nowhere  place = iota // no extent
	flat                  // bytes of a file
	sparse                // a sparse file, hosted or COWD
	seSparse              // a seSparse file
	zeroes                // no file
	hidden                // not accessible
)

// description is one extent of a descriptor.
type description struct {
	place   place
	sectors uint64 // of the disk, at least 1; ignored for a sparse file, which has its own length
	offset  uint64 // sectors from the start of the file
	name    []byte
}

// extents reads the lines of a descriptor that describe extents, in order.
//
// qemu calls scanf at every start of a line. scanf skips line ends like other blanks, so the
// fields of one extent may be on several lines; and if an empty line precedes an extent, scanf
// finds the extent from both lines.
type extents struct {
	text []byte
	qemu bool // parse like qemu, not line by line
	pos  int  // where the next line starts

	first int // the first character that is not blank after the start of the last line
	last  fields
}

// next returns the next extent, or at the end one whose place is nowhere.
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

// read reads fields from the start of a line on. It reads fields after blanks once for all
// lines that start in the blanks: otherwise a text of a million line ends would take a million
// times a million steps.
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

// asQemu returns the extent that qemu finds in the fields. good is false if qemu refuses them.
// It ignores kinds that it does not know.
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

// asMeant returns the extent that the fields describe, including those that qemu ignores:
// read-only ones, and ones without a file.
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
