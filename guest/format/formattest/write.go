package formattest

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/bits"
)

// header is the first cluster, or what of it is not zero.
func (q *Qcow2) header(reftable, reftableClusters uint64) []byte {
	be := binary.BigEndian
	h := make([]byte, HeaderLength)
	copy(h, "QFI\xfb")
	be.PutUint32(h[OffVersion:], q.Version)
	be.PutUint32(h[OffClusterBits:], uint32(q.ClusterBits))
	be.PutUint64(h[OffSize:], q.Size)
	be.PutUint32(h[OffCryptMethod:], q.Crypt)
	be.PutUint32(h[OffL1Size:], uint32(len(q.l1)))
	be.PutUint64(h[OffL1TableOffset:], q.L1Offset())
	be.PutUint64(h[OffRefcountTableOffset:], reftable)
	be.PutUint32(h[OffRefcountTableSize:], uint32(reftableClusters))
	if q.Version < 3 {
		h = h[:OffIncompatible]
	} else {
		features := q.Incompatible
		if q.ExtendedL2 {
			features |= 1 << 4
		}
		if q.Compression != 0 {
			features |= 1 << 3
		}
		be.PutUint64(h[OffIncompatible:], features)
		be.PutUint64(h[OffAutoclear:], q.Autoclear)
		be.PutUint32(h[OffRefcountOrder:], q.RefcountOrder)
		be.PutUint32(h[OffHeaderLength:], HeaderLength)
		h[OffCompressionType] = q.Compression
	}
	for _, e := range q.Extensions {
		h = be.AppendUint32(h, e.Type)
		h = be.AppendUint32(h, uint32(len(e.Data)))
		h = append(h, e.Data...)
		h = append(h, make([]byte, -len(e.Data)&7)...)
	}
	h = append(h, make([]byte, 8)...)
	if q.Backing != "" {
		be.PutUint64(h[OffBackingFileOffset:], uint64(len(h)))
		be.PutUint32(h[OffBackingFileSize:], uint32(len(q.Backing)))
		h = append(h, q.Backing...)
	}
	return h
}

// hostBlock is what a builder leaves out as a hole when it is zero, in bytes: a block of most file systems.
const hostBlock = 4 << 10

var zeroes [hostBlock]byte

// Write writes the image, zeroes left out, and returns its size in bytes. It may be called once.
func (q *Qcow2) Write(w io.WriterAt) (size int64, err error) {
	q.start()
	put := func(off uint64, b []byte) {
		for len(b) > 0 && err == nil {
			n := min(len(b), hostBlock)
			if !bytes.Equal(b[:n], zeroes[:n]) {
				_, err = w.WriteAt(b[:n], int64(off))
			}
			off, b = off+uint64(n), b[n:]
		}
	}
	reftable, n := q.writeRefcounts(put)
	put(0, q.header(reftable, n))
	put(q.L1Offset(), words(q.l1))
	for _, t := range q.tables {
		put(t.off, words(t.entries))
	}
	for _, f := range q.fills {
		for i := uint64(0); i < f.n; i += 64 << 10 {
			b := make([]byte, min(64<<10, f.n-i))
			for j := range b {
				b[j] = byte(j) | 1
			}
			put(f.off+i, b)
		}
	}
	size = int64(q.next << q.ClusterBits)
	last := spoil{uint64(size) - 1, []byte{0}} // sets the file's size
	for _, s := range append([]spoil{last}, q.spoils...) {
		if err == nil {
			_, err = w.WriteAt(s.bytes, int64(s.off))
		}
		size = max(size, int64(s.off)+int64(len(s.bytes)))
	}
	return size, err
}

// writeRefcounts writes a refcount of 1 for every cluster, and returns where the table is and its clusters.
func (q *Qcow2) writeRefcounts(put func(uint64, []byte)) (off, clusters uint64) {
	perBlock := q.Cluster() * 8 >> q.RefcountOrder
	perTable := q.Cluster() / 8
	if q.NoRefcounts {
		return q.Alloc(1), 1
	}
	// The table and the blocks count themselves too.
	blocks := uint64(1)
	for {
		clusters = (blocks + perTable - 1) / perTable
		if (q.next+clusters+blocks+perBlock-1)/perBlock <= blocks {
			break
		}
		blocks++
	}
	off = q.Alloc(clusters)
	first := q.Alloc(blocks)
	table := make([]uint64, blocks)
	for i := range table {
		table[i] = first + uint64(i)<<q.ClusterBits
		b := make([]byte, q.Cluster())
		for j := uint64(0); j < perBlock && uint64(i)*perBlock+j < q.next; j++ {
			setRefcount(b, j, q.RefcountOrder)
		}
		put(table[i], b)
	}
	put(off, words(table))
	return off, clusters
}

// setRefcount sets field i of 2^order bits to 1.
func setRefcount(b []byte, i uint64, order uint32) {
	if order < 3 {
		b[i>>(3-order)] |= 1 << (i << order & 7)
		return
	}
	width := uint64(1) << (order - 3)
	b[(i+1)*width-1] = 1
}

func words(w []uint64) []byte {
	b := make([]byte, 0, len(w)*8)
	for _, v := range w {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

// Bytes is the image in memory.
func (q *Qcow2) Bytes() []byte {
	var m memory
	size, _ := q.Write(&m)
	if int64(len(m)) < size {
		m = append(m, make([]byte, size-int64(len(m)))...)
	}
	return m
}

// memory is a file in memory.
type memory []byte

func (m *memory) WriteAt(b []byte, off int64) (int, error) {
	if end := int(off) + len(b); end > len(*m) {
		grown := make([]byte, end, 1<<bits.Len(uint(end)))
		copy(grown, *m)
		*m = grown
	}
	return copy((*m)[off:], b), nil
}
