package vpc

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// openParent finds the name of the parent, and takes the memory for bitmaps. A path relative to
// the image is best, then one that was valid on another computer, then the bare name.
func (m *image) openParent() *fault.Fault {
	bits, f := block.Take(m.dev, bitmapBytes)
	if f != nil {
		return f
	}
	m.bits = bits
	for _, code := range []string{codeRelative, codeAbsolute} {
		for i := range locators {
			if m.h.locator(i).platformCode() != code {
				continue
			}
			name, f := m.readLocator(i)
			if f != nil {
				return f
			}
			if name != "" {
				m.setParent(name)
				return nil
			}
		}
	}
	name := format.UnixPath(format.UTF16(m.h.parentUnicodeName(), binary.BigEndian))
	if name != "" {
		m.setParent(name)
		return nil
	}
	return fault.New(fault.VpcNoParent, m.f.dataOffset()+offLocators)
}

// readLocator reads the name that a parent locator entry points to.
func (m *image) readLocator(i int) (string, *fault.Fault) {
	l := m.h.locator(i)
	at := m.f.dataOffset() + offLocators + uint64(i)*locatorSize
	n := uint64(l.platformDataLength())
	if n > maxLocator {
		return "", fault.New(fault.VpcParentLength, at, n, maxLocator)
	}
	off := l.platformDataOffset()
	if n == 0 || off >= m.dev.Size() {
		return "", nil
	}
	buf := m.bits[:n]
	if f := block.ReadOne(m.dev, buf, off); f != nil {
		return "", f
	}
	return format.UnixPath(format.UTF16(buf, binary.LittleEndian)), nil
}

func (m *image) setParent(name string) {
	m.refs = []img.Reference{{Kind: img.Backing, Name: name, Format: img.Vpc.String()}}
}
