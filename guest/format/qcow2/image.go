package qcow2

import (
	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

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

	flags  [kinds]extent.Flags // flags of each kind
	file   uint16              // extent.State.File of extents with an offset
	tables format.TwoLevel
}

// Size returns the size of the virtual disk in bytes, rounded down to 512 bytes.
func (m *image) Size() uint64 { return m.size }

// References returns the data file, if there is one, then the backing file, if there is one.
func (m *image) References() []img.Reference { return m.refs }

// l1Reach returns log2 of the bytes of the virtual disk that one L1 entry stands for.
func (m *image) l1Reach() uint { return m.tableBits + m.clusterBits }

// offsetInCluster returns the part of off below the cluster size.
func (m *image) offsetInCluster(off uint64) uint64 { return off & (m.clusterSize - 1) }

var _ format.Image = (*image)(nil)
