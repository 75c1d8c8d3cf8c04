package vhdx

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// paths are the keys of a parent locator that hold a path, the best first: one that is relative
// to the image leads to the parent on any computer.
var paths = [...]string{"relative_path", "absolute_win32_path", "volume_path"}

// readParent finds the path of the parent, and takes the memory for bitmaps.
func (m *image) readParent(e *entry) *fault.Fault {
	bits, f := block.Take(m.dev, bitmapBytes)
	if f != nil {
		return f
	}
	m.bits = bits
	off, n := m.metadata+uint64(e.itemOffset()), uint64(e.itemLength())
	if n > maxLocator {
		return fault.New(fault.VhdxLocatorLength, off, n, maxLocator)
	}
	if off > block.MaxOffset-maxLocator {
		return fault.New(fault.VhdxItemRead, m.metadata, off)
	}
	if n < locatorFixed {
		return fault.New(fault.VhdxNoParent, off)
	}
	l := locator(m.bits[:n])
	if f := block.ReadOne(m.dev, l, off); f != nil {
		return f
	}
	if string(l[:16]) != vhdxLocator {
		return fault.New(fault.VhdxLocatorType, off)
	}
	for _, key := range paths {
		value, ok := l.find(key)
		if !ok {
			continue
		}
		if len(value) > maxPath {
			return fault.New(fault.VhdxParentLength, off, uint64(len(value)), maxPath)
		}
		name := format.UnixPath(format.UTF16(value, binary.LittleEndian))
		if name != "" {
			m.refs = []img.Reference{{Kind: img.Backing, Name: name, Format: img.Vhdx.String()}}
			return nil
		}
	}
	return fault.New(fault.VhdxNoParent, off)
}

// locator is a parent locator: a header, a table, and the keys and values that the table points
// to.
type locator []byte

// find returns the value of a key, in UTF-16. It ignores entries that point out of the locator.
func (l locator) find(key string) (value []byte, ok bool) {
	le := binary.LittleEndian
	count := int(le.Uint16(l[18:]))
	for i := range min(count, (len(l)-locatorFixed)/locatorEntry) {
		e := l[locatorFixed+i*locatorEntry:]
		k, ok := l.cut(le.Uint32(e), le.Uint16(e[8:]))
		// One unit more than the key has shows whether the key of the entry is longer: all
		// entries may have the same 64 KiB for a key.
		if !ok || format.UTF16(k[:min(len(k), 2*len(key)+2)], binary.LittleEndian) != key {
			continue
		}
		if value, ok = l.cut(le.Uint32(e[4:]), le.Uint16(e[10:])); ok {
			return value, true
		}
	}
	return nil, false
}

// cut returns the part of l that an entry points to.
func (l locator) cut(off uint32, n uint16) ([]byte, bool) {
	if uint64(off)+uint64(n) > uint64(len(l)) {
		return nil, false
	}
	return l[off : uint64(off)+uint64(n)], true
}
