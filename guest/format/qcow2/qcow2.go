// Package qcow2 maps images of qemu's own format, versions 2 and 3: what qemu-img map says of
// them, down to the faults that it finds and in the order in which it finds them. The bytes are
// in layout.go, the checks of open in open.go and the files it names, the walk in walk.go.
// Nothing of an image is believed: every number meets its limit before it is used, and every
// loop is bounded by a table whose size was checked, by the window or by the device's size.
//
// Specification: https://www.qemu.org/docs/master/interop/qcow2.html. Where it is silent, what
// qemu 7.2 does decides.
package qcow2

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the qcow2 format. A version that is not known yet is recognised too, so that it is
// refused by name.
var Driver = format.Driver{Format: img.Qcow2, Probe: probe, Open: open}

func probe(head *[format.HeadLen]byte, _ uint64, _ bool) int {
	if string(head[:len(magic)]) == magic && binary.BigEndian.Uint32(head[offVersion:]) >= 2 {
		return 100
	}
	return 0
}

// image is an opened image.
type image struct {
	dev       block.Device
	allocated uint64 // bytes that the file occupies on the host
	p         *format.Params
	needKey   bool // refuse an encrypted image, as qemu-img without a key does
	h         header
	win       window

	clusterBits uint   // log2 of the cluster's bytes
	clusterSize uint64 // bytes
	entryBits   uint   // log2 of an L2 entry's bytes: 3, or 4 with extended L2
	tableBits   uint   // log2 of the entries of an L2 table
	sliceMask   uint64 // entries of an L2 slice, a power of two, less one
	size        uint64 // bytes of the virtual disk
	crypt       uint32 // crypt_method
	hasDataFile bool
	ext         extensions
	refs        []img.Reference

	flags  [kinds]extent.Flags // what is emitted for each kind
	file   uint16              // extent.State.File of what has an offset
	tables format.TwoLevel
}

// kind is how a cluster, or with extended L2 entries a subcluster, is stored.
type kind uint8

const (
	unallocPlain kind = iota
	unallocAlloc      // has a host offset that does not decide the content
	zeroPlain
	zeroAlloc
	normal
	compressed
	kinds
)

// hasOffset reports whether runs of k need contiguous host offsets.
func (k kind) hasOffset() bool { return k == unallocAlloc || k == zeroAlloc || k == normal }

// setFlags fills in what each kind shows of itself: encrypted images keep their offsets to
// themselves.
func (m *image) setFlags() {
	m.flags = [kinds]extent.Flags{
		unallocAlloc: extent.Offset,
		zeroPlain:    extent.Present | extent.Zero,
		zeroAlloc:    extent.Present | extent.Zero | extent.Offset,
		normal:       extent.Present | extent.Data | extent.Offset,
		compressed:   extent.Present | extent.Data | extent.Compressed,
	}
	if m.crypt != cryptNone {
		m.flags[unallocAlloc] = 0
		m.flags[zeroAlloc] = extent.Present | extent.Zero
		m.flags[normal] = extent.Present | extent.Data | extent.Encrypted
	}
	if m.hasDataFile {
		m.file = 1
	}
}

// Size is the virtual disk's size, rounded down to 512 bytes.
func (m *image) Size() uint64 { return m.size }

// References are the data file, if there is one, and then the backing file, if there is one.
func (m *image) References() []img.Reference { return m.refs }

// l1Reach is log2 of the bytes of the virtual disk that one L1 entry stands for.
func (m *image) l1Reach() uint { return m.tableBits + m.clusterBits }

// offsetInCluster is the part of off below the cluster size.
func (m *image) offsetInCluster(off uint64) uint64 { return off & (m.clusterSize - 1) }

var _ format.Image = (*image)(nil)
