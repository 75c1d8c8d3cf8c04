package qcow2

import (
	"encoding/binary"
	"strconv"

	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// Header extensions: {type u32, length u32, data padded to 8}, from the end of the header to
// the backing file name or the end of the first cluster.
const (
	extensionHead = 8
	extensionPad  = 8

	extEnd           = 0x00000000
	extBackingFormat = 0xe2792aca
	extFeatureTable  = 0x6803f857
	extCryptoHeader  = 0x0537be77
	extBitmaps       = 0x23852875
	extDataFile      = 0x44415441

	cryptoHeaderLen = 16 // offset u64, length u64

	// Records of the feature name table: type u8 (0 incompatible), bit u8, name of 46 bytes
	// padded with NUL.
	featureLen          = 48
	featureName         = 2
	featureIncompatible = 0
)

// extensions is what the header extensions say.
type extensions struct {
	backingFormat string
	dataFile      string // at most maxDataFileName+1 bytes of it
	dataFileOff   uint64 // device offset of the name
	dataFileSeen  bool
	crypto        bool // there is a LUKS header
	bitmaps       bitmapsExtension
	features      uint64 // device offset of the feature name table, 0 if none
	featuresLen   uint32
}

// readExtensions reads all extensions up to the first fault.
func (m *image) readExtensions() *fault.Fault {
	off, end := uint64(m.h.headerLength()), m.h.backingFileOffset()
	if end == 0 {
		end = m.clusterSize
	}
	for off < end {
		b, f := m.win.bytes(off, extensionHead)
		if f != nil {
			return f
		}
		kind, n := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		at := off
		off += extensionHead
		if off > end || uint64(n) > end-off {
			return fault.New(fault.Qcow2ExtensionTooLarge, at+4)
		}
		if kind == extEnd {
			return nil
		}
		if f := m.readExtension(kind, off, n); f != nil {
			return f
		}
		off += (uint64(n) + extensionPad - 1) &^ (extensionPad - 1)
	}
	return nil
}

// readExtension reads one extension's n bytes of data at off. It ignores types that do not
// matter to a map.
func (m *image) readExtension(kind uint32, off uint64, n uint32) *fault.Fault {
	switch kind {
	case extBackingFormat:
		if n > maxBackingFormat {
			return fault.New(fault.Qcow2BackingFormatLength, off, uint64(n))
		}
		b, f := m.win.bytes(off, int(n))
		m.ext.backingFormat = string(format.CString(b))
		return f
	case extDataFile:
		b, f := m.win.bytes(off, int(min(n, maxDataFileName+1)))
		m.ext.dataFile, m.ext.dataFileOff, m.ext.dataFileSeen = string(format.CString(b)), off, true
		return f
	case extFeatureTable:
		m.ext.features, m.ext.featuresLen = off, n
	case extCryptoHeader:
		return m.readCryptoHeader(off, n)
	case extBitmaps:
		return m.readBitmapsExtension(off, n)
	}
	return nil
}

// readCryptoHeader checks the pointer to the LUKS header. qemu without a key reads no further.
func (m *image) readCryptoHeader(off uint64, n uint32) *fault.Fault {
	if m.crypt != cryptLUKS {
		return fault.New(fault.Qcow2CryptoUnexpected, off)
	}
	if n != cryptoHeaderLen {
		return fault.New(fault.Qcow2CryptoLength, off, uint64(n))
	}
	b, f := m.win.bytes(off, cryptoHeaderLen)
	if f != nil {
		return f
	}
	if at := binary.BigEndian.Uint64(b); m.offsetInCluster(at) != 0 {
		return fault.New(fault.Qcow2CryptoOffset, off, at, m.clusterSize)
	}
	if m.needKey {
		return fault.New(fault.Qcow2NeedsKey, offCryptMethod)
	}
	m.ext.crypto = true
	return nil
}

// nameFeatures makes the fault of unknown features, which the image may name. It reads
// extensions before they are checked; a faulty one only ends the search for names.
func (m *image) nameFeatures(unknown uint64) *fault.Fault {
	if f := m.readExtensions(); f != nil && f.Class() == fault.IO {
		return f
	}
	var names []byte
	add := func(name string) {
		if len(names) > 0 {
			names = append(names, ", "...)
		}
		names = append(names, name...)
	}
	off, end := m.ext.features, m.ext.features+uint64(m.ext.featuresLen)
	m.win.seek(end)
	for ; off < end && unknown != 0; off += featureLen {
		b, f := m.win.bytes(off, int(min(featureLen, end-off)))
		if f != nil {
			return f
		}
		if len(b) <= featureName || b[featureName] == 0 {
			break
		}
		// qemu shifts by the number of the bit, of which the processor uses the lowest six
		// bits.
		if bit := uint64(1) << (b[1] & 63); b[0] == featureIncompatible && unknown&bit != 0 {
			add(string(format.CString(b[featureName:])))
			unknown &^= bit
		}
	}
	if unknown != 0 {
		add("Unknown incompatible feature: " + strconv.FormatUint(unknown, 16))
	}
	return fault.Quoting(fault.Qcow2Features, offIncompatible, string(names))
}
