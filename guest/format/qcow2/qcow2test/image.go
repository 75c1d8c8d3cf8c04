// Package qcow2test builds qcow2 images for tests, sound, damaged or random, and answers by a
// slow model what a map of one must say. It shares no code with the walker. Only tests, and the
// programs that make images, import it.
package qcow2test

import (
	"encoding/binary"

	"instarfs/guest/format/formattest"
)

// Offsets of the fields of a header, in bytes. The fields are big endian; the specification
// gives their sizes.
const (
	OffMagic               = 0
	OffVersion             = 4
	OffBackingFileOffset   = 8
	OffBackingFileSize     = 16
	OffClusterBits         = 20
	OffSize                = 24
	OffCryptMethod         = 32
	OffL1Size              = 36
	OffL1TableOffset       = 40
	OffRefcountTableOffset = 48
	OffRefcountTableSize   = 56
	OffNbSnapshots         = 60
	OffSnapshotsOffset     = 64
	OffIncompatible        = 72
	OffCompatible          = 80
	OffAutoclear           = 88
	OffRefcountOrder       = 96
	OffHeaderLength        = 100
	OffCompressionType     = 104
	HeaderLength           = 112 // of images of version 3 built here, bytes
)

// Bits of L2 entries.
const (
	EntryZero       = uint64(1) << 0
	EntryCompressed = uint64(1) << 62
	EntryCopied     = uint64(1) << 63
)

// Extension is one header extension.
type Extension struct {
	Type uint32
	Data []byte
}

// Image is an image to build. Set its fields before the first cluster. Damage goes in through
// Spoil, or through odd values in L1, Entry and Bitmap.
type Image struct {
	Version       uint32
	ClusterBits   uint
	Size          uint64
	ExtendedL2    bool
	RefcountOrder uint32
	Crypt         uint32
	Compression   byte   // compression_type of the header
	Incompatible  uint64 // bits in addition to those that the other fields need
	Autoclear     uint64
	Extensions    []Extension
	Backing       string
	// NoRefcounts leaves out the refcount blocks, which no reader needs.
	NoRefcounts bool

	l1     []uint64
	tables map[uint64]*l2table
	next   uint64 // first free host cluster
	fills  []fill
	spoils []formattest.Patch
}

type l2table struct {
	off     uint64
	entries []uint64 // with extended L2, pairs
}

type fill struct{ off, n uint64 }

// New starts an image of version 3 and size bytes with nothing allocated.
func New(size uint64, clusterBits uint) *Image {
	return &Image{Version: 3, ClusterBits: clusterBits, Size: size, RefcountOrder: 4}
}

// Cluster returns the cluster size in bytes.
func (q *Image) Cluster() uint64 { return 1 << q.ClusterBits }

func (q *Image) words() uint64 {
	if q.ExtendedL2 {
		return 2
	}
	return 1
}

// TableEntries returns the number of entries in an L2 table.
func (q *Image) TableEntries() uint64 { return q.Cluster() / 8 / q.words() }

// start lays out the header and the L1 table.
func (q *Image) start() {
	if q.tables != nil {
		return
	}
	reach := q.TableEntries() * q.Cluster()
	q.l1 = make([]uint64, (q.Size+reach-1)/reach)
	q.tables = map[uint64]*l2table{}
	q.next = 1
	q.Alloc((uint64(len(q.l1))*8 + q.Cluster() - 1) / q.Cluster())
}

// L1Offset returns the host offset of the L1 table.
func (q *Image) L1Offset() uint64 { return q.Cluster() }

// Alloc allocates n host clusters and returns their host offset.
func (q *Image) Alloc(n uint64) uint64 {
	q.start()
	off := q.next << q.ClusterBits
	q.next += n
	return off
}

// L1 returns entry i of the L1 table. Setting it makes the L2 table that Entry made unreachable.
func (q *Image) L1(i uint64) *uint64 {
	q.start()
	return &q.l1[i]
}

func (q *Image) table(cluster uint64) (*l2table, uint64) {
	q.start()
	i := cluster / q.TableEntries()
	t := q.tables[i]
	if t == nil {
		t = &l2table{q.Alloc(1), make([]uint64, q.Cluster()/8)}
		q.tables[i] = t
		q.l1[i] = t.off | EntryCopied
	}
	return t, cluster % q.TableEntries() * q.words()
}

// Entry returns the L2 entry of a cluster of the virtual disk. The first call for a cluster of
// an L2 table creates the table.
func (q *Image) Entry(cluster uint64) *uint64 {
	t, i := q.table(cluster)
	return &t.entries[i]
}

// Bitmap returns the subcluster bitmap of a cluster. The image must have extended L2 entries.
func (q *Image) Bitmap(cluster uint64) *uint64 {
	t, i := q.table(cluster)
	return &t.entries[i+1]
}

// TableOffset returns the host offset of the L2 table that holds a cluster's entry.
func (q *Image) TableOffset(cluster uint64) uint64 {
	t, _ := q.table(cluster)
	return t.off
}

// Data allocates n clusters from the given one on, contiguous on the host, and fills them with
// bytes. It returns their host offset.
func (q *Image) Data(cluster, n uint64) uint64 {
	q.Entry(cluster)
	off := q.Sparse(cluster, n)
	q.fills = append(q.fills, fill{off, n << q.ClusterBits})
	return off
}

// Sparse allocates like Data, but leaves a hole in the host file.
func (q *Image) Sparse(cluster, n uint64) uint64 {
	for i := uint64(0); i < n; i += q.TableEntries() {
		q.Entry(cluster + i)
	}
	off := q.Alloc(n)
	for i := range n {
		*q.Entry(cluster + i) = off + i<<q.ClusterBits | EntryCopied
		if q.ExtendedL2 {
			*q.Bitmap(cluster + i) = 0xffffffff
		}
	}
	return off
}

// Zero makes n clusters read as zeroes without host clusters.
func (q *Image) Zero(cluster, n uint64) {
	for i := range n {
		if q.ExtendedL2 {
			*q.Bitmap(cluster + i) = 0xffffffff << 32
		} else {
			*q.Entry(cluster + i) = EntryZero
		}
	}
}

// Compressed makes n clusters compressed. They cannot be read: no compressor made their bytes.
func (q *Image) Compressed(cluster, n uint64) {
	for i := range n {
		off := q.Alloc(1)
		*q.Entry(cluster + i) = EntryCompressed | off
		q.fills = append(q.fills, fill{off, sectorSize})
	}
}

const sectorSize = 512

// Spoil overwrites bytes of the image after everything else is written.
func (q *Image) Spoil(off uint64, b ...byte) {
	q.spoils = append(q.spoils, formattest.Patch{Off: off, Bytes: b})
}

// Spoil32 overwrites 4 bytes with a big-endian number.
func (q *Image) Spoil32(off uint64, v uint32) {
	q.Spoil(off, binary.BigEndian.AppendUint32(nil, v)...)
}

// Spoil64 overwrites 8 bytes with a big-endian number.
func (q *Image) Spoil64(off uint64, v uint64) {
	q.Spoil(off, binary.BigEndian.AppendUint64(nil, v)...)
}
