package formattest

import "encoding/binary"

// Field offsets of the qcow2 header, for tests that spoil one. Big endian; see the specification for sizes.
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
	HeaderLength           = 112 // of the images built here, in version 3
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

// Qcow2 builds an image. Change its fields before the first cluster is set; what is wrong with an image is put in by Spoil,
// or by writing odd values through L1, Entry and Bitmap.
type Qcow2 struct {
	Version       uint32
	ClusterBits   uint
	Size          uint64
	ExtendedL2    bool
	RefcountOrder uint32
	Crypt         uint32
	Compression   byte   // compression_type
	Incompatible  uint64 // bits beside those that the other fields need
	Autoclear     uint64
	Extensions    []Extension
	Backing       string
	// NoRefcounts leaves the refcount blocks out. Nobody needs them to read an image.
	NoRefcounts bool

	l1     []uint64
	tables map[uint64]*l2table
	next   uint64 // host cluster that is free, and all behind it
	fills  []fill
	spoils []spoil
}

type l2table struct {
	off     uint64
	entries []uint64 // with extended L2, pairs
}

type fill struct{ off, n uint64 }

type spoil struct {
	off   uint64
	bytes []byte
}

// NewQcow2 starts a version 3 image of size bytes, of which nothing is allocated.
func NewQcow2(size uint64, clusterBits uint) *Qcow2 {
	return &Qcow2{Version: 3, ClusterBits: clusterBits, Size: size, RefcountOrder: 4}
}

// Cluster is the cluster size in bytes.
func (q *Qcow2) Cluster() uint64 { return 1 << q.ClusterBits }

func (q *Qcow2) words() uint64 {
	if q.ExtendedL2 {
		return 2
	}
	return 1
}

// TableEntries is the number of entries in an L2 table.
func (q *Qcow2) TableEntries() uint64 { return q.Cluster() / 8 / q.words() }

// start lays out the header and the L1 table.
func (q *Qcow2) start() {
	if q.tables != nil {
		return
	}
	reach := q.TableEntries() * q.Cluster()
	q.l1 = make([]uint64, (q.Size+reach-1)/reach)
	q.tables = map[uint64]*l2table{}
	q.next = 1
	q.Alloc((uint64(len(q.l1))*8 + q.Cluster() - 1) / q.Cluster())
}

// L1Offset is the host offset of the L1 table.
func (q *Qcow2) L1Offset() uint64 { return q.Cluster() }

// Alloc returns the host offset of n clusters that nothing else uses.
func (q *Qcow2) Alloc(n uint64) uint64 {
	q.start()
	off := q.next << q.ClusterBits
	q.next += n
	return off
}

// L1 is entry i of the L1 table. Setting it makes the L2 table unreachable that Entry made.
func (q *Qcow2) L1(i uint64) *uint64 {
	q.start()
	return &q.l1[i]
}

func (q *Qcow2) table(cluster uint64) (*l2table, uint64) {
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

// Entry is the L2 entry of a cluster of the virtual disk. The L2 table appears when it is first asked for.
func (q *Qcow2) Entry(cluster uint64) *uint64 {
	t, i := q.table(cluster)
	return &t.entries[i]
}

// Bitmap is the subcluster bitmap of a cluster, with extended L2.
func (q *Qcow2) Bitmap(cluster uint64) *uint64 {
	t, i := q.table(cluster)
	return &t.entries[i+1]
}

// TableOffset is the host offset of the L2 table that holds a cluster's entry.
func (q *Qcow2) TableOffset(cluster uint64) uint64 {
	t, _ := q.table(cluster)
	return t.off
}

// Data allocates n clusters from the given one on, contiguous on the host, and fills them with bytes.
func (q *Qcow2) Data(cluster, n uint64) uint64 {
	q.Entry(cluster)
	off := q.Sparse(cluster, n)
	q.fills = append(q.fills, fill{off, n << q.ClusterBits})
	return off
}

// Sparse is Data whose bytes stay a hole of the host file.
func (q *Qcow2) Sparse(cluster, n uint64) uint64 {
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
func (q *Qcow2) Zero(cluster, n uint64) {
	for i := range n {
		if q.ExtendedL2 {
			*q.Bitmap(cluster + i) = 0xffffffff << 32
		} else {
			*q.Entry(cluster + i) = EntryZero
		}
	}
}

// Compressed makes n clusters compressed ones. Nothing can be read from them: their bytes are not those of a compressor.
func (q *Qcow2) Compressed(cluster, n uint64) {
	for i := range n {
		off := q.Alloc(1)
		*q.Entry(cluster + i) = EntryCompressed | off
		q.fills = append(q.fills, fill{off, sectorSize})
	}
}

const sectorSize = 512

// Spoil overwrites bytes of the image when everything else is written.
func (q *Qcow2) Spoil(off uint64, b ...byte) { q.spoils = append(q.spoils, spoil{off, b}) }

// Spoil32 is Spoil with a big-endian number.
func (q *Qcow2) Spoil32(off uint64, v uint32) { q.Spoil(off, binary.BigEndian.AppendUint32(nil, v)...) }

// Spoil64 is Spoil with a big-endian number.
func (q *Qcow2) Spoil64(off uint64, v uint64) { q.Spoil(off, binary.BigEndian.AppendUint64(nil, v)...) }
