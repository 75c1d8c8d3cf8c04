package qcow2test

import (
	"encoding/binary"
	"io"
	"math/bits"
	"os"

	"instarfs/guest/format/formattest"
)

// header returns the first cluster up to its last byte that is not zero.
func (q *Image) header(reftable, reftableClusters uint64) []byte {
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

// Write writes the image without its zeroes, and returns its size in bytes. Call it once only.
func (q *Image) Write(w io.WriterAt) (size int64, err error) {
	q.start()
	put := func(off uint64, b []byte) {
		if err != nil {
			return
		}
		err = formattest.WriteSparse(b, func(at int64, b []byte) error {
			_, err := w.WriteAt(b, int64(off)+at)
			return err
		})
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
	last := formattest.Patch{Off: uint64(size) - 1, Bytes: []byte{0}} // sets the file's size
	for _, s := range append([]formattest.Patch{last}, q.spoils...) {
		if err == nil {
			_, err = w.WriteAt(s.Bytes, int64(s.Off))
		}
		size = max(size, int64(s.Off)+int64(len(s.Bytes)))
	}
	return size, err
}

// writeRefcounts gives every cluster a refcount of 1. It returns the host offset of the
// refcount table, and the number of its clusters.
func (q *Image) writeRefcounts(put func(uint64, []byte)) (off, clusters uint64) {
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

// Bytes returns the image. Call it once only, and not after Write.
func (q *Image) Bytes() []byte {
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

// WriteFile writes the image to a file, and replaces a file of that name.
func (q *Image) WriteFile(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := q.Write(f); err != nil {
		return err
	}
	return f.Close()
}
