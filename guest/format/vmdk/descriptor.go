package vmdk

import (
	"bytes"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// descriptor is a disk that a text assembles from other files. The text stays in memory, and
// each walk parses it again: it may describe more extents than fit in memory.
type descriptor struct {
	text []byte
	qemu bool
	all  uint64 // sectors; a sparse file counts as one, because only it knows its length
	refs []img.Reference
	// numbers are the numbers of the files in refs. Lines with the same file have the same
	// number, so that their extents can be merged.
	numbers map[file]uint16
}

// file is a file that a line names.
type file struct {
	place place
	name  string
}

// readText reads the descriptor at device offset off. head is the start of the device. With a
// fault in a line it also returns the disk of the lines before it, which may name files.
func readText(p *format.Params, off uint64, head []byte) (disk, *fault.Fault) {
	b, f := textAt(p.Dev, off, head)
	if f != nil {
		return nil, f
	}
	d := &descriptor{text: format.CString(b), qemu: p.Release.IsQemu(), numbers: map[file]uint16{}}
	kind, ok := createType(d.text)
	if !ok {
		return nil, fault.New(fault.VmdkDescriptor, off)
	}
	if d.qemu && !known(kind) {
		return nil, fault.Quoting(fault.VmdkCreateType, off, string(kind))
	}
	switch f := d.addAll(); {
	case f == nil:
	case f.Reason == fault.TooManyReferences:
		return nil, f
	default:
		f.Offset += off
		return d, f
	}
	return d, nil
}

// textAt returns the bytes that qemu reads at device offset off, up to the end of the device.
func textAt(dev block.Device, off uint64, head []byte) ([]byte, *fault.Fault) {
	size := dev.Size()
	rounded := min(size, maxText)
	if size < maxText {
		rounded = min((size+sectorSize-1)&^(sectorSize-1), maxText)
	}
	if off > block.MaxOffset-rounded {
		return nil, fault.New(fault.VmdkDescriptorRead, offDescriptor)
	}
	n := min(rounded, size-min(off, size))
	if off == 0 && n <= uint64(len(head)) {
		return head[:n], nil
	}
	if n == 0 {
		return nil, nil
	}
	text, f := block.Take(dev, maxText)
	if f != nil {
		return nil, f
	}
	text = text[:n]
	rest := text
	if off == 0 {
		rest = text[copy(text, head):]
	}
	if f := block.ReadOne(dev, rest, off+n-uint64(len(rest))); f != nil {
		return nil, f
	}
	return text, nil
}

// createType returns the value of createType, between quotes. qemu ignores the two characters
// after the name.
func createType(text []byte) (kind []byte, ok bool) {
	const key = "createType"
	i := bytes.Index(text, []byte(key))
	if i < 0 || i+len(key)+2 >= len(text) {
		return nil, false
	}
	value := text[i+len(key)+2:]
	end := bytes.IndexByte(value, '"')
	if end < 0 || end > maxCreate {
		return nil, false
	}
	return value[:end], true
}

// known reports whether qemu reads descriptors of that type.
func known(kind []byte) bool {
	switch string(kind) {
	case "monolithicFlat", "vmfs", "vmfsSparse", "seSparse", "twoGbMaxExtentSparse",
		"twoGbMaxExtentFlat":
		return true
	}
	return false
}

// addAll reads all extents once: it checks them, and numbers their files.
func (d *descriptor) addAll() *fault.Fault {
	x := extents{text: d.text, qemu: d.qemu}
	for {
		e, f := x.next()
		if f != nil || e.place == nowhere {
			return f
		}
		if f := d.addFile(e); f != nil {
			return f
		}
		n := e.length()
		if n > ^uint64(0)-d.all {
			return fault.New(fault.VmdkTooLarge, 0)
		}
		d.all += n
		if n <= maxSectors && e.offset > maxSectors-n {
			return fault.New(fault.VmdkFlatOffset, 0, e.offset)
		}
	}
}

// length returns how many sectors the extent has in the map of the descriptor.
func (e *description) length() uint64 {
	if e.place == sparse || e.place == seSparse {
		return 1
	}
	return e.sectors
}

// addFile numbers the file of an extent, unless it has a number.
func (d *descriptor) addFile(e description) *fault.Fault {
	ref := img.Reference{Kind: img.ExtentFile}
	switch e.place {
	case flat:
		ref.Kind = img.DataFile
	case sparse:
		ref.Format = img.VmdkSparse.String()
	case seSparse:
		ref.Format = img.VmdkSESparse.String()
	default:
		return nil
	}
	if _, ok := d.numbers[file{e.place, string(e.name)}]; ok {
		return nil
	}
	if len(d.refs) == maxReferences-1 { // one is for the backing file
		return fault.New(fault.TooManyReferences, 0, maxReferences-1)
	}
	ref.Name = string(e.name)
	d.refs = append(d.refs, ref)
	d.numbers[file{e.place, ref.Name}] = uint16(len(d.refs))
	return nil
}

func (d *descriptor) setBacking(name string) {
	d.refs = append(d.refs, img.Reference{Kind: img.Backing, Name: name, Format: img.Vmdk.String()})
}

// Size returns the size of all extents together, bytes.
func (d *descriptor) Size() uint64 { return d.all * sectorSize }

func (d *descriptor) sectors() uint64 { return d.all }

// References returns the files of extents, in the order of the text, then the backing file.
func (d *descriptor) References() []img.Reference { return d.refs }

// Walk emits an extent for each line. See format.Image.
func (d *descriptor) Walk(start, end uint64, sink format.Sink) *fault.Fault {
	x := extents{text: d.text, qemu: d.qemu}
	for pos := uint64(0); pos < end; {
		e, f := x.next()
		if f != nil || e.place == nowhere {
			return f
		}
		next := pos + e.length()*sectorSize
		if from, to := max(pos, start), min(next, end); from < to {
			d.emit(e, from-pos, to-from, sink)
		}
		pos = next
	}
	return nil
}

// emit emits n bytes of an extent from its byte skip on.
func (d *descriptor) emit(e description, skip, n uint64, sink format.Sink) {
	const stored = extent.Present | extent.Data
	number := d.numbers[file{e.place, string(e.name)}]
	switch e.place {
	case flat:
		sink.Emit(n, stored|extent.Offset|extent.Holes, e.offset*sectorSize+skip, number)
	case sparse, seSparse:
		sink.Emit(n, stored|extent.Offset, skip, number)
	case zeroes:
		sink.Emit(n, extent.Present|extent.Zero, 0, 0)
	default:
		sink.Emit(n, stored, 0, 0)
	}
}
